"""Head poses of one clip in one coordinate system (CVM, Sec. 3): that of the head at rest.

Cameras stand anywhere, and people sit anywhere before them. Seen from where the head rests, all
clips of a person are alike: the head turns and moves about zero.
"""

import flax.struct
import numpy as np
from jaxtyping import Array, Bool, Float

from facial_jax.attributes import POSE_SIZE
from facial_jax.data.clips import Clip, ClipSource, clip_entry
from facial_jax.editing import gaussian_filter

SMOOTHING_FRAMES = 1.0
"""σ of Eq. 1's Gaussian filter in frames; the paper gives no number."""
_MIN_DEVIATION = 1e-4


@flax.struct.dataclass
class PoseStatistics:
    """A person's head poses."""

    mean: Float[Array | np.ndarray, "6"]
    # of the poses seen from rest, radians and decimetres
    std: Float[Array | np.ndarray, "6"]
    # their deviation


def pose_from_rest(
    pose: Float[Array | np.ndarray, "*t 6"], rest: Float[Array | np.ndarray, "6"]
) -> Float[np.ndarray, "*t 6"]:
    """A pose before the camera as it is seen from the head at rest: R = R₀ᵀR, t = R₀ᵀ(t − t₀).

    Pitch, yaw, roll in radians and x, y, z in decimetres, both float32.
    """
    pose, rest = np.asarray(pose, np.float64), np.asarray(rest, np.float64)
    flat = pose.reshape(-1, POSE_SIZE)
    back = _rotation(rest[:3]).inv()
    angles = (back * _rotation(flat[:, :3])).as_euler("xyz")
    from_rest = np.concatenate([angles, back.apply(flat[:, 3:] - rest[3:])], axis=1)
    return from_rest.reshape(pose.shape).astype(np.float32)


def pose_before_camera(
    from_rest: Float[Array | np.ndarray, "*t 6"], rest: Float[Array | np.ndarray, "6"]
) -> Float[np.ndarray, "*t 6"]:
    """The inverse of `pose_from_rest`."""
    from_rest, rest = np.asarray(from_rest, np.float64), np.asarray(rest, np.float64)
    flat = from_rest.reshape(-1, POSE_SIZE)
    there = _rotation(rest[:3])
    angles = (there * _rotation(flat[:, :3])).as_euler("xyz")
    pose = np.concatenate([angles, there.apply(flat[:, 3:]) + rest[3:]], axis=1)
    return pose.reshape(from_rest.shape).astype(np.float32)


def middle_pose(pose: Float[np.ndarray, "t 6"], valid: Bool[np.ndarray, "t"]) -> np.ndarray:
    """(6,) float64: where the head rests in one clip, the mean of its valid frames."""
    return pose[valid].mean(axis=0, dtype=np.float64)


def poses_from_rest(
    clip: Clip, smoothing_frames: float = SMOOTHING_FRAMES
) -> Float[np.ndarray, "t 6"]:
    """A clip's poses seen from its own rest, filtered (Eq. 1) within each run of valid frames.

    Frames that are not valid are zero.
    """
    rest = middle_pose(clip.pose, clip.valid)
    poses = np.zeros_like(clip.pose)
    for begin, end in clip_entry(clip).segments:
        run = pose_from_rest(clip.pose[begin:end], rest)
        poses[begin:end] = gaussian_filter(run, smoothing_frames)
    return poses


def pose_statistics(
    clips: ClipSource, smoothing_frames: float = SMOOTHING_FRAMES
) -> PoseStatistics:
    """Over the valid frames of all of these clips."""
    poses = [poses_from_rest(clip, smoothing_frames)[clip.valid] for clip in clips]
    poses = np.concatenate(poses).astype(np.float64)
    return PoseStatistics(
        mean=poses.mean(axis=0).astype(np.float32),
        std=np.maximum(poses.std(axis=0), _MIN_DEVIATION).astype(np.float32),
    )


def resting_pose(clips: ClipSource) -> Float[np.ndarray, "6"]:
    """Where the head rests, before the camera: the mean of the clips' middles."""
    middles = [middle_pose(clip.pose, clip.valid) for clip in clips]
    return np.mean(middles, axis=0).astype(np.float32)


def standardized_poses(
    clip: Clip, statistics: PoseStatistics, smoothing_frames: float = SMOOTHING_FRAMES
) -> Float[np.ndarray, "t 6"]:
    """What PoseGAN learns of a clip; meaningless where its frames are not valid."""
    poses = poses_from_rest(clip, smoothing_frames)
    return ((poses - statistics.mean) / statistics.std).astype(np.float32)


def _rotation(angles_rad):
    """SciPy's rotations by pitch, yaw and roll."""
    from scipy.spatial.transform import Rotation  # slow to import, and seldom needed

    return Rotation.from_euler("xyz", angles_rad)
