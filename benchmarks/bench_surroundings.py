"""How near a person's head and room, as the network is shown them, come to held-out frames.

    python -m benchmarks.bench_surroundings --clips runs/tracked/*

`--clips` are folders that experiments.prepare wrote. The person's appearance is learnt from four
fifths of each clip; in the last fifth, or the first, nothing but the attributes is known. No
network is in it. Beside it the same with colours that do not change with pose and expression, and
points of the shell that stay in their places. Also: what a picture takes to draw, with all of it,
with nothing that changes, and on black.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
from facial_jax.metrics.sharpness import cpbd
from facial_jax.models.rendering_to_video.conditioning import (
    conditioning_pictures,
    face_regions,
    make_scene,
)
from facial_jax.personalization.appearance import (
    learn_appearance,
    shown_pictures,
    telling_frames,
)
from facial_jax.personalization.clip import CROP, HELD_OUT, first_held_out, shown_frames
from facial_jax.pictures import resize

BATCH = 8


@dataclass(frozen=True)
class Arguments:
    """What is measured."""

    clips: tuple[Path, ...]
    """Folders of tracked clips."""
    size: int = 192
    """Height and width of the frames."""
    held_out: Literal["last", "first"] = "last"
    """Which fifth is measured."""


def psnr(pictures: np.ndarray, real: np.ndarray) -> float:
    """Mean of the frames' PSNR in dB; both (t, h, w, 3), 0 to 255."""
    errors = np.square(pictures.astype(np.float32) - real).mean(axis=(1, 2, 3))
    return float(-10 * np.log10(errors / 255**2).mean())


def run(folder: Path, size: int, held_out: str) -> None:
    """Prints one clip's rows."""
    clip, _ = load_tracked_clip(folder / FILE_NAME)
    with av.open(str(folder / CROP)) as container:
        whole = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    frames = np.stack([resize(frame, size) for frame in whole])
    if held_out == "last":
        first = first_held_out(clip)
        shown = shown_frames(clip, first)
        before, after = shown[shown < first], shown[shown >= first]
    else:
        seen, first = np.flatnonzero(clip.valid), round(HELD_OUT * len(clip))
        before, after = seen[seen >= first], seen[seen < first]
    telling = np.stack([whole[i] for i in telling_frames(clip, before)])
    appearance = learn_appearance(clip, before, frames[before], telling)
    model, face = procedural_face_model(), jax.tree.map(jnp.asarray, clip.face)
    still = appearance.surroundings.replace(changes=None)
    scenes = {
        name: make_scene(model, face, (size, size), shown)
        for name, shown in (
            ("all of it", appearance),
            ("nothing changes", appearance.replace(texture_changes=None, surroundings=still)),
            ("on black", appearance.replace(surroundings=None)),
        )
    }
    draw, real = jax.jit(conditioning_pictures), frames[after]

    mean = psnr(np.broadcast_to(frames[before].mean(axis=0, dtype=np.float64), real.shape), real)
    of_video = np.mean([cpbd(frame / np.float32(255)) for frame in real])
    print(
        f"{folder.name}, {len(before)} + {len(after)} frames: mean frame {mean:.2f} dB, "
        f"CPBD of the video {of_video:.3f}"
    )
    weights = np.asarray(jax.jit(face_regions)(scenes["all of it"], clip.attributes[after]))
    closed, some = clip.blink[after] > CLOSED_EYES, clip.attributes[after[np.zeros(BATCH, int)]]
    for name, scene in scenes.items():
        row = measure(name, lambda scene=scene: draw(scene, some), repeats=20, items=BATCH)
        line = f"  {name:18s} {1e3 * row.wall_s / BATCH:5.1f} ms a picture"
        if scene.surroundings is not None:
            drawn = shown_pictures(scene, clip.attributes[after])
            parts = {
                "mouth": region_psnr(drawn, real, weights[..., 0]),
                "eyes": region_psnr(drawn[~closed], real[~closed], weights[~closed, ..., 1]),
            }
            if closed.any():
                parts[f"eyes of {closed.sum()} frames with closed ones"] = region_psnr(
                    drawn[closed], real[closed], weights[closed, ..., 1]
                )
            sharp = np.mean([cpbd(picture / np.float32(255)) for picture in drawn])
            line += f"   {psnr(drawn, real):.2f} dB, CPBD {sharp:.3f} ("
            line += ", ".join(f"{part} {value:.2f}" for part, value in parts.items()) + ")"
        print(line, flush=True)


def main(arguments: Arguments) -> None:
    """Prints some rows for each clip."""
    for folder in arguments.clips:
        run(folder, arguments.size, arguments.held_out)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
