"""How colours change with the head's pose and the face's expression.

Light that stays where it is while the head turns, a surface that is not where the model has it,
folds, and the shadow under a lip that rises: what one point of a face, of hair or of a coat shows
differs from frame to frame, and most of it goes linearly with pose and expression (as textures in
active appearance models, Cootes, Edwards and Taylor, TPAMI 2001).
`facial_jax.tracking.color_changes` finds it in a video.
"""

import dataclasses

import flax.struct
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int8, UInt8

from facial_jax.attributes import EXPRESSION_SIZE, MAX_BLINK, POSE_SIZE, Attributes
from facial_jax.rendering.displacement import SWAY_GRID

MAX_DEVIATIONS = 2.5
"""Standard deviations from the mean: beyond, nothing changes further, as no video showed it."""
DIRECTIONS = 8
"""Of expression, at most: the main ones of a video."""


@flax.struct.dataclass
class TextureChanges:
    """By how much the colours of a face's points differ from their mean ones."""

    directions: Float[Array | np.ndarray, "e 64"]
    # main directions of the person's expressions, orthonormal
    mean: Float[Array | np.ndarray, "k"]
    # of pose (6) and of expression along the directions (e)
    deviation: Float[Array | np.ndarray, "k"]
    # standard deviations of both
    changes: Float[Array | np.ndarray, "k m 3"]
    # of the albedo with one standard deviation of each
    closed: Float[Array | np.ndarray, "m 3"] | None = None
    # of the albedo where eyes are closed: lashes, and lids without their fold; None, if no blink
    # was seen and in files of before 0.7: colours of open eyes are stretched
    lids: Float[Array | np.ndarray, "m"] | None = None
    # 1 for points of lids and eyes, which do not change with the others where eyes are closed: what
    # was seen of open ones says nothing of that; None, in files of before 0.8: they do


@flax.struct.dataclass
class SurroundingsChanges:
    """By how much what is around a face differs from its mean as the head moves."""

    mean: Float[Array | np.ndarray, "6"]
    # of the pose
    deviation: Float[Array | np.ndarray, "6"]
    # its standard deviations
    texture: Int8[Array | np.ndarray, "6 th tw 4"]
    # of the shell's colours and opacity with one standard deviation of each, as its texture
    background: Int8[Array | np.ndarray, "6 h w 3"]
    # of the background, the same
    texture_range: UInt8[Array | np.ndarray, "2 th tw 4"]
    # the least and the most that the video shows of the shell
    background_range: UInt8[Array | np.ndarray, "2 h w 3"]
    # and of the background
    displacement: Float[Array | np.ndarray, "7 dh dw 2"] | None = None
    # of the head's points (`facial_jax.rendering.displacement`), decimetres: the mean one, and what
    # one standard deviation of each adds; None, in files of before 0.5: they stay in their places
    sway: Float[Array | np.ndarray, "7 lowest sw 2"] | None = None
    # of the body, see `SurroundingsMotion`, as the displacement; None, as in files of before 0.12:
    # nothing sways


def deviations(
    values: Float[Array | np.ndarray, "*t k"],
    mean: Float[Array | np.ndarray, "k"],
    deviation: Float[Array | np.ndarray, "k"],
) -> Float[Array, "*t k"]:
    """How many standard deviations values lie from their mean, up to 2.5."""
    over = (1,) * (jnp.ndim(values) - 1) + (-1,)
    apart = (values - jnp.reshape(mean, over)) / jnp.reshape(deviation, over)
    return jnp.clip(apart, -MAX_DEVIATIONS, MAX_DEVIATIONS)


def what_changes(
    attributes: Attributes, directions: Float[Array | np.ndarray, "e 64"]
) -> Float[Array, "*t k"]:
    """What a face's colours change with: the pose, and expression along some directions."""
    expression = jnp.asarray(attributes.expression) @ jnp.asarray(directions).T
    return jnp.concatenate([jnp.asarray(attributes.pose), expression], axis=-1)


def closing(blink: Float[Array | np.ndarray, "*t"]) -> Float[Array | np.ndarray, "*t"]:
    """How far eyes are closed, from 0 to 1, by AU45's intensity."""
    return (blink / MAX_BLINK).clip(0, 1)


def changed_albedo(
    albedo: Float[Array, "m 3"], texture: TextureChanges, attributes: Attributes
) -> Float[Array, "*t m 3"]:
    """The albedo of every point in every frame."""
    values = what_changes(attributes, texture.directions)
    apart = deviations(values, jnp.asarray(texture.mean), jnp.asarray(texture.deviation))
    changed = jnp.tensordot(apart, jnp.asarray(texture.changes), axes=1)
    shut, frames = closing(jnp.asarray(attributes.blink)), (None,) * (changed.ndim - 2)
    if texture.lids is not None:
        changed *= 1 - shut[..., None, None] * jnp.asarray(texture.lids)[*frames, :, None]
    if texture.closed is not None:
        changed += shut[..., None, None] * jnp.asarray(texture.closed)[frames]
    return albedo.reshape((1,) * (changed.ndim - 2) + albedo.shape) + changed


