"""How a person looks beyond what the face model's coefficients say, as their video shows it.

A rendering-to-video network has seen faces rendered with it, and makes sense with it only.
"""

from collections.abc import Mapping
from typing import Any

import flax.struct
import numpy as np
from jaxtyping import Array, Float

from facial_jax.gaze import Eyes, eyes_arrays, eyes_from_arrays
from facial_jax.rendering.color_changes import (
    TextureChanges,
    changes_arrays,
    texture_changes_from_arrays,
)
from facial_jax.rendering.inner_mouth import (
    InnerMouth,
    inner_mouth_arrays,
    inner_mouth_from_arrays,
)
from facial_jax.rendering.surroundings import (
    Surroundings,
    surroundings_arrays,
    surroundings_from_arrays,
)


@flax.struct.dataclass
class Appearance:
    """A person's own colours, eyes and mouth, and where they are."""

    vertex_texture: Float[Array | np.ndarray, "m 3"] | None = None
    # albedo of the rendered faces' vertices, and of the points between (`face.color_mesh`), which
    # files of before 0.8 lack; None: the statistical texture
    texture_changes: TextureChanges | None = None
    # of the albedo with pose and expression; None: it stays as it is
    surroundings: Surroundings | None = None
    # what is around the rendered faces; None: nothing, they are on black
    eyes: Eyes | None = None
    # what looks out of them; None: the texture's eyes, which do not move
    inner_mouth: InnerMouth | None = None
    # what is between their lips; None: the face model's teeth and tongue


PARTS = {
    "texture_changes": (changes_arrays, texture_changes_from_arrays),
    "surroundings": (surroundings_arrays, surroundings_from_arrays),
    "eyes": (eyes_arrays, eyes_from_arrays),
    "inner_mouth": (inner_mouth_arrays, inner_mouth_from_arrays),
}
"""By its name in files, what writes a part as arrays, and what reads it."""


def appearance_arrays(appearance: Appearance) -> dict[str, dict[str, np.ndarray]]:
    """As files hold it, by parts; the inverse of `appearance_from_arrays`."""
    arrays = {}
    for name, (to_arrays, _) in PARTS.items():
        if (part := getattr(appearance, name)) is not None:
            arrays[name] = to_arrays(part)
    if appearance.vertex_texture is not None:
        arrays["face"] = {"texture": np.asarray(appearance.vertex_texture)}
    return arrays


def appearance_from_arrays(arrays: Mapping[str, Any]) -> Appearance:
    """What `appearance_arrays` gave; other entries are no mistake.

    Raises:
        ValueError: an array of a part is missing, or of another shape or type.
    """
    parts = {name: read(arrays[name]) for name, (_, read) in PARTS.items() if name in arrays}
    return Appearance(vertex_texture=arrays.get("face", {}).get("texture"), **parts)
