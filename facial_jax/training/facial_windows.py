"""Windows of 128 frames out of clips, as FACIAL-GAN is trained on (FACIAL, Sec. 5.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from facial_jax.attributes import EXPRESSION_SIZE, POSE_SIZE
from facial_jax.audio.features import ROWS_BEFORE, WINDOW_ROWS
from facial_jax.training.facial_gan import FacialBatch


@dataclass(frozen=True)
class FacialClip:
    """One clip: what is heard and what is seen, row by row."""

    features: Float[np.ndarray, "t 29"]
    # speech features at the video's rate
    attributes: Float[np.ndarray, "t 71"]
    # packed, standardised


@dataclass(frozen=True)
class Perturbation:
    """Noise on the initial state, in standard deviations, and how fast the truth takes it back.

    A generator that was only ever started from true states drifts once it starts from its own: here
    it also learns the way back. The truth of a window whose initial state is off by δ is off by
    δ·exp(−t/τ).
    """

    pose: float = 0.12
    blink: float = 0.1
    expression: float = 0.15
    pose_frames: float = 20.0
    blink_frames: float = 2.0
    expression_frames: float = 2.0
    start_share: float = 0.1
    # of the windows hears nothing before its first frame, as the first window of a recording does


def window_starts(
    clips: Sequence[FacialClip], *, frames: int, stride: int
) -> Int[np.ndarray, "n 2"]:
    """(clip, first frame) of every window; a window has a frame before it, its initial state."""
    starts = [
        np.stack([np.full_like(first, i), first], axis=-1)
        for i, clip in enumerate(clips)
        for first in [np.arange(1, len(clip.attributes) - frames + 1, stride)]
    ]
    return np.concatenate(starts)


def cut_batch(
    clips: Sequence[FacialClip],
    starts: Int[np.ndarray, "b 2"],
    *,
    frames: int,
    rng: np.random.Generator | None = None,
    perturbation: Perturbation | None = None,
) -> FacialBatch:
    """The windows at `starts` (rows of `window_starts`); perturbed where that is asked for.

    Beyond a clip's ends its speech features are zero, as they are when an attribute is generated.
    """
    rows, states, truths = [], [], []
    for clip_index, first in starts:
        clip = clips[clip_index]
        begin = first - ROWS_BEFORE
        end = first + frames + WINDOW_ROWS - ROWS_BEFORE - 1
        inside = clip.features[max(begin, 0) : end]
        pad = (max(-begin, 0), max(end - len(clip.features), 0))
        rows.append(np.pad(inside, (pad, (0, 0))))  # a copy, even where nothing is padded
        states.append(clip.attributes[first - 1])
        truths.append(clip.attributes[first : first + frames])
    state, truth = np.stack(states), np.stack(truths)
    if perturbation is not None:
        if rng is None:
            raise ValueError("rng: a perturbation needs a random generator, got None")
        state, truth = perturb(state, truth, perturbation, rng)
        for row in rows:
            if rng.random() < perturbation.start_share:
                row[:ROWS_BEFORE] = 0
    return FacialBatch(rows=np.stack(rows), initial_state=state, attributes=truth)


def perturb(
    state: Float[np.ndarray, "b 71"],
    truth: Float[np.ndarray, "b T 71"],
    perturbation: Perturbation,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "b 71"], Float[np.ndarray, "b T 71"]]:
    """Initial states off the truth, and truths that go back from there (see `Perturbation`)."""
    p = perturbation
    sizes = [POSE_SIZE, 1, EXPRESSION_SIZE]
    scale = np.repeat([p.pose, p.blink, p.expression], sizes).astype(np.float32)
    decay = np.repeat([p.pose_frames, p.blink_frames, p.expression_frames], sizes)
    # A third of the windows keeps its true state, the others are off by up to twice the scale.
    amount = np.maximum(rng.uniform(-1.0, 2.0, (len(state), 1)), 0.0).astype(np.float32)
    delta = amount * scale * rng.standard_normal(state.shape, np.float32)
    t = np.arange(1, truth.shape[1] + 1, dtype=np.float32)[:, None]
    fading = np.exp(-t / decay.astype(np.float32))
    return state + delta, truth + delta[:, None] * fading
