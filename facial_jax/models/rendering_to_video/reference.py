"""A person's reference video as a training reads it, and the faces rendered for its frames.

A folder holds the frames, `frames.npy` (t, h, w, 3) uint8 or `reference.mp4`, and
`attributes.npz`: expression (t, 64), pose (t, 6), blink (t,), identity (80,), texture (80,),
illumination (3, 9), clip_starts if it holds more than one clip, and vertex_texture (m, 3) if faces
are to be rendered with the person's own. If there is a `surroundings.npz`, they are rendered before
what it holds (`facial_jax.rendering.surroundings`). If there is an `eyes.npz`, its irises are drawn
where `gaze` (t, 2) looks (`facial_jax.gaze`). If there is an `inner_mouth.npz`, what it holds is
drawn between the lips (`facial_jax.rendering.inner_mouth`). If there is a `motion.npz`, it says how
what is around the face is displaced in each frame (`facial_jax.rendering.surroundings`): a network
that sees hair and shoulders where the frame has them learns them sharp.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from facial_jax.appearance import PARTS, Appearance, appearance_arrays
from facial_jax.attributes import Attributes, Identity
from facial_jax.compilation import jit
from facial_jax.face.procedural import procedural_face_model
from facial_jax.files import whole_or_nothing
from facial_jax.models.rendering_to_video.conditioning import (
    conditioning_pictures,
    face_regions,
    make_scene,
)
from facial_jax.provenance import Provenance, tree_hash
from facial_jax.readers.npz import map_npy, read_npz
from facial_jax.rendering.displacement import SWAY_GRID
from facial_jax.rendering.surroundings import SurroundingsMotion
from facial_jax.stages import stage
from facial_jax.version import __version__
from facial_jax.video import read_frames

RENDERED_AT_ONCE = 16


@dataclass(frozen=True)
class RenderedClip:
    """A reference video and what the network sees of it; images are uint8."""

    frames: np.ndarray
    # (t, h, w, 3) RGB
    pictures: np.ndarray
    # (t, h, w, 4) rendered face and scaled eye attention map
    regions: np.ndarray
    # (t, h, w, 2) how much a pixel belongs to the mouth and to the eyes
    clip_starts: np.ndarray
    # where in the frames a new clip begins, 0 the first


_ROWS = ("expression", "pose", "blink")
_FACE = ("identity", "texture", "illumination")
_MOTION = "motion.npz"


class Reference(NamedTuple):
    """A reference video, and whose it is."""

    frames: np.ndarray
    # (t, h, w, 3) RGB uint8
    attributes: Attributes
    identity: Identity
    clip_starts: np.ndarray
    appearance: Appearance
    # the person's own texture and what else is known of how they look
    motion: SurroundingsMotion | None = None
    # of what is around the face in these very frames; None: the usual one at their poses


def load_reference(folder: Path) -> Reference:
    """What a folder holds.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, lacks an array, or does not fit the others.
    """
    path = folder / "attributes.npz"
    arrays = read_npz(path, (*_ROWS, *_FACE, "clip_starts", "vertex_texture", "gaze"))
    if missing := [name for name in (*_ROWS, *_FACE) if name not in arrays]:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    optional = [name for name in ("gaze",) if name in arrays]
    attributes = Attributes(**{k: arrays[k].astype(np.float32) for k in (*_ROWS, *optional)})
    identity = Identity(**{k: jnp.asarray(arrays[k], jnp.float32) for k in _FACE})
    clip_starts = arrays.get("clip_starts", np.zeros(1, np.int32))
    if (folder / "frames.npy").is_file():
        frames = _mapped_frames(folder / "frames.npy")
    else:
        frames = read_frames(folder / "reference.mp4")
    if len(frames) != len(attributes):
        raise ValueError(f"{folder}: {len(frames)} frames, but attributes of {len(attributes)}.")
    parts = {name: _read_part(folder, name) for name in PARTS}
    appearance = Appearance(vertex_texture=arrays.get("vertex_texture"), **parts)
    motion = _read_motion(folder, len(frames))
    return Reference(frames, attributes, identity, clip_starts, appearance, motion)


def _read_motion(folder: Path, count: int) -> SurroundingsMotion | None:
    path = folder / _MOTION
    if not path.is_file():
        return None
    most = {"displacement": np.inf, "sway": SWAY_GRID}
    arrays = read_npz(path, tuple(most))
    for name, array in arrays.items():
        whole = array.ndim == 4 and len(array) == count and array.shape[3] == 2
        if not whole or not (1 <= array.shape[1] <= most[name] and array.shape[2] > 1):
            raise ValueError(
                f"{path}: expected {name} of {count} frames, two numbers for each point, got shape "
                f"{array.shape}"
            )
    return SurroundingsMotion(**arrays)


def save_motion(folder: Path, motion: SurroundingsMotion) -> None:
    """Adds to the folder how what is around the face is displaced in its frames."""
    with whole_or_nothing(folder / _MOTION) as partial:
        known = {"displacement": motion.displacement, "sway": motion.sway}
        np.savez(partial, **{k: x.astype(np.float16) for k, x in known.items() if x is not None})


def _read_part(folder: Path, name: str) -> Any:
    path = _part_file(folder, name)
    if not path.is_file():
        return None
    arrays = read_npz(path)
    try:
        return PARTS[name][1](arrays)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _part_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npz"


def save_parts(folder: Path, appearance: Appearance) -> None:
    """Adds to the folder all but the texture, which is among the attributes."""
    for name, arrays in appearance_arrays(appearance).items():
        if name in PARTS:
            with whole_or_nothing(_part_file(folder, name)) as partial:
                np.savez(partial, **arrays)


def _mapped_frames(path: Path) -> np.ndarray:
    frames = map_npy(path)
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
        raise ValueError(f"{path}: expected (t, h, w, 3) uint8, got {frames.shape} {frames.dtype}")
    return frames


def render_clip(
    reference: Reference, folder: Path, *, progress: Callable[[Iterable], Iterable] = iter
) -> RenderedClip:
    """Renders every frame's face into a folder, unless it holds those of the same reference.

    `progress` wraps the iteration over the frames, such as a progress bar.
    """
    paths = folder / "pictures.npy", folder / "regions.npy"
    stage(folder, renders_provenance(reference), lambda: write_renders(reference, *paths, progress))
    pictures, regions = (np.load(path, mmap_mode="r") for path in paths)
    return RenderedClip(reference.frames, pictures, regions, reference.clip_starts)


def joined_clips(*clips: RenderedClip) -> RenderedClip:
    """Clips one after another; one alone is not copied."""
    if len(clips) == 1:
        return clips[0]
    begins = np.cumsum([0] + [len(clip.frames) for clip in clips[:-1]])
    return RenderedClip(
        *(
            np.concatenate([getattr(clip, name) for clip in clips])
            for name in ("frames", "pictures", "regions")
        ),
        clip_starts=np.concatenate(
            [begin + clip.clip_starts for begin, clip in zip(begins, clips, strict=True)]
        ),
    )


def renders_provenance(reference: Reference) -> Provenance:
    """What the rendered faces depend on: all of the reference but what is seen in its frames."""
    return {
        "size": list(reference.frames.shape[1:3]),
        "attributes": tree_hash(reference.attributes),
        "identity": tree_hash(reference.identity),
        "appearance": tree_hash(reference.appearance),
        "motion": tree_hash(reference.motion),
        "facial_jax": __version__,
    }


def write_renders(
    reference: Reference,
    pictures_path: Path,
    regions_path: Path,
    progress: Callable[[Iterable], Iterable] = iter,
) -> None:
    """Renders every frame's face, some frames at a time, into two files."""
    frames, attributes = reference.frames, reference.attributes
    size = frames.shape[1:3]
    model = procedural_face_model()
    scene = make_scene(model, reference.identity, size, reference.appearance)

    @jit
    def render_batch(scene, attributes, motion):
        motion = jax.tree.map(lambda x: x.astype(jnp.float32), motion)
        pictures = conditioning_pictures(scene, attributes, motion)
        regions = face_regions(scene, attributes)
        return unit_range_to_uint8(pictures), unit_range_to_uint8(regions)

    n = len(attributes)
    with (
        whole_or_nothing(pictures_path) as pictures_part,
        whole_or_nothing(regions_path) as regions_part,
    ):
        files = [
            np.lib.format.open_memmap(path, "w+", np.uint8, (n, *size, channels))
            for path, channels in ((pictures_part, 4), (regions_part, 2))
        ]
        for start in progress(range(0, n, RENDERED_AT_ONCE)):
            index = np.minimum(np.arange(start, start + RENDERED_AT_ONCE), n - 1)
            motion = jax.tree.map(lambda x, index=index: x[index], reference.motion)
            batches = render_batch(scene, attributes[index], motion)
            for file, batch in zip(files, batches, strict=True):
                file[start : start + RENDERED_AT_ONCE] = np.asarray(batch)[: n - start]
        for file in files:
            file.flush()


def unit_range_to_uint8(x):
    """[0, 1] as 0 to 255, rounded."""
    return jnp.round(jnp.clip(x, 0.0, 1.0) * 255.0).astype(jnp.uint8)
