"""The 64 expression components of the built-in face model: displacements of every vertex, in dm.

"Left" and "right" are the picture's. Eyelids never move: the blink is an attribute of its own.
"""

import numpy as np
from jaxtyping import Float

from facial_jax.face.procedural import geometry
from facial_jax.face.procedural.template import (
    EYE,
    LOWER_CAVITY,
    LOWER_LIP,
    LOWER_TEETH,
    TONGUE,
    UPPER_CAVITY,
    UPPER_LIP,
    Template,
)

EXPRESSION_NAMES = (
    "jaw_open",
    "lip_round",
    "lip_spread",
    "lip_press",
    "upper_lip_raise",
    "lower_lip_depress",
    "mouth_corners_up",
    "mouth_corners_down",
    "lower_lip_tuck",
    "lip_funnel",
    "jaw_forward",
    "jaw_right",
    "brow_inner_raise",
    "brow_outer_raise",
    "brow_lower",
    "cheek_raise",
    "cheek_puff",
    "nose_wrinkle",
    "mouth_right",
    "chin_raise",
    "upper_lip_roll_in",
    "lower_lip_roll_in",
    "mouth_corner_up_left",
    "mouth_corner_up_right",
    "brow_raise_left",
    "brow_raise_right",
    "brow_lower_left",
    "brow_lower_right",
    "dimple_left",
    "dimple_right",
    "nostril_flare",
    "mouth_close",
)

JAW_PIVOT = np.array([0.0, -0.12, -0.5])  # between the jaw's joints; y from the eye line
JAW_ANGLE_RAD = np.radians(17.0)  # jaw_open = 1

# Free local components: (u, v) of the middle, radius, which lip (0 both, 1 upper, 2 lower),
# displacement. A mirrored twin follows each one that is off the middle line.
_LOCAL = (
    ((0.0, -0.66), 0.11, 1, (0.0, 0.03, 0.0)),
    ((0.0, -0.66), 0.11, 1, (0.0, 0.0, 0.035)),
    ((0.0, -0.71), 0.11, 2, (0.0, -0.03, 0.0)),
    ((0.0, -0.71), 0.11, 2, (0.0, 0.0, 0.035)),
    ((-0.15, -0.65), 0.1, 1, (0.0, 0.03, 0.0)),
    ((-0.15, -0.71), 0.1, 2, (0.0, -0.03, 0.0)),
    ((-0.28, -0.68), 0.12, 0, (-0.035, 0.0, -0.015)),
    ((-0.28, -0.68), 0.12, 0, (0.0, 0.0, 0.035)),
    ((-0.35, -0.5), 0.14, 0, (0.0, 0.02, 0.03)),
    ((-0.55, -0.35), 0.2, 0, (-0.01, 0.02, 0.03)),
    ((-0.75, -0.7), 0.22, 0, (-0.03, 0.0, 0.0)),
    ((-0.45, -0.9), 0.18, 0, (0.0, -0.02, 0.02)),
    ((0.0, -1.0), 0.16, 0, (0.0, 0.025, 0.0)),
    ((0.0, -1.0), 0.16, 0, (0.0, 0.0, 0.03)),
    ((0.0, -0.32), 0.14, 0, (0.0, 0.015, 0.0)),
    ((0.0, -0.48), 0.1, 0, (0.0, -0.012, 0.01)),
    ((0.0, 0.26), 0.13, 0, (0.0, 0.025, 0.0)),
    ((0.0, 0.5), 0.25, 0, (0.0, 0.02, 0.0)),
    ((-0.6, 0.24), 0.16, 0, (0.0, 0.03, 0.0)),
    ((-0.16, -0.37), 0.1, 0, (0.0, 0.02, 0.0)),
    ((-0.4, -0.16), 0.14, 0, (0.0, 0.015, 0.012)),
)


