"""Where a person looks while they speak: fixations and saccades in their own manner.

Eyes rest on a place and jump to the next. While they rest the gaze is held in the world: the eyes
turn against the head (the vestibulo-ocular reflex). A large jump often hides in a blink. Where the
places are, and for how long eyes rest, is drawn from what the person's video showed.
"""

from fractions import Fraction

import flax.struct
import numpy as np
from jaxtyping import Array, Float

from facial_jax.face.eyes import gaze_angles, gaze_direction
from facial_jax.rendering.irises import Irises, irises_arrays, irises_from_arrays

MAX_FIXATIONS = 256
SACCADE_RAD = float(np.radians(3.0))
"""A gaze so far from where it rested is somewhere else."""
LARGE_SACCADE_RAD = float(np.radians(8.0))
BLINK_WAIT_S = 0.6
"""A large saccade waits so long for a blink that it can hide in."""
COVERING_BLINK = 2.5
"""AU45 intensity from which on a blink hides a saccade."""
_MIN_FIXATION_S = 0.12
_LENGTHS = 0.75, 1.25
"""Of a fixation that comes again, as shares of what it was."""
_SHOWN = 1.0, 99.0
"""Percentiles of the turns of the eyes that count as shown."""
_FARTHEST_RAD = 0.45
"""From the place most looked at: for what is farther aside heads turn, too (Stahl, Exp. Brain Res.
126, 1999: eyes alone turn by about 22 degrees). Who rolls their eyes in a video does not do so
while they speak.
"""
_SACCADE_SHARE = 0.7
"""Of its way, a saccade covers in its first frame; the rest in the next."""


@flax.struct.dataclass
class GazeHabits:
    """What a video shows of where a person looks."""

    targets: Float[Array | np.ndarray, "k 2"]
    # pitch and yaw of the places looked at, in the camera's space, radians
    durations: Float[Array | np.ndarray, "k"]
    # for how long each was looked at, seconds
    limits: Float[Array | np.ndarray, "2 2"]
    # lowest and highest pitch and yaw of the eyes in the head, radians


@flax.struct.dataclass
class Eyes:
    """A person's eyes, and how they move."""

    irises: Irises
    # what they look like
    habits: GazeHabits
    # where they look


def turned_gaze(
    gaze: Float[np.ndarray, "t 2"], pose: Float[np.ndarray, "t 6"], *, back: bool = False
) -> Float[np.ndarray, "t 2"]:
    """Gazes (pitch, yaw) from the head's space to the camera's, or back; radians."""
    from scipy.spatial.transform import Rotation  # takes long to import

    rotation = Rotation.from_euler("xyz", pose[:, :3])  # as `rotation_from_euler`
    return gaze_angles(rotation.apply(gaze_direction(np.asarray(gaze)), inverse=back))


