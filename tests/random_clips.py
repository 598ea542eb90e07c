"""Clips of nobody, for tests of the data sets."""

import numpy as np

from facial_jax.data.clips import SAMPLE_RATE, Clip, clips_in_memory


def random_clip(
    name, subject, frames, *, seed=0, valid=None, fps="25", features=29, frame_identity=False
) -> Clip:
    """A well-formed clip of noise."""
    rng = np.random.default_rng(seed)

    def noise(*shape, scale=1.0):
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    return Clip(
        clip=name,
        subject=subject,
        fps=fps,
        waveform=rng.integers(-999, 999, round(frames * SAMPLE_RATE / 25)).astype(np.int16),
        features=noise(frames, features),
        expression=noise(frames, 64, scale=0.3),
        pose=noise(frames, 6, scale=0.1),
        blink=rng.uniform(0, 5, frames).astype(np.float32),
        valid=np.ones(frames, bool) if valid is None else valid,
        identity=noise(80),
        texture=noise(80),
        illumination=noise(3, 9),
        frame_identity=noise(frames, 80) if frame_identity else None,
    )


def clip_source(*clips):
    """A source of these clips, as a data set is one."""
    return clips_in_memory(*clips)
