"""The colours of the built-in face model: an average texture and how textures vary."""

import numpy as np
from jaxtyping import Float

from facial_jax.face.procedural import control_points as measured
from facial_jax.face.procedural import geometry
from facial_jax.face.procedural.statistics import mix_factors
from facial_jax.face.procedural.template import (
    LOWER_CAVITY,
    LOWER_LIP,
    LOWER_TEETH,
    TONGUE,
    UPPER_CAVITY,
    UPPER_LIP,
    UPPER_TEETH,
    Template,
)

SKIN_COLOR = np.array([0.77, 0.575, 0.47])
BROW_COLOR = np.array([0.24, 0.165, 0.12])
LIP_COLOR = np.array([0.66, 0.36, 0.33])
SCLERA_COLOR = np.array([0.86, 0.83, 0.79])
IRIS_COLOR = np.array([0.34, 0.25, 0.17])
IRIS_RADIUS = 0.057
PUPIL_RADIUS = 0.021


def feature_masks(template: Template) -> dict[str, Float[np.ndarray, "n"]]:
    """How far each vertex belongs to each painted feature, 0 to 1."""
    label, uv = template.label, template.coordinates
    skin = label <= LOWER_LIP
    masks = {name: np.zeros(len(label)) for name in _SKIN_MASKS}
    for name, mask in skin_masks(uv[skin], label[skin]).items():
        masks[name][skin] = mask
    return masks


_SKIN_MASKS = (
    "lips", "seam", "eye", "iris", "limbus", "pupil", "lid_shadow", "tear", "lashes",
    "lower_lashes", "lid_line", "brow", "brow_upper_edge", "brow_lower_edge", "nostril", "crease",
    "cheek", "nose", "under_eye", "lids", "beard", "moustache", "forehead", "skin",
)  # fmt: skip


