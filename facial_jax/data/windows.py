"""Windows of frames out of clips, as FACIAL-GAN (FACIAL, Sec. 5.1) and PoseGAN are trained on.

Grain shuffles and batches their places; the windows are cut ahead of the training step by threads,
or on the devices (`facial_jax.data.resident_windows`). Which window comes at which place, and what
is random about it, follows from the seed and the place alone: an iterator whose state is put back
continues exactly from there.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import grain
import numpy as np

from facial_jax.attributes import (
    ATTRIBUTE_SIZE,
    EXPRESSION_SIZE,
    POSE_SIZE,
    AttributeStatistics,
    attribute_statistics,
    pack_attributes,
    standardize,
)
from facial_jax.audio.features import ROWS_BEFORE, WINDOW_ROWS
from facial_jax.data.clips import Clip, ClipEntry, ClipSource
from facial_jax.models.facial_gan.generation import WINDOW_FRAMES

STRIDE = 5
MIN_FRAMES = 32
"""Shorter runs of frames make no window; one of fewer than a window's frames makes one, padded."""
CACHED_CLIPS = 4096
_THREADS = 2
_BATCHES_AHEAD = 8

Windows = dict[str, np.ndarray]
"""A batch of windows:

rows            (b, T + 15, n) float32, speech features from 8 rows before the first frame to 7
                after the last; zeros beyond the clip's ends, as when attributes are generated
initial_state   (b, c) float32, what is learnt, of the frame before the first
attributes      (b, T, c) float32, what is learnt: packed standardised attributes (c = 71) or what
                the cutter was told; if the clip is shorter, its last valid frame is repeated
valid           (b, T) bool, False in repeated frames
clip, first     (b,) int32, where each window is from: clip of the source, first frame
"""
Draw = dict[str, np.ndarray]
"""What a batch of windows is made of:

places          (b, 3) int64: clip of the source, first frame, valid frames
delta, unheard  of a `Perturbation`, if there is one
"""


@dataclass(frozen=True)
class Perturbation:
    """Noise on the initial state, in standard deviations, and how fast the truth takes it back.

    A generator that was only ever started from true states drifts once it starts from its own: here
    it also learns the way back. The truth of a window whose initial state is off by δ is off by
    δ·exp(−t/τ). A third of the windows keeps its true state, the others are off by up to twice the
    deviations.
    """

    pose: float = 0.12
    """Deviation of the noise on the initial head pose."""
    blink: float = 0.1
    """Deviation of the noise on the initial blink."""
    expression: float = 0.15
    """Deviation of the noise on the initial expression."""
    pose_frames: float = 20.0
    """τ of the head pose: frames in which the truth takes back all but 1/e of the noise."""
    blink_frames: float = 2.0
    """τ of the blink, in frames."""
    expression_frames: float = 2.0
    """τ of the expression, in frames."""
    start_share: float = 0.1
    """Share of the windows that hear nothing before their first frame, as the first window of a
    recording does."""

    def draw(self, count: int, rng: np.random.Generator) -> Draw:
        """By how much `count` windows are off (count, 71), and which of them hear nothing before
        their first frame (count,)."""
        sizes = [POSE_SIZE, 1, EXPRESSION_SIZE]
        scale = np.repeat([self.pose, self.blink, self.expression], sizes).astype(np.float32)
        amount = np.maximum(rng.uniform(-1.0, 2.0, (count, 1)), 0.0).astype(np.float32)
        delta = amount * scale * rng.standard_normal((count, ATTRIBUTE_SIZE), np.float32)
        return {"delta": delta, "unheard": rng.random(count) < self.start_share}

    def fading(self, frames: int) -> np.ndarray:
        """(T, 71): how much of δ is left in each frame of a window."""
        frames_of = [self.pose_frames, self.blink_frames, self.expression_frames]
        decay = np.repeat(frames_of, [POSE_SIZE, 1, EXPRESSION_SIZE]).astype(np.float32)
        t = np.arange(1, frames + 1, dtype=np.float32)[:, None]
        return np.exp(-t / decay)

    def apply(self, windows: Windows, draw: Draw) -> Windows:
        """A perturbed copy of a batch."""
        delta, fading = draw["delta"], self.fading(windows["attributes"].shape[1])
        rows = windows["rows"].copy()
        rows[draw["unheard"], :ROWS_BEFORE] = 0
        return windows | {
            "rows": rows,
            "initial_state": windows["initial_state"] + delta,
            "attributes": windows["attributes"] + delta[:, None] * fading,
        }


