"""Whether head poses go with speech (CVM, Sec. 3, Eq. 9 and Table 1).

Of 256 frames, each speech feature's correlation with each pose channel. A one-class SVM learns what
these correlations are like if a person's poses are those of their speech; it is then asked about
poses that belong to the speech and about poses of other people beside it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from facial_jax.data.clips import Clip, clip_entry
from facial_jax.models.pose_gan.generation import WINDOW_FRAMES
from facial_jax.models.pose_gan.rest_frame import poses_from_rest

PAPER = "0.80 to 0.90 matching, 0.44 to 0.76 random"
"""Table 1, the least and the most of its people."""
STRIDE = 10
"""Frames from one window's beginning to the next one's."""
OUTLIERS = 0.1
"""ν: about which share of the training windows the SVM leaves outside."""
_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True)
class SpeechAndPoses:
    """One person's windows of T frames."""

    rows: np.ndarray
    # (w, T, n) float32 speech features
    poses: np.ndarray
    # (w, T, 6) float32


@dataclass(frozen=True)
class Matching:
    """Shares of one person's test windows that the SVM takes for the person's."""

    matching: float
    # with the poses that belong to the speech
    random: float
    # with another person's
    preferred: float
    # of all pairs of a matching and a random one, in how many the matching one is nearer to the
    # person's: the area under the curve, which no threshold changes; 0.5 is chance


def clip_windows(
    clips: Iterable[Clip],
    *,
    frames: int = WINDOW_FRAMES,
    stride: int = STRIDE,
    part: tuple[float, float] = (0.0, 1.0),
) -> SpeechAndPoses:
    """All windows of valid frames in a part of each clip.

    Args:
        clips: of one person.
        frames: T, a window's length; the paper's is 256.
        stride: from one window's beginning to the next one's.
        part: from which to which share of a clip's frames.

    Raises:
        ValueError: there is no window.
    """
    rows, poses = [], []
    for clip in clips:
        clip_poses = poses_from_rest(clip)
        first, last = (round(share * len(clip)) for share in part)
        for begin, end in clip_entry(clip).segments:
            for at in range(max(begin, first), min(end, last) - frames + 1, stride):
                rows.append(clip.features[at : at + frames])
                poses.append(clip_poses[at : at + frames])
    if not rows:
        raise ValueError(f"clips: expected a run of at least {frames} valid frames, found none")
    return SpeechAndPoses(np.stack(rows), np.stack(poses))


def correlation_features(
    rows: Float[np.ndarray, "*b t n"], poses: Float[np.ndarray, "*b t 6"]
) -> Float[np.ndarray, "*b n6"]:
    """Pearson's correlation of every speech feature with every pose channel (Eq. 9).

    It is 0 if one of them does not change.
    """

    def standardised(x):
        x = np.asarray(x, np.float64)
        x = x - x.mean(axis=-2, keepdims=True)
        deviation = x.std(axis=-2, keepdims=True)
        return np.where(deviation > _LEAST_DEVIATION, x / np.maximum(deviation, 1e-30), 0.0)

    a, b = standardised(rows), standardised(poses)
    correlations = np.swapaxes(a, -1, -2) @ b / a.shape[-2]
    return correlations.reshape(*correlations.shape[:-2], -1)


def correlation_study(
    train: Mapping[str, SpeechAndPoses],
    test: Mapping[str, SpeechAndPoses],
    *,
    seed: int = 0,
) -> dict[str, Matching]:
    """Table 1: by person, how often matching and other people's poses are taken for theirs.

    Each test window of a person is also put beside a random window of poses of every other person.

    Args:
        train: windows to learn from, by person.
        test: windows to ask about; the same people.
        seed: of the random windows.

    Raises:
        ValueError: there are fewer than two people.
    """
    from sklearn.svm import OneClassSVM

    if len(test) < 2:
        raise ValueError(f"test: expected windows of at least two people, got {len(test)}")
    rng = np.random.default_rng(seed)
    table = {}
    for person, own in test.items():
        known = correlation_features(train[person].rows, train[person].poses)
        machine = OneClassSVM(nu=OUTLIERS, gamma="scale").fit(known)

        def scores(rows, poses, machine=machine):
            return machine.decision_function(correlation_features(rows, poses))

        matching = scores(own.rows, own.poses)
        random = np.concatenate(
            [
                scores(own.rows, other.poses[rng.integers(len(other.poses), size=len(own.rows))])
                for name, other in test.items()
                if name != person
            ]
        )
        table[person] = Matching(
            matching=float((matching > 0).mean()),
            random=float((random > 0).mean()),
            preferred=float((matching[:, None] > random).mean()),
        )
    return table


def text_table(table: Mapping[str, Matching]) -> str:
    """Table 1, one line for each person."""
    lines = [f"{'':20s}{'matching':>10s}{'random':>10s}{'preferred':>10s}"]
    lines += [
        f"{who:20s}{x.matching:10.2f}{x.random:10.2f}{x.preferred:10.2f}"
        for who, x in table.items()
    ]
    return "\n".join([*lines, f"paper: {PAPER}"])