def brow_coordinates(uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Along the brow (0 inner end, 1 outer) and across it (-1 lower edge, 1 upper edge)."""
    left = geometry.mirrored_left(uv)
    top = geometry.template_coordinates(measured.BROW_UPPER.astype(np.float64))[::-1]
    bottom = geometry.template_coordinates(measured.BROW_LOWER.astype(np.float64))[::-1]
    middle = geometry.resample_chain(0.5 * (top + bottom), 40)
    half = 0.5 * np.linalg.norm(
        geometry.resample_chain(top, 40) - geometry.resample_chain(bottom, 40), axis=1
    )
    distance = ((left[:, None] - middle[None]) ** 2).sum(axis=-1)
    nearest = distance.argmin(axis=1)
    tangent = np.gradient(middle, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    offset = left - middle[nearest]
    along = (
        nearest + (offset * tangent[nearest]).sum(axis=1) / np.linalg.norm(middle[1] - middle[0])
    ) / 39
    normal = tangent[:, ::-1] * [1.0, -1.0]
    normal *= np.sign(normal[:, 1:])
    across = (offset * normal[nearest]).sum(axis=1) / np.maximum(half[nearest], 0.03)
    return along, across


def skin_masks(uv: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """`feature_masks` at any template points of the skin, the eyes and the lips."""
    left = geometry.mirrored_left(uv)
    step = geometry.smoothstep

    def bump(u, v, width, height):
        return np.exp(-(((left[:, 0] - u) / width) ** 2) - ((left[:, 1] - v) / height) ** 2)

    along, upper, lower = geometry.lip_coordinates(uv)
    red_upper = (label == UPPER_LIP) * step(0.0, 0.22, upper)
    red_lower = (label == LOWER_LIP) * step(0.0, 0.3, lower)
    seam = (label == UPPER_LIP) * step(0.72, 1.0, upper) + (label == LOWER_LIP) * step(
        0.8, 1.0, lower
    )
    gaze, share = geometry.eye_coordinates(uv)
    radius = np.linalg.norm(gaze, axis=1)
    eye = 1.0 - step(0.92, 0.99, share)
    above, below, place = geometry.lid_lines(uv)
    arch = np.clip(4 * place * (1 - place), 0.0, 1.0)
    within = (place > -0.02) & (place < 1.02)
    lashes = (
        np.exp(-((above / 0.012) ** 2))
        * within
        * step(-0.02, 0.1, place)
        * (1 - step(0.9, 1.0, place))
    )
    lower_lashes = (
        np.exp(-((below / 0.01) ** 2))
        * within
        * step(-0.05, 0.1, place)
        * (1 - step(0.6, 1.0, place))
    )
    fold = 0.018 + 0.042 * np.sqrt(arch)
    lid_line = (
        np.exp(-(((above - fold) / 0.012) ** 2))
        * (above > 0)
        * step(-0.05, 0.1, place)
        * (1 - step(0.9, 1.05, place))
    )
    t, across = brow_coordinates(uv)
    ends = step(-0.06, 0.14, t) * (1 - step(0.72, 1.04, t))
    thickness = 1.0 - 0.45 * step(0.45, 1.0, t)
    brow = ends * (1 - step(0.35, 1.05, np.abs(across) / thickness))
    crease = np.exp(-((geometry.curve_distance(left, geometry.ALAR_CREASE) / 0.02) ** 2))
    lids = np.exp(-(((share - 1.0).clip(0) / 0.7) ** 2))
    beard = np.maximum(bump(-0.35, -0.95, 0.5, 0.25), bump(-0.8, -0.6, 0.3, 0.35)) * (
        1 - step(-0.5, -0.3, left[:, 1])
    )
    return {
        "lips": np.maximum(red_upper, red_lower),
        "seam": seam * (along > 0),
        "eye": eye,
        "iris": eye * (1 - step(IRIS_RADIUS - 0.006, IRIS_RADIUS + 0.006, radius)),
        "limbus": eye * np.exp(-(((radius - IRIS_RADIUS + 0.003) / 0.008) ** 2)),
        "pupil": eye * (1 - step(PUPIL_RADIUS - 0.006, PUPIL_RADIUS + 0.007, radius)),
        "lid_shadow": eye * step(-0.045, 0.0, above),
        "tear": eye * step(0.86, 0.97, place),
        "lashes": lashes,
        "lower_lashes": lower_lashes,
        "lid_line": lid_line,
        "brow": brow,
        "brow_upper_edge": ends * np.exp(-((across - 0.9) / 0.5) ** 2),
        "brow_lower_edge": ends * np.exp(-((across + 0.9) / 0.5) ** 2),
        "nostril": step(0.0, 0.5, geometry.nostril_depth(uv)),
        "crease": crease,
        "cheek": bump(-0.48, -0.33, 0.2, 0.17),
        "nose": bump(0.0, -0.34, 0.14, 0.13),
        "under_eye": bump(-0.33, -0.1, 0.15, 0.055),
        "lids": lids * (1 - eye),
        "beard": beard,
        "moustache": bump(0.0, -0.53, 0.2, 0.06) * (1 - np.maximum(red_upper, red_lower)),
        "forehead": bump(0.0, 0.5, 0.6, 0.25),
        "skin": 1.0 - eye,
    }  # fmt: skip


def _mix(colors, target, weight):
    return colors + (np.asarray(target) - colors) * weight[:, None]


def mean_texture(template: Template) -> Float[np.ndarray, "n 3"]:
    """The average face's albedo, RGB."""
    return _paint_mouth(template, paint_skin(feature_masks(template)))


def paint_skin(m: dict[str, np.ndarray], *, eyes: bool = True) -> Float[np.ndarray, "n 3"]:
    """The average face's albedo at points with these masks of `skin_masks`; lids without eyes on
    demand."""
    colors = np.broadcast_to(SKIN_COLOR, (len(m["skin"]), 3)).copy()
    colors += np.outer(m["cheek"], [0.015, -0.035, -0.03]) + np.outer(
        m["nose"], [0.012, -0.03, -0.025]
    )
    colors += np.outer(m["under_eye"], [-0.05, -0.05, -0.03]) + np.outer(
        m["lids"], [-0.05, -0.06, -0.05]
    )
    colors *= 1.0 - 0.2 * m["crease"][:, None] - 0.3 * m["lid_line"][:, None]
    colors = _mix(colors, LIP_COLOR, 0.85 * m["lips"])
    colors = _mix(colors, [0.3, 0.12, 0.11], 0.6 * m["seam"])
    colors = _mix(colors, [0.14, 0.07, 0.06], 0.94 * m["nostril"])
    colors = _mix(colors, BROW_COLOR, 0.8 * m["brow"])
    if not eyes:
        return colors
    colors = _mix(colors, SCLERA_COLOR, m["eye"])
    colors = _mix(colors, IRIS_COLOR, m["iris"])
    colors = _mix(colors, [0.12, 0.085, 0.07], 0.6 * m["limbus"])
    colors = _mix(colors, [0.03, 0.025, 0.025], m["pupil"])
    colors = _mix(colors, [0.72, 0.46, 0.42], 0.7 * m["tear"])
    colors *= 1.0 - 0.4 * m["lid_shadow"][:, None]
    colors = _mix(colors, [0.12, 0.08, 0.065], 0.8 * m["lashes"])
    colors = _mix(colors, [0.25, 0.16, 0.13], 0.4 * m["lower_lashes"])
    return colors


def _paint_mouth(template: Template, colors: np.ndarray) -> np.ndarray:
    label = template.label
    s, t = template.coordinates.T
    for part in (UPPER_CAVITY, LOWER_CAVITY):
        own = label == part
        wet = np.array([0.5, 0.2, 0.19])
        deep = np.array([0.05, 0.018, 0.018])
        colors[own] = wet + (deep - wet) * geometry.smoothstep(0.05, 0.55, t[own])[:, None]
    for part, widths in ((UPPER_TEETH, _UPPER_WIDTHS), (LOWER_TEETH, _LOWER_WIDTHS)):
        own = label == part
        down = t[own] if part == UPPER_TEETH else 1.0 - t[own]  # 0 at the gum, 1 at the edge
        tooth, offset = tooth_coordinates(s[own], widths)
        shade = 1.0 - 0.06 * tooth
        enamel = np.array([0.86, 0.83, 0.75]) * shade[:, None]
        gap = np.exp(-(((1 - np.abs(offset)) / 0.16) ** 2)) * (
            0.25 + 0.3 * geometry.smoothstep(0.6, 1, down)
        )
        enamel *= 1.0 - gap[:, None]
        if part == LOWER_TEETH:
            enamel *= 0.88
        gum = 1.0 - geometry.smoothstep(0.22, 0.34, down - 0.06 * offset**2)
        colors[own] = enamel + (np.array([0.62, 0.32, 0.3]) - enamel) * gum[:, None]
        colors[own] *= (1.0 - 0.75 * geometry.smoothstep(0.35, 0.9, np.abs(s[own])))[:, None]
    own = label == TONGUE
    front = geometry.smoothstep(0.0, 0.6, t[own])
    colors[own] = (
        np.array([0.6, 0.3, 0.29])
        * (0.25 + 0.6 * front - 0.2 * (1 - np.abs(s[own])) * 0.4)[:, None]
    )
    return colors


# Widths of half a row of teeth, from the middle, in dm along the arch.
_UPPER_WIDTHS = np.array([0.085, 0.066, 0.076, 0.07, 0.068, 0.1, 0.095])
_LOWER_WIDTHS = np.array([0.053, 0.059, 0.069, 0.07, 0.071, 0.11, 0.105])


def tooth_coordinates(s: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the tooth from the middle (0 …) and the place on it (-1 to 1) along an arch, s in
    [-1, 1]."""
    edges = np.concatenate([[0.0], np.cumsum(widths)])
    place = np.abs(s) * edges[-1]
    tooth = np.clip(np.searchsorted(edges, place, side="right") - 1, 0, len(widths) - 1)
    offset = 2.0 * (place - edges[tooth]) / widths[tooth] - 1.0
    return tooth.astype(np.float64), np.clip(offset, -1.0, 1.0)


def texture_basis(template: Template) -> Float[np.ndarray, "n 3 80"]:
    """The 80 strongest ways in which plausible textures vary, per standard deviation."""
    return mix_factors(texture_factors(template), template.texture_mixing)


def texture_factors(template: Template) -> Float[np.ndarray, "m n 3"]:
    """Independent ways in which textures vary, each one standard deviation long."""
    m = feature_masks(template)
    skin = template.label <= LOWER_LIP
    bare = m["skin"] * (1 - 0.8 * m["brow"]) * (1 - 0.94 * m["nostril"]) * (1 - 0.8 * m["lashes"])
    bare = bare * (1 - 0.45 * m["lips"]) * skin
    iris = m["iris"] * (1 - m["pupil"]) * (1 - 0.6 * m["limbus"])
    white = m["eye"] * (1 - m["iris"])
    factors = [
        (bare, (0.075, 0.079, 0.078)),  # light to dark
        (bare, (-0.003, -0.008, -0.014)),
        (bare, (0.007, -0.006, -0.005)),
        (m["brow"], (0.06, 0.04, 0.028)),  # brow colour, density, height
        (m["brow"] * bare, (0.05, 0.045, 0.04)),
        (m["brow_upper_edge"] * bare, (-0.06, -0.05, -0.04)),
        (m["brow_lower_edge"] * bare, (-0.045, -0.04, -0.035)),
        (m["lips"], (0.012, -0.014, -0.01)),
        (m["lips"], (0.03, 0.025, 0.025)),
        (m["lips"], (0.008, 0.012, -0.006)),
        (iris, (-0.035, 0.006, 0.035)),  # brown to blue
        (iris, (-0.008, 0.01, -0.008)),
        (iris, (0.035, 0.03, 0.02)),
        (white, (0.014, 0.017, 0.022)),
        (m["cheek"], (0.01, -0.018, -0.015)),
        (m["cheek"], (-0.012, -0.011, -0.01)),
        (m["nose"], (0.008, -0.014, -0.012)),
        (m["under_eye"] * bare, (-0.025, -0.028, -0.02)),
        (m["lids"] * bare, (-0.026, -0.03, -0.026)),
        (m["lids"] * bare, (0.01, -0.01, -0.006)),
        (m["beard"] * bare, (-0.03, -0.025, -0.02)),
        (m["moustache"] * bare, (-0.018, -0.016, -0.013)),
        (m["forehead"], (0.012, 0.012, 0.012)),
        (m["lashes"], (-0.02, -0.015, -0.015)),
        (m["lid_line"] * bare, (-0.04, -0.04, -0.035)),
    ]
    weights = [weight for weight, _ in factors]
    colors = [color for _, color in factors]
    # blotches: soft patches of light and of red, finer ones weaker
    for spacing, light, red in ((0.5, 0.007, 0.003), (0.34, 0.004, 0.002)):
        for u in np.arange(-1.2, 1.21, spacing):
            for v in np.arange(-1.2, 0.9, spacing):
                near = template.coordinates - [u, v]
                patch = np.exp(-(near**2).sum(axis=1) / (2 * (0.5 * spacing) ** 2)) * bare
                weights += [patch, patch]
                colors += [(light, light, light), (red, -red, -0.8 * red)]
    return np.array(weights, np.float32)[:, :, None] * np.array(colors, np.float32)[:, None, :]