def window_table(
    entries: Sequence[ClipEntry], *, frames: int = WINDOW_FRAMES, stride: int = STRIDE
) -> np.ndarray:
    """Every window of these clips.

    Windows hold valid frames only, and have a valid frame before them, their initial state.

    Returns:
        (windows, 4) int64: clip, first frame, valid frames in it, and by how many frames it may
        begin later without meeting the next window or the end.

    Raises:
        ValueError: there is not one.
    """
    rows = []
    for i, entry in enumerate(entries):
        for begin, end in entry.segments:
            last = end - frames
            if last > begin:
                firsts = np.arange(begin + 1, last + 1, stride)
                slack = np.minimum(stride - 1, last - firsts)
                counts = np.full_like(firsts, frames)
                rows.append(np.stack([np.full_like(firsts, i), firsts, counts, slack], axis=-1))
            elif end - begin - 1 >= MIN_FRAMES:
                rows.append(np.array([[i, begin + 1, end - begin - 1, 0]]))
    if not rows:
        raise ValueError(
            f"clips: expected a run of more than {MIN_FRAMES} valid frames in at least one of "
            f"{len(entries)} clips, found none"
        )
    return np.concatenate(rows).astype(np.int64)


def clip_statistics(clip: Clip) -> AttributeStatistics:
    """Mean and deviation of a clip's attributes over its valid frames, float32 NumPy arrays."""
    return _statistics([clip])


def subject_statistics(clips: ClipSource) -> dict[str, AttributeStatistics]:
    """For each person, mean and deviation over the valid frames of all of their clips."""
    return {subject: _statistics(clips.of_subject(subject)) for subject in clips.subjects}


def _statistics(clips) -> AttributeStatistics:
    packed = np.concatenate([_packed(clip)[clip.valid] for clip in clips])
    statistics = attribute_statistics(packed)
    return AttributeStatistics(mean=np.asarray(statistics.mean), std=np.asarray(statistics.std))


def _packed(clip: Clip) -> np.ndarray:
    return np.asarray(pack_attributes(clip.attributes))