def expression_basis(template: Template, mean_shape: np.ndarray) -> Float[np.ndarray, "n 3 64"]:
    """Displacements of all vertices for every component at coefficient 1."""
    skin = template.label <= LOWER_LIP
    uv = template.coordinates[skin]
    points = mean_shape + np.array([0.0, geometry.FACE_CENTRE_Y, 0.0])
    fields = _skin_fields(uv, template.label[skin], points[skin])
    basis = np.zeros((len(points), 3, 64))
    basis[skin] = np.stack(fields, axis=-1)

    jaw = jaw_motions(points)
    for part, seam, share in (
        (UPPER_CAVITY, template.upper_seam, 0.0),
        (LOWER_CAVITY, template.lower_seam, 0.9),
    ):
        own = np.nonzero(template.label == part)[0]
        s, t = template.coordinates[own].T
        column = np.rint((s + 1) / 2 * (len(seam) - 1)).astype(int)
        follow = (1.0 - geometry.smoothstep(0.05, 0.75, t))[:, None, None]
        basis[own] = basis[seam[column]] * follow
        # At its sides the sheet stays with the other one: there would be a hole between them.
        inside = 1.0 - s[:, None] ** 8
        inner = (1.0 - follow[..., 0]) * share * inside * (1.0 - t[:, None] ** 2)
        for index, motion in jaw.items():
            basis[own, :, index] += inner * motion[own]
    for part, share in ((LOWER_TEETH, 1.0), (TONGUE, 0.85)):
        own = template.label == part
        for index, motion in jaw.items():
            basis[own, :, index] = share * motion[own]
    return basis


def jaw_motions(points: np.ndarray) -> dict[int, np.ndarray]:
    """What jaw_open, jaw_forward and jaw_right do to points that move with the jaw as one."""
    opened = JAW_ANGLE_RAD * np.cross(np.array([1.0, 0.0, 0.0]), points - JAW_PIVOT)
    return {
        0: opened,
        10: np.broadcast_to([0.0, -0.01, 0.08], points.shape),
        11: np.broadcast_to([0.09, 0.0, 0.0], points.shape),
    }


def _bump(uv, u, v, width, height):
    return np.exp(-(((uv[:, 0] - u) / width) ** 2) - ((uv[:, 1] - v) / height) ** 2)


def _vectors(weight, x=0.0, y=0.0, z=0.0):
    parts = [np.broadcast_to(c, weight.shape) for c in (x, y, z)]
    return weight[:, None] * np.stack(parts, axis=1)