def changed_colors(
    colors: UInt8[Array, "h w c"],
    changes: Int8[Array, "6 h w c"],
    within: UInt8[Array, "2 h w c"],
    apart: Float[Array, "6"],
) -> Float[Array, "h w c"]:
    """Colours of the shell or the background at a pose so many `deviations` from the mean one.

    What lies at the edge of hair is now hair and now wall: a straight line through both would go
    on to what is whiter than the wall, so it ends at what the video shows.
    """
    # Bytes stay bytes: what does not change from frame to frame would be widened once for all, and
    # every frame would read four times as much.
    colors, changes, within, apart = lax.optimization_barrier((colors, changes, within, apart))
    terms = (
        share * change.astype(jnp.float32) for share, change in zip(apart, changes, strict=True)
    )
    changed = sum(terms, start=colors.astype(jnp.float32))
    low, high = within.astype(jnp.float32)
    return jnp.clip(changed, low, high)


def changes_arrays(changes: TextureChanges | SurroundingsChanges) -> dict[str, np.ndarray]:
    """As files hold it; the inverse of `texture_changes_from_arrays` and the other."""
    values = {f.name: getattr(changes, f.name) for f in dataclasses.fields(changes)}
    return {name: np.asarray(value) for name, value in values.items() if value is not None}


def texture_changes_from_arrays(arrays: dict[str, np.ndarray]) -> TextureChanges:
    """What `changes_arrays` gave.

    Raises:
        ValueError: one of the arrays is missing, or of another shape or type.
    """
    directions = arrays.get("directions")
    count = POSE_SIZE + (len(directions) if np.ndim(directions) == 2 else 0)
    vertices = np.shape(arrays.get("changes"))[1:2] or (0,)
    shapes = {
        "directions": (count - POSE_SIZE, EXPRESSION_SIZE),
        "mean": (count,),
        "deviation": (count,),
        "changes": (count, *vertices, 3),
    }
    optional = {"closed": (*vertices, 3), "lids": vertices}
    shapes |= {name: shape for name, shape in optional.items() if name in arrays}
    _check("texture changes", arrays, shapes, np.floating)
    return TextureChanges(**{name: arrays[name].astype(np.float32) for name in shapes})


def surroundings_changes_from_arrays(
    arrays: dict[str, np.ndarray], texture: tuple[int, int], background: tuple[int, int]
) -> SurroundingsChanges:
    """What `changes_arrays` gave, for a texture and a background of these (height, width).

    Raises:
        ValueError: one of the arrays is missing, or of another shape or type.
    """
    what, shape = "changes of surroundings", (POSE_SIZE,)
    arrays = arrays | _with_opacity(arrays)
    _check(what, arrays, {"mean": shape, "deviation": shape}, np.floating)
    colors = {"texture": (POSE_SIZE, *texture, 4), "background": (POSE_SIZE, *background, 3)}
    _check(what, arrays, colors, np.int8)
    ranges = {"texture_range": (2, *texture, 4), "background_range": (2, *background, 3)}
    _check(what, arrays, ranges, np.uint8)
    rows = {"displacement": (2, np.inf), "sway": (1, SWAY_GRID)}
    for name in rows.keys() & arrays.keys():
        grid = arrays[name].shape[1:3] if arrays[name].ndim == 4 else (0, 0)
        least, most = rows[name]
        _check(what, arrays, {name: (1 + POSE_SIZE, *grid, 2)}, np.floating)
        if not least <= grid[0] <= most or grid[1] < 2:
            raise ValueError(
                f"{what}: expected {name} of {least} to {most} rows, two columns at least, got "
                f"{grid[0]}×{grid[1]}"
            )
    names = [field.name for field in dataclasses.fields(SurroundingsChanges)]
    return SurroundingsChanges(**{name: arrays.get(name) for name in names})


def _with_opacity(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The shell's changes of files of before 0.9, with an opacity that does not change."""
    still = {"texture": [0] * POSE_SIZE, "texture_range": [0, 255]}
    added = {}
    for name, values in still.items():
        array = arrays.get(name)
        if array is not None and array.ndim == 4 and array.shape[::3] == (len(values), 3):
            more = np.broadcast_to(np.reshape(values, (-1, 1, 1, 1)), (*array.shape[:3], 1))
            added[name] = np.concatenate([array, more.astype(array.dtype)], axis=-1)
    return added


def _check(what, arrays, shapes, kind):
    for name, shape in shapes.items():
        array = arrays.get(name)
        if array is None or array.shape != shape or not np.issubdtype(array.dtype, kind):
            got = "none" if array is None else f"{array.dtype} of {array.shape}"
            raise ValueError(f"{what}: expected {name} of shape {shape}, got {got}")
        if not np.isfinite(array).all() or (name == "deviation" and (array <= 0).any()):
            raise ValueError(f"{what}: expected finite {name}, and deviations above 0")