class WindowCutter:
    """Cuts windows out of clips that it keeps in memory, so that each is decoded once."""

    def __init__(
        self,
        clips: ClipSource,
        *,
        frames: int = WINDOW_FRAMES,
        statistics: Mapping[str, AttributeStatistics] | None = None,
        learnt: Callable[[Clip], np.ndarray] | None = None,
    ):
        """Attributes are standardised by their clip's own statistics, or by their subject's in
        `statistics`; `learnt` gives other rows (t, c) of a clip in their place."""
        self.frames = frames
        self._clips, self._statistics, self._learnt = clips, statistics, learnt
        self._read = functools.lru_cache(CACHED_CLIPS)(self._read_clip)

    def whole_clips(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Each clip's speech features (t, n), and what is learnt of it (t, c)."""
        return map(self._read_clip, range(len(self._clips)))

    def _read_clip(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        clip = self._clips[index]
        if self._learnt is not None:
            return clip.features, self._learnt(clip)
        if self._statistics is None:
            statistics = clip_statistics(clip)
        else:
            statistics = self._statistics[clip.subject]
        return clip.features, standardize(_packed(clip), statistics)

    def cut(self, places: np.ndarray) -> Windows:
        """The windows at these places, (b, 3 or more): clip, first frame, valid frames."""
        size = (len(places), self.frames)
        columns, channels = (x.shape[1] for x in self._read(int(places[0, 0])))
        rows = np.zeros((size[0], self.frames + WINDOW_ROWS - 1, columns), np.float32)
        initial_state = np.empty((size[0], channels), np.float32)
        attributes = np.empty((*size, channels), np.float32)
        for i, (clip, first, count) in enumerate(places[:, :3].tolist()):
            features, packed = self._read(clip)
            begin = first - ROWS_BEFORE
            inside = features[max(begin, 0) : begin + rows.shape[1]]
            rows[i, max(-begin, 0) :][: len(inside)] = inside
            initial_state[i] = packed[first - 1]
            attributes[i, :count] = packed[first : first + count]
            attributes[i, count:] = packed[first + count - 1]
        return {
            "rows": rows,
            "initial_state": initial_state,
            "attributes": attributes,
            "valid": np.arange(self.frames) < places[:, 2:3],
            "clip": places[:, 0].astype(np.int32),
            "first": places[:, 1].astype(np.int32),
        }


@dataclass(frozen=True)
class _RandomDraw(grain.transforms.RandomMap):
    perturbation: Perturbation | None

    def random_map(self, element: np.ndarray, rng: np.random.Generator) -> Draw:
        places = element[:, :3].copy()
        places[:, 1] += rng.integers(element[:, 3] + 1)
        if self.perturbation is None:
            return {"places": places}
        return {"places": places} | self.perturbation.draw(len(places), rng)


def training_draws(
    clips: ClipSource,
    *,
    batch: int,
    seed: int,
    epochs: int | None = None,
    frames: int = WINDOW_FRAMES,
    stride: int = STRIDE,
    perturbation: Perturbation | None = None,
) -> grain.MapDataset:
    """What each batch of `training_windows` is made of, by its number: see there, and `Draw`."""
    table = window_table(clips.entries, frames=frames, stride=stride)
    places = grain.MapDataset.source(table).seed(seed).shuffle().repeat(epochs)
    return places.batch(batch, drop_remainder=True).random_map(_RandomDraw(perturbation))


def cut_windows(cutter: WindowCutter, perturbation: Perturbation | None, draw: Draw) -> Windows:
    """The windows that were drawn."""
    windows = cutter.cut(draw["places"])
    return windows if perturbation is None else perturbation.apply(windows, draw)


def training_windows(
    clips: ClipSource,
    *,
    batch: int,
    seed: int,
    epochs: int | None = None,
    frames: int = WINDOW_FRAMES,
    stride: int = STRIDE,
    statistics: Mapping[str, AttributeStatistics] | None = None,
    perturbation: Perturbation | None = None,
) -> grain.IterDataset:
    """Batches of windows to train on, in another order each epoch.

    A window begins at one of the `stride` frames from its place in the table on, each epoch at
    another one. The iterator's `get_state()` is a small dictionary for JSON or Orbax, and
    `set_state()` continues exactly from there.

    Args:
        clips: the windows' source.
        batch: windows in a batch; what is left at the end of the last epoch is dropped.
        seed: of order, places and perturbation.
        epochs: how often each window comes; None is without end.
        frames: T, a window's length.
        stride: from one window's place to the next one's.
        statistics: what each subject's attributes are standardised by; None is each clip by its
            own.
        perturbation: noise on the windows' initial states, if any.
    """
    draws = training_draws(
        clips,
        batch=batch,
        seed=seed,
        epochs=epochs,
        frames=frames,
        stride=stride,
        perturbation=perturbation,
    )
    cutter = WindowCutter(clips, frames=frames, statistics=statistics)
    batches = draws.map(functools.partial(cut_windows, cutter, perturbation))
    return batches.to_iter_dataset(grain.ReadOptions(_THREADS, _BATCHES_AHEAD))


def steps_per_epoch(
    clips: ClipSource, *, batch: int, frames: int = WINDOW_FRAMES, stride: int = STRIDE
) -> int:
    """How many whole batches one epoch of `training_windows` makes, at least one."""
    return max(1, len(window_table(clips.entries, frames=frames, stride=stride)) // batch)


def evaluation_windows(
    clips: ClipSource,
    *,
    batch: int,
    frames: int = WINDOW_FRAMES,
    stride: int = WINDOW_FRAMES,
    statistics: Mapping[str, AttributeStatistics] | None = None,
    learnt: Callable[[Clip], np.ndarray] | None = None,
) -> grain.IterDataset:
    """Every window once, in order, as it is; the last batch may be smaller."""
    table = window_table(clips.entries, frames=frames, stride=stride)
    cutter = WindowCutter(clips, frames=frames, statistics=statistics, learnt=learnt)
    batches = grain.MapDataset.source(table).batch(batch).map(cutter.cut)
    return batches.to_iter_dataset(grain.ReadOptions(_THREADS, _BATCHES_AHEAD))
