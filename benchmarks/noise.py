"""Data of noise, which trainings are timed on."""

import numpy as np

from facial_jax.data.clips import Clip, ClipSource, clips_in_memory
from facial_jax.models.rendering_to_video.reference import RenderedClip


def noise_video(size: int, frames: int) -> RenderedClip:
    """A reference clip of noise."""
    rng = np.random.default_rng(0)
    frames, pictures, regions = (
        rng.integers(0, 256, (frames, size, size, channels), np.uint8) for channels in (3, 4, 2)
    )
    return RenderedClip(frames, pictures, regions, np.zeros(1, np.int32))


def noise_clips(count: int, frames: int) -> ClipSource:
    """Clips of noise, by two subjects."""
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32) / 4

    clips = [
        Clip(
            clip=f"clip {number}",
            subject=f"subject {number % 2}",
            fps="25",
            waveform=np.zeros(frames * 640, np.int16),
            features=noise(frames, 29),
            expression=noise(frames, 64),
            pose=noise(frames, 6),
            blink=np.abs(noise(frames)),
            valid=np.ones(frames, bool),
            identity=noise(80),
            texture=noise(80),
            illumination=noise(3, 9),
        )
        for number in range(count)
    ]
    return clips_in_memory(*clips)
