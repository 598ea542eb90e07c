"""Speech in, an animated 3D head out: python -m experiments.animate_head --audio FILE.

Writes head.mp4, a video of the head with the sound, and head.glb, the head as an animated glTF file
for Blender (File > Import > glTF 2.0) and others: 64 expressions and the lids as shape keys, the
head's rotation and translation, a keyframe for each frame.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

import facial_jax
from experiments import MotionOptions, make_video
from facial_jax.animation import SIZE
from facial_jax.streamed_video import CHUNK_FRAMES


@dataclass(frozen=True, kw_only=True)
class Arguments(MotionOptions):
    """Makes a subject's 3D head speak."""

    output: Path = Path("head.mp4")
    """The video to write, an .mp4 file; the head goes beside it, as .glb."""
    size: int = SIZE
    """Height and width of the video in pixels."""
    chunk_frames: int = CHUNK_FRAMES
    """How many frames are made at a time."""


def main(arguments: Arguments) -> None:
    """Makes video and head, or ends with one line that says what is wrong."""
    head = make_video(
        facial_jax.animate,
        arguments,
        output=arguments.output,
        size=arguments.size,
        chunk_frames=arguments.chunk_frames,
    )
    seconds = float(len(head) / head.fps)
    print(f"{head.path}, {head.path.with_suffix('.glb')}: {len(head)} frames, {seconds:.2f} s")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