def _skin_fields(uv: np.ndarray, label: np.ndarray, points: np.ndarray) -> list[np.ndarray]:
    left = geometry.mirrored_left(uv)
    _, seam, _ = geometry.lip_curves(49)
    corner_u, corner_v = -seam[0, 0], seam[0, 1]
    across = np.abs(uv[:, 0]) / corner_u  # 0 in the middle, 1 at the corners
    rise = uv[:, 1] - np.interp(left[:, 0], seam[:, 0], seam[:, 1])  # above the seam
    x = points[:, 0]
    sign = np.sign(x)

    # below: 1 for what belongs to the lower lip and jaw, 0 above; a soft step beyond the corners
    soft = np.maximum(0.5 * (np.abs(uv[:, 0]) - corner_u), 0.0) + 0.012
    below = geometry.smoothstep(-1.0, 1.0, -rise / soft)
    inside = across < 1.0 - 1e-6
    below = np.where(inside & (label == UPPER_LIP), 0.0, below)
    below = np.where(inside & (label == LOWER_LIP), 1.0, below)
    below = np.where(inside & (label == 0), (rise < 0).astype(float), below)

    # jaw: 1 on the chin, 0 on the upper face; the corners of the mouth take part by a third
    line = corner_v + np.maximum(np.abs(uv[:, 0]) - corner_u, 0.0) * 0.5
    outer = 1.0 - geometry.smoothstep(-0.3, 0.22, uv[:, 1] - line)
    blend = np.minimum(across, 1.0) ** 5
    jaw = np.where(
        across >= 1.0,
        outer,
        below * (1.0 - blend + blend * outer) + (1.0 - below) * blend * outer,
    )

    # the lids stay
    _, share = geometry.eye_coordinates(uv)
    still = geometry.smoothstep(1.3, 2.4, share) * (label != EYE)
    far = 1.0 - geometry.smoothstep(0.4, 0.7, uv[:, 1])

    middle = np.clip(1.0 - across**2, 0.0, 1.0) ** 0.75
    upper = (1.0 - below) * middle * np.exp(-((rise / 0.12) ** 2))
    lower = below * middle * np.exp(-((rise / 0.13) ** 2))
    wide = np.exp(-((uv[:, 0] / 0.42) ** 2) - (rise / 0.21) ** 2)
    corner = np.exp(-((left[:, 0] + corner_u) ** 2) / 0.12**2 - (rise / 0.14) ** 2)
    _, depth_upper, depth_lower = geometry.lip_coordinates(uv)
    red_upper = np.where(label == UPPER_LIP, np.clip(depth_upper, 0, 1), 0.0)
    red_lower = np.where(label == LOWER_LIP, np.clip(depth_lower, 0, 1), 0.0)
    border_upper = upper * (1.0 - red_upper)
    border_lower = lower * (1.0 - red_lower)
    forward = np.exp(-((uv[:, 0] / 0.3) ** 2) - (rise / 0.14) ** 2)

    def side(which):
        return np.where(which * uv[:, 0] > 0, 1.0, 0.0)

    jaws = jaw_motions(points)
    opened = jaw[:, None] * jaws[0]
    cheeks = _bump(left, -0.45, -0.26, 0.24, 0.16)
    smile = (
        _vectors(corner, 0.055 * sign, 0.065, -0.035)
        + _vectors(
            np.exp(-((left[:, 0] + 0.42) ** 2) / 0.05 - (rise - 0.22) ** 2 / 0.04),
            0.01 * sign,
            0.025,
            0.022,
        )
        + _vectors(upper, 0.0, 0.012, -0.012)
        + _vectors(lower, 0.0, 0.006, -0.012)
    )
    tuck_close = below * middle
    # mouth_close undoes the gap of jaw_open: most of it by the lower lip, the rest by the upper
    gap = np.interp(np.abs(uv[:, 0]), *_opening_profile(uv, label, jaw, jaws[0]))
    reach = np.exp(-((np.minimum(rise, 0.0) / 0.2) ** 2) - (np.maximum(rise, 0.0) / 0.13) ** 2)
    closing = (0.72 * below - 0.28 * (1.0 - below)) * gap * reach * inside
    close_back = np.exp(-((rise / 0.16) ** 2)) * below * middle * 0.05
    dimple = np.exp(-((left[:, 0] + corner_u + 0.06) ** 2) / 0.09**2 - (rise / 0.1) ** 2)
    brow_lid = geometry.smoothstep(0.07, 0.2, uv[:, 1])
    inner_brow = _bump(left, -0.18, 0.3, 0.17, 0.16) * brow_lid
    outer_brow = _bump(left, -0.58, 0.24, 0.22, 0.16) * brow_lid
    whole_brow = _bump(left, -0.38, 0.28, 0.3, 0.17) * brow_lid
    frown = _bump(left, -0.24, 0.25, 0.22, 0.14) * brow_lid
    wing = _bump(left, -0.16, -0.37, 0.06, 0.09)
    puff = _bump(left, -0.5, -0.58, 0.23, 0.2) * (1.0 - middle * np.exp(-((rise / 0.1) ** 2)))

    fields = [
        opened,
        _vectors(wide, -0.36 * x) + _vectors(forward, 0.0, 0.0, 0.075)
        + _vectors(upper, 0.0, 0.014) + _vectors(lower, 0.0, -0.016),
        _vectors(corner, 0.055 * sign, 0.004, -0.035) + _vectors(border_upper, 0.0, -0.014, -0.01)
        + _vectors(border_lower, 0.0, 0.018, -0.012),
        _vectors(border_upper, 0.0, -0.022, -0.012) + _vectors(border_lower, 0.0, 0.028, -0.014)
        + _vectors(upper, 0.0, -0.003, -0.01) + _vectors(lower, 0.0, 0.003, -0.01)
        + _vectors(corner, 0.012 * sign, 0.0, -0.012),
        _vectors(upper, 0.0, 0.065, 0.01) + _vectors(wing, 0.0, 0.012),
        _vectors(lower, 0.0, -0.075, 0.006),
        smile,
        _vectors(corner, -0.005 * sign, -0.06, -0.005) + _vectors(lower, 0.0, -0.008),
        _vectors(tuck_close * np.exp(-((rise / 0.11) ** 2)), 0.0, 0.022, -0.05)
        + _vectors(upper, 0.0, 0.04, 0.0),
        _vectors(wide, -0.24 * x) + _vectors(forward, 0.0, 0.0, 0.065)
        + _vectors(upper, 0.0, 0.05, 0.012) + _vectors(lower, 0.0, -0.06, 0.018),
        jaw[:, None] * jaws[10],
        jaw[:, None] * jaws[11],
        _vectors(inner_brow, 0.0, 0.07),
        _vectors(outer_brow, 0.0, 0.06),
        _vectors(frown, -0.025 * sign, -0.05, 0.01),
        _vectors(cheeks, 0.01 * sign, 0.045, 0.03),
        _vectors(puff, 0.06 * sign, 0.0, 0.05),
        _vectors(wing, 0.0, 0.04) + _vectors(_bump(left, -0.08, 0.0, 0.1, 0.12), 0.0, 0.012, 0.008)
        + _vectors(upper, 0.0, 0.02),
        _vectors(wide, 0.085),
        _vectors(_bump(left, 0.0, -0.98, 0.2, 0.13), 0.0, 0.04, 0.015)
        + _vectors(border_lower, 0.0, 0.012, 0.018),
        _vectors(upper, 0.0, -0.004, -0.03) + _vectors(border_upper, 0.0, -0.03, 0.005),
        _vectors(lower, 0.0, 0.004, -0.03) + _vectors(border_lower, 0.0, 0.035, 0.005),
        smile * side(-1)[:, None],
        smile * side(1)[:, None],
        _vectors(whole_brow * side(-1), 0.0, 0.06),
        _vectors(whole_brow * side(1), 0.0, 0.06),
        _vectors(frown * side(-1), 0.025, -0.05, 0.01),
        _vectors(frown * side(1), -0.025, -0.05, 0.01),
        _vectors(dimple * side(-1), -0.02, 0.0, -0.04),
        _vectors(dimple * side(1), 0.02, 0.0, -0.04),
        _vectors(wing, 0.022 * sign, 0.004, 0.0),
        _vectors(closing, 0.0, 1.0) + _vectors(close_back, 0.0, 0.0, 1.0),
    ]  # fmt: skip
    # one-sided components fade over the middle line instead of tearing there
    for index in (22, 23, 24, 25, 26, 27):
        fade = geometry.smoothstep(-0.06, 0.06, uv[:, 0] * (1 if index % 2 else -1))
        whole = {22: smile, 24: _vectors(whole_brow, 0.0, 0.06), 26: fields[14]}[index - index % 2]
        fields[index] = whole * fade[:, None]
    for (u, v), radius, lip, displacement in _LOCAL:
        for mirror in (1.0, -1.0) if u else (1.0,):
            weight = _bump(uv, mirror * u, v, radius, radius)
            if lip:
                weight = weight * middle * (below if lip == 2 else 1.0 - below)
            fields.append(_vectors(weight, mirror * displacement[0], *displacement[1:]))
    fields = fields[:64]
    assert len(fields) == 64
    return [f * (still * far)[:, None] for f in fields]


def _opening_profile(uv, label, jaw, opened):
    """Height of the gap that jaw_open leaves between the lips, by distance from the middle line."""
    at = np.linspace(0.0, np.abs(uv[label >= UPPER_LIP, 0]).max(), 30)
    gaps = np.zeros((2, 30))
    for row, lip in enumerate((UPPER_LIP, LOWER_LIP)):
        _, depth_upper, depth_lower = geometry.lip_coordinates(uv)
        edge = (label == lip) & ((depth_upper, depth_lower)[row] > 0.98) & (uv[:, 0] <= 0)
        order = np.argsort(-uv[edge, 0])
        gaps[row] = np.interp(at, -uv[edge, 0][order], (jaw * opened[:, 1])[edge][order])
    return at, gaps[0] - gaps[1]
