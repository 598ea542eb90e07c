"""How near a person's head and room, as the network is shown them, come to held-out frames.

    python -m benchmarks.bench_surroundings --clips runs/tracked/*

`--clips` are folders that experiments.prepare wrote. The head's shell, the background, the irises,
the inner mouth and the face's texture are found in the first four fifths of each clip; in the last
fifth nothing but the attributes is known. No network is in it. Also: what a picture takes to draw,
with and without.
"""

from dataclasses import dataclass
from pathlib import Path

import av
import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks.measure import measure
from facial_jax.data.tracked_clip import FILE_NAME, load_tracked_clip
from facial_jax.face.procedural import procedural_face_model
from facial_jax.metrics.regions import region_psnr
from facial_jax.metrics.rendering_to_video import CLOSED_EYES
from facial_jax.models.rendering_to_video.conditioning import (
    conditioning_pictures,
    face_regions,
    make_scene,
)
from facial_jax.personalization.appearance import learn_appearance, telling_frames
from facial_jax.personalization.clip import CROP, first_held_out, shown_frames
from facial_jax.pictures import resize

BATCH = 8


@dataclass(frozen=True)
class Arguments:
    """What is measured."""

    clips: tuple[Path, ...]
    """Folders of tracked clips."""
    size: int = 192
    """Height and width of the frames."""


def psnr(pictures: np.ndarray, real: np.ndarray) -> float:
    """Mean of the frames' PSNR in dB; both (t, h, w, 3), 0 to 255."""
    errors = np.square(pictures.astype(np.float32) - real).mean(axis=(1, 2, 3))
    return float(-10 * np.log10(errors / 255**2).mean())


def run(folder: Path, size: int) -> None:
    """Prints one clip's row."""
    clip, _ = load_tracked_clip(folder / FILE_NAME)
    with av.open(str(folder / CROP)) as container:
        whole = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    frames = np.stack([resize(frame, size) for frame in whole])
    first, model = first_held_out(clip), procedural_face_model()
    shown = shown_frames(clip, first)
    before, after = shown[shown < first], shown[shown >= first]
    telling = np.stack([whole[i] for i in telling_frames(clip, before)])
    appearance = learn_appearance(clip, before, frames[before], telling)
    face = jax.tree.map(jnp.asarray, clip.face)
    scenes = {
        name: make_scene(model, face, (size, size), appearance.replace(surroundings=around))
        for name, around in (("with", appearance.surroundings), ("without", None))
    }
    draw = jax.jit(conditioning_pictures)

    def pictures(scene):
        parts = []
        for start in range(0, len(after), BATCH):
            index = np.minimum(np.arange(start, start + BATCH), len(after) - 1)
            parts.append(np.asarray(draw(scene, clip.attributes[after[index]]))[..., :3] * 255)
        return np.concatenate(parts)[: len(after)]

    drawn = np.rint(pictures(scenes["with"]).clip(0, 255)).astype(np.uint8)
    weights = np.asarray(jax.jit(face_regions)(scenes["with"], clip.attributes[after]))
    closed = clip.blink[after] > CLOSED_EYES
    by_region = {
        "mouth": region_psnr(drawn, frames[after], weights[..., 0]),
        "eyes": region_psnr(drawn[~closed], frames[after][~closed], weights[~closed, ..., 1]),
    }
    if closed.any():
        by_region[f"eyes of {closed.sum()} frames with closed ones"] = region_psnr(
            drawn[closed], frames[after][closed], weights[closed, ..., 1]
        )
    real, mean = frames[after], frames[before].mean(axis=0, dtype=np.float64)
    some = clip.attributes[after[np.zeros(BATCH, int)]]
    times = {
        name: measure(name, lambda scene=scene: draw(scene, some), repeats=20, items=BATCH)
        for name, scene in scenes.items()
    }
    milliseconds = {name: 1e3 * row.wall_s / BATCH for name, row in times.items()}
    print(
        f"{folder.name:16s} mean frame {psnr(np.broadcast_to(mean, real.shape), real):6.2f} dB   "
        f"shell, room and face {psnr(drawn, real):6.2f} dB ("
        + ", ".join(f"{name} {value:.2f}" for name, value in by_region.items())
        + ")   a picture takes "
        f"{milliseconds['with']:.1f} ms, without surroundings {milliseconds['without']:.1f} ms",
        flush=True,
    )


def main(arguments: Arguments) -> None:
    """Prints a row for each clip."""
    for folder in arguments.clips:
        run(folder, arguments.size)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
