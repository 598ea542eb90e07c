"""The edge of a person's head: how much of what is seen there is the head's, and in which colour.

At the edge of hair a point of the head's shell shows C = α F + (1 − α) B, a mixture of the head's
colour F and that of the place behind it, B (Porter and Duff, SIGGRAPH 1984). As the head moves, B
changes and F does not, so that frames tell α and F (triangulation matting; Smith and Blinn,
SIGGRAPH 1996). Before a bare wall they do not. There F is taken to be the colour of the nearest
point well inside the head, as far as C lies on the straight line from that to B.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import binary_fill_holes, distance_transform_edt

from facial_jax.pictures import disc, opencv

_WITHIN_DM, _BEYOND_DM = 0.2, 0.12
"""How far the edge reaches, to either side of where the opacity is a half."""
_BELIEF = 0.3
"""Weight of the nearest inner colour beside what the frames tell."""
_ALIKE = 16.0
"""Grey levels by which C may be beside that line, in standard deviations."""
NOISE = 3.0
"""Grey levels by which frames differ that show the same."""
_LEAST_SEEN = 0.25
"""Less opaque points have the nearest inner colour: that of noise would be blown up."""
_LEVELS = 20


def inside_and_edge(
    opacity: Float[np.ndarray, "th tw"], texel: float
) -> tuple[Bool[np.ndarray, "th tw"], Bool[np.ndarray, "th tw"]]:
    """Which texels, of so many decimetres, lie well inside the head, and which at its edge."""
    solid = binary_fill_holes(opacity > 0.5).astype(np.uint8)
    inside = opencv().erode(solid, disc(_WITHIN_DM / texel)) > 0
    return inside, (opencv().dilate(solid, disc(_BEYOND_DM / texel)) > 0) & ~inside


def matted(
    texture: Float[np.ndarray, "th tw 3"],
    opacity: Float[np.ndarray, "th tw"],
    inside: Bool[np.ndarray, "th tw"],
    edge: Bool[np.ndarray, "th tw"],
    shown: UInt8[np.ndarray, "t th tw 3"],
    place: UInt8[np.ndarray, "t th tw 3"],
    within: Bool[np.ndarray, "t th tw"],
) -> tuple[Float[np.ndarray, "th tw 3"], Float[np.ndarray, "th tw"]]:
    """The head's own colour, and its opacity in [0, 1], also at its edge.

    Args:
        texture: what the frames show of the head, mixed with the place; grey levels.
        opacity: in [0, 1], to be bettered.
        inside: where the texture is the head's alone.
        edge: where both are sought.
        shown: what each frame shows of a texel.
        place: what there would be without the head.
        within: whether the texel is in the frame.
    """
    if not inside.any() or not edge.any():
        return texture, opacity
    nearest = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    at = edge.nonzero()
    inner, before = texture[tuple(nearest)][at], opacity[at]
    times = np.maximum(within[:, *at].sum(axis=0), 1)[:, None]
    weight = (within[:, *at] / times[:, 0])[..., None].astype(np.float32)
    shown, place = (x[:, *at].astype(np.float32) for x in (shown, place))
    seen, behind = ((weight * x).sum(axis=0) for x in (shown, place))
    off_seen, off_behind = np.sqrt(weight) * (shown - seen), np.sqrt(weight) * (place - behind)

    def dot(a, b):
        return (a * b).sum(axis=-1)

    both, alone = dot(off_seen, off_behind).sum(axis=0), dot(off_behind, off_behind).sum(axis=0)
    unexplained = dot(off_seen, off_seen).sum(axis=0) - both**2 / np.maximum(alone, 1e-3)
    line = behind - inner
    along, length = dot(seen - inner, line), dot(line, line)
    share = np.clip(along / np.maximum(length, 1), 0, 1)[:, None]
    beside = seen - inner - share * line
    belief = _BELIEF * np.exp(-dot(beside, beside) / (2 * _ALIKE**2))
    # Least squares of 1 − α: the frames' covariances, the line, and what was thought before.
    doubt = 3 * NOISE**2 + unexplained
    rest = both + belief * along + doubt * (1 - before)
    rest = np.clip(rest / (alone + belief * length + doubt), 0, 1)
    alpha = opacity.copy()
    alpha[at] = 1 - rest
    alpha = np.where(opacity > 0.5, without_holes(alpha), alpha)
    own, belief = alpha[at][:, None], belief[:, None]
    color = (1 - belief) * (seen - (1 - own) * behind) + belief * own * inner
    color = np.where(own > _LEAST_SEEN, color / np.maximum(own, _LEAST_SEEN), inner)
    texture = texture.copy()
    texture[at] = np.clip(color, 0, 255)
    return texture, alpha.astype(np.float32)


def further_opacity(
    off: Float[np.ndarray, "th tw 3"], toward: Float[np.ndarray, "th tw 3"]
) -> Float[np.ndarray, "th tw 1"]:
    """By how much more opaque the head would come nearest to a frame; little, where both are alike.

    Args:
        off: what the frame shows, less what is made with the opacity that is known.
        toward: the head's colour, less that of the place behind it.
    """
    along, length = (off * toward).sum(axis=-1), np.square(toward).sum(axis=-1)
    return (along / (length + 3 * NOISE**2))[..., None]


def without_holes(alpha: Float[np.ndarray, "th tw"]) -> Float[np.ndarray, "th tw"]:
    """The same, no texel lower than all that is around it: heads have no windows."""
    filled = alpha
    for level in np.arange(1, _LEVELS + 1) / _LEVELS:
        filled = np.where(binary_fill_holes(alpha >= level), np.maximum(filled, level), filled)
    return filled
