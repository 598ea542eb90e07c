"""The closed eyelids of the built-in face.

No expression component moves the lids: in the papers the blink is an attribute of its own, which
the network that draws the video sees as the eye attention map, and learns to close the eyes. In
seconds of video eyes close a few times: too few to learn it. The face closes them itself.
"""

import functools

import numpy as np
from jaxtyping import Float

from facial_jax.face.model import FaceModel
from facial_jax.face.procedural import geometry
from facial_jax.face.procedural.model import is_built_in
from facial_jax.face.procedural.template import EYE, SKIN, load_template

_CREASE = 0.16  # height above the eye up to which the lid takes part, dm
_OVERLAP = 0.15  # of the opening's height, by which the lid covers the lower margin
_BEHIND_LID = 0.012  # dm


def closed_lids(model: FaceModel) -> Float[np.ndarray, "n 3"] | None:
    """What closes both eyes, in dm; None: the face model is another one, whose lids do not move."""
    return sum(lid_closing()) if is_built_in(model) else None


@functools.cache
def lid_closing() -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Displacements of all vertices, in dm, that close the eye left and right in the picture."""
    template = load_template()
    shown = (template.label == SKIN) | (template.label == EYE)
    uv = template.coordinates[shown]
    above, below, place = geometry.lid_lines(uv)
    gap = np.maximum(below - above, 0.0) * ((place > 0) & (place < 1))
    # The lid is stretched down over the lower margin, behind which the eye is pressed together.
    over = _OVERLAP * gap
    lid = (gap + over) * (1.0 - geometry.smoothstep(0.0, _CREASE, above))
    down = np.where(above > 0, lid, np.where(below >= 0, np.clip(below, 0.0, gap) + over, 0.0))
    moved = uv - np.stack([np.zeros_like(down), down], axis=1)
    spline = geometry.template_splines()
    # The lid slides on the surface that its own margins span; the eye goes behind it.
    there, here = (geometry.evaluate_thin_plate(spline, points) for points in (moved, uv))
    behind = there - np.array([0.0, 0.0, _BEHIND_LID])
    eye = template.label[shown, None] == EYE
    change = np.where(eye, behind - geometry.skin_shape(uv), there - here)
    change *= (down > 0)[:, None]
    sides = []
    for sign in (-1.0, 1.0):
        displacement = np.zeros((len(template.label), 3), np.float32)
        displacement[shown] = change * (sign * uv[:, :1] > 0)
        sides.append(displacement)
    return tuple(sides)