def gaze_habits(
    gaze: Float[np.ndarray, "t 2"], pose: Float[np.ndarray, "t 6"], fps: Fraction
) -> GazeHabits:
    """The fixations of a video.

    Args:
        gaze: pitch and yaw relative to the head, radians.
        pose: of the head.
        fps: frames per second.

    Raises:
        ValueError: there is no frame.
    """
    if not len(gaze):
        raise ValueError("gaze: expected at least one frame, got none")
    in_world = turned_gaze(gaze, pose)
    starts, first = [0], 0
    for frame in range(1, len(in_world)):
        rest = np.median(in_world[first:frame], axis=0)
        # What is elsewhere in this frame and the next is no slip of the measurement.
        following = in_world[frame : frame + 2]
        if (np.linalg.norm(following - rest, axis=1) > SACCADE_RAD).all():
            starts.append(frame)
            first = frame
    ends = [*starts[1:], len(in_world)]
    targets = np.stack(
        [np.median(in_world[a:b], axis=0) for a, b in zip(starts, ends, strict=True)]
    )
    durations = np.array([b - a for a, b in zip(starts, ends, strict=True)]) / float(fps)
    kept = np.flatnonzero(durations >= _MIN_FIXATION_S)
    kept = kept if len(kept) else np.array([int(durations.argmax())])
    targets, durations = targets[kept], durations[kept]
    aside = np.linalg.norm(targets - targets[_typical(targets, durations)], axis=1)
    kept = np.flatnonzero(aside <= _FARTHEST_RAD)
    kept = kept[:: -(-len(kept) // MAX_FIXATIONS)]
    limits = np.percentile(gaze, _SHOWN, axis=0)
    return GazeHabits(
        targets[kept].astype(np.float32),
        durations[kept].astype(np.float32),
        limits.astype(np.float32),
    )


def make_gaze(
    habits: GazeHabits,
    pose: Float[np.ndarray, "t 6"],
    blink: Float[np.ndarray, "t"],
    fps: Fraction,
    *,
    seed: int = 0,
) -> Float[np.ndarray, "t 2"]:
    """Pitch and yaw relative to the head in every frame, radians.

    The same motion and seed give the same gaze; the first frames of a longer motion are those of a
    shorter one, but for the last blink's wait.

    Args:
        habits: the person's.
        pose: of the head.
        blink: AU45 intensity.
        fps: frames per second.
        seed: of what is drawn.
    """
    rng, count = np.random.default_rng(seed), len(pose)
    targets, durations = np.asarray(habits.targets), np.asarray(habits.durations)
    in_world = np.empty((count, 2), np.float32)
    # The place most looked at comes first.
    frame, fixation = 0, _typical(targets, durations)
    while frame < count:
        place, length = targets[fixation], float(durations[fixation]) * rng.uniform(*_LENGTHS)
        others = np.delete(np.arange(len(targets)), fixation)
        fixation = int(rng.choice(others)) if len(others) else fixation
        way = targets[fixation] - place
        stop = frame + max(round(length * float(fps)), 1)
        if np.linalg.norm(way) > LARGE_SACCADE_RAD:
            stop = _blink_from(blink, stop, round(BLINK_WAIT_S * float(fps)))
        in_world[frame:stop] = place
        if stop < count:
            in_world[stop] = place + _SACCADE_SHARE * way
        frame = stop + 1
    gaze = turned_gaze(in_world, pose, back=True)
    low, high = np.asarray(habits.limits)
    return gaze.clip(low, high).astype(np.float32)


def _typical(targets: Float[np.ndarray, "k 2"], durations: Float[np.ndarray, "k"]) -> int:
    """The fixation that is nearest to all others, each as important as it is long."""
    apart = np.linalg.norm(targets[:, None] - targets[None], axis=-1)
    return int((apart * durations[None]).sum(axis=1).argmin())


def _blink_from(blink: Float[np.ndarray, "t"], first: int, wait: int) -> int:
    """The next frame in which a blink hides the eyes, if there is one soon, else `first`."""
    covered = np.flatnonzero(np.asarray(blink[first : first + wait]) >= COVERING_BLINK)
    return first + int(covered[0]) if len(covered) else first


def eyes_arrays(eyes: Eyes) -> dict[str, np.ndarray]:
    """As files hold it; the inverse of `eyes_from_arrays`."""
    names = ("targets", "durations", "limits")
    habits = {name: np.asarray(getattr(eyes.habits, name), np.float32) for name in names}
    return irises_arrays(eyes.irises) | habits


def eyes_from_arrays(arrays: dict[str, np.ndarray]) -> Eyes:
    """What `eyes_arrays` gave.

    Raises:
        ValueError: an array is missing, of another shape or type, or out of range.
    """
    irises = irises_from_arrays(arrays)
    count = len(arrays["durations"]) if np.ndim(arrays.get("durations")) == 1 else 0
    for name, shape in (("targets", (count, 2)), ("durations", (count,)), ("limits", (2, 2))):
        array = arrays.get(name)
        if array is None or not count or array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"eyes: expected finite numbers {name} of shape {shape}")
    if arrays["durations"].min() <= 0 or (arrays["limits"][0] > arrays["limits"][1]).any():
        raise ValueError("eyes: expected durations above 0, and limits that rise")
    return Eyes(irises, GazeHabits(arrays["targets"], arrays["durations"], arrays["limits"]))
