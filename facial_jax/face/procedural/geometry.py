"""The shape of the average face, as a smooth map from a flat template to space.

The template's coordinates (u, v) unroll the face on a vertical cylinder: u is the way around it
and v the height, both in decimetres, so that the front of the face is seen almost as it is.
Thin-plate splines carry the measured points over to every template point; what a spline cannot
know (the volume of the lips, the eyeball, nostrils, folds) is added by formulas.
"""

import functools

import numpy as np
from jaxtyping import Float

from facial_jax.face.procedural import control_points as measured

CYLINDER_RADIUS = 0.8
CYLINDER_Z = -0.6
NOSE_TIP_HEIGHT = -0.35  # y of the middle of the lower nose
FACE_CENTRE_Y = -0.32  # the model's origin, seen from the eye line

Points2 = Float[np.ndarray, "_ 2"]  # any number of points
Points3 = Float[np.ndarray, "_ 3"]


def template_coordinates(points: Points3) -> Points2:
    """(u, v) of points on the measured face: a cylinder, stretched where the nose's underside
    hides."""
    x, y, z = points.T
    u = CYLINDER_RADIUS * np.arctan2(x, z - CYLINDER_Z)
    nose = np.exp(-((x / 0.2) ** 2) - ((y - NOSE_TIP_HEIGHT) / 0.2) ** 2)
    return np.stack([u, y + 0.5 * (z - 0.2) * nose], axis=1)


def fit_thin_plate(
    centres: Points2, values: Float[np.ndarray, "n c"], smoothing: float = 0.0
) -> tuple[Points2, Float[np.ndarray, "_ c"]]:
    """Centres and weights of the thin-plate spline through `values` at `centres`."""
    n = len(centres)
    kernel = _thin_plate_kernel(centres, centres) + smoothing * np.eye(n)
    affine = np.concatenate([np.ones((n, 1)), centres], axis=1)
    system = np.block([[kernel, affine], [affine.T, np.zeros((3, 3))]])
    weights = np.linalg.solve(system, np.concatenate([values, np.zeros((3, values.shape[1]))]))
    return centres, weights


def evaluate_thin_plate(
    spline: tuple[Points2, Float[np.ndarray, "_ c"]], points: Points2
) -> Float[np.ndarray, "n c"]:
    """The spline's values at template points."""
    centres, weights = spline
    n = len(centres)
    kernel = _thin_plate_kernel(points, centres)
    return kernel @ weights[:n] + weights[n] + points @ weights[n + 1 :]


def _thin_plate_kernel(a, b):
    squared = (a[:, :1] - b[:, 0]) ** 2 + (a[:, 1:] - b[:, 1]) ** 2
    return 0.5 * squared * np.log(np.maximum(squared, 1e-12))


def smoothstep(
    low: float | int, high: float | int, x: np.ndarray | float
) -> np.ndarray | np.floating:
    """0 below `low`, 1 above `high`, a smooth cubic between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def resample_chain(points: np.ndarray, count: int) -> np.ndarray:
    """`count` points evenly spaced along a smooth curve (Catmull-Rom) through `points`."""
    padded = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    dense = []
    for i in range(1, len(padded) - 2):
        p0, p1, p2, p3 = padded[i - 1 : i + 3]
        t = np.linspace(0.0, 1.0, 24, endpoint=False)[:, None]
        dense.append(
            0.5
            * (
                2 * p1
                + (p2 - p0) * t
                + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
                + (3 * p1 - p0 - 3 * p2 + p3) * t**3
            )
        )
    dense = np.concatenate([*dense, points[-1:]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1))])
    s = np.linspace(0.0, length[-1], count)
    return np.stack([np.interp(s, length, c) for c in dense.T], axis=1)


def seam_points() -> Points3:
    """Where the closed lips meet, from the corner (x < 0) to the middle."""
    seam = 0.5 * (measured.SEAM_UPPER + measured.SEAM_LOWER)
    corner = measured.LIP_UPPER[:1]
    return np.concatenate([corner, seam[1:]]).astype(np.float64)


def _skull_point(u: float, v: float) -> list[float]:
    """A point of the forehead and temples beyond the measured ones: an ellipsoid of adult size."""
    centre, axes = np.array([0.0, 0.2, -0.75]), np.array([0.75, 0.92, 0.965])
    angle = u / CYLINDER_RADIUS
    r = np.linspace(0.0, 2.0, 4001)
    points = np.stack(
        [r * np.sin(angle), np.full_like(r, v), CYLINDER_Z + r * np.cos(angle)], axis=1
    )
    inside = (((points - centre) / axes) ** 2).sum(axis=1) < 1.0
    return points[np.nonzero(inside)[0][-1]].tolist()


# Beyond the measured face: (u, v) and (x, y, z) under the chin and behind the jaw.
_UNDER_JAW = np.array(
    [
        [0.0, -1.2, 0.0, -1.172, 0.0],
        [0.0, -1.36, 0.0, -1.15, -0.22],
        [-0.26, -1.28, -0.2, -1.125, -0.14],
        [-0.48, -1.24, -0.34, -1.06, -0.28],
        [-0.62, -1.06, -0.4, -1.0, -0.26],
        [-0.88, -1.08, -0.47, -0.91, -0.48],
        [-1.15, -0.86, -0.545, -0.77, -0.6],
        [-1.29, -0.5, -0.63, -0.5, -0.68],
        [-1.32, -0.1, -0.69, -0.12, -0.72],
    ]
)
_FOREHEAD = [
    (0.0, 0.6), (0.0, 0.72), (0.0, 0.9), (-0.3, 0.62), (-0.3, 0.86), (-0.6, 0.62), (-0.6, 0.85),
    (-0.9, 0.5), (-0.9, 0.72), (-1.1, 0.4), (-1.2, 0.2), (-1.32, 0.25), (-1.15, 0.6),
]  # fmt: skip


def control_points() -> tuple[Points2, Points3]:
    """Template and space coordinates of all points that the splines go through, both halves."""
    lips = np.concatenate([measured.LIP_UPPER, measured.LIP_LOWER[1:]])
    front = np.concatenate(
        [
            measured.EYE_UPPER,
            measured.EYE_LOWER[1:-1],
            lips,
            seam_points()[1:],
            measured.BROW_UPPER,
            measured.BROW_LOWER,
            measured.NOSE_BRIDGE,
            measured.NOSE_BASE,
            measured.JAW,
            measured.SURFACE,
        ]
    ).astype(np.float64)
    forehead = np.array([_skull_point(u, v) for u, v in _FOREHEAD])
    uv = np.concatenate([template_coordinates(front), _UNDER_JAW[:, :2], np.array(_FOREHEAD)])
    xyz = np.concatenate([front, _UNDER_JAW[:, 2:], forehead])
    middle = np.abs(xyz[:, 0]) < 1e-6
    uv[middle, 0] = 0.0
    side = ~middle
    return (
        np.concatenate([uv, uv[side] * [-1.0, 1.0]]),
        np.concatenate([xyz, xyz[side] * [-1.0, 1.0, 1.0]]),
    )


@functools.cache
def eye_outline(count: int = 33) -> tuple[Points2, Points2]:
    """Upper and lower lid margins of the eye at x < 0 on the template, outer to inner corner."""
    upper = template_coordinates(measured.EYE_UPPER.astype(np.float64))
    lower = template_coordinates(measured.EYE_LOWER.astype(np.float64))
    return resample_chain(upper, count), resample_chain(lower, count)


@functools.cache
def lip_curves(count: int = 25) -> tuple[Points2, Points2, Points2]:
    """Upper border, seam and lower border of the lips on the template, from the corner (u < 0) to
    u = 0."""
    curves = []
    for chain in (measured.LIP_UPPER, seam_points(), measured.LIP_LOWER):
        uv = template_coordinates(chain.astype(np.float64))
        uv[-1, 0] = 0.0
        curves.append(resample_chain(uv, count))
    return tuple(curves)


def iris_centre() -> Float[np.ndarray, "2"]:
    """The middle of the pupil of the eye at u < 0 on the template."""
    upper, lower = eye_outline()
    corners = 0.5 * (upper[0] + upper[-1])
    return np.array([corners[0] - 0.002, 0.55 * upper[:, 1].max() + 0.45 * lower[:, 1].min()])


def arch_position(
    s: np.ndarray, half_width: float, front_z: float
) -> tuple[np.ndarray, np.ndarray]:
    """x and z along a dental arch; s from -1 (left of the picture) to 1."""
    angle = s * np.radians(78.0)
    return half_width * np.sin(angle), front_z - 0.38 * (1.0 - np.cos(angle))


@functools.cache
def template_splines() -> tuple[Points2, Float[np.ndarray, "_ c"]]:
    """The thin-plate spline from the template to the measured face."""
    return fit_thin_plate(*control_points(), smoothing=2e-5)


def mirrored_left(uv: Points2) -> Points2:
    """Template points with both halves laid on the left one (u ≤ 0)."""
    return np.stack([-np.abs(uv[:, 0]), uv[:, 1]], axis=1)


def lip_coordinates(uv: Points2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(along, upper, lower): place along the mouth, 0 at the corner and 1 in the middle; depth
    into the upper and the lower lip, 0 at the border of the red and 1 at the seam (beyond 1: the
    other lip)."""
    left = mirrored_left(uv)
    top, seam, bottom = lip_curves(49)
    u = np.clip(left[:, 0], top[0, 0] + 1e-4, 0.0)
    seam_v = np.interp(u, seam[:, 0], seam[:, 1])
    top_v = np.interp(u, top[:, 0], top[:, 1])
    bottom_v = np.interp(u, bottom[:, 0], bottom[:, 1])
    thin = 2e-3
    upper = (left[:, 1] - top_v) / np.minimum(seam_v - top_v, -thin)
    lower = (left[:, 1] - bottom_v) / np.maximum(seam_v - bottom_v, thin)
    along = 1.0 - left[:, 0] / top[0, 0]
    return along, upper, lower


def eye_coordinates(uv: Points2) -> tuple[Points2, np.ndarray]:
    """Place in the eye and distance from its middle: (across, up) with the iris at 0, in dm, across
    growing towards the nose; and the share of the way from the eye's middle to the lid margin
    (1)."""
    left = mirrored_left(uv)
    upper, lower = eye_outline()
    centre = np.concatenate([upper, lower[1:-1]]).mean(axis=0)
    outline = np.concatenate([upper, lower[-2:0:-1]]) - centre
    angle = np.arctan2(outline[:, 1], outline[:, 0])
    order = np.argsort(angle)
    angle, radius = angle[order], np.linalg.norm(outline, axis=1)[order]
    offset = left - centre
    own = np.arctan2(offset[:, 1], offset[:, 0])
    limit = np.interp(own, angle, radius, period=2 * np.pi)
    return left - iris_centre(), np.linalg.norm(offset, axis=1) / limit


def lid_lines(uv: Points2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signed heights above the upper and the lower lid margin, and the place between the corners
    (0 to 1)."""
    left = mirrored_left(uv)
    upper, lower = eye_outline()
    x = np.clip(left[:, 0], upper[0, 0], upper[-1, 0])
    place = (left[:, 0] - upper[0, 0]) / (upper[-1, 0] - upper[0, 0])
    above = left[:, 1] - np.interp(x, upper[:, 0], upper[:, 1])
    below = left[:, 1] - np.interp(x, lower[:, 0], lower[:, 1])
    return above, below, place


def _ridge(distance: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-((distance / width) ** 2))


def curve_distance(uv: Points2, curve: Points2, count: int = 60) -> np.ndarray:
    """Distance of template points to a smooth curve through `curve`."""
    dense = resample_chain(curve, count)
    squared = (uv[:, :1] - dense[:, 0]) ** 2 + (uv[:, 1:] - dense[:, 1]) ** 2
    return np.sqrt(squared.min(axis=1))


NOSTRIL = np.array([-0.072, -0.392])  # (u, v) of its middle
ALAR_CREASE = np.array(
    [[-0.118, -0.262], [-0.155, -0.285], [-0.185, -0.33], [-0.196, -0.385], [-0.175, -0.43]]
)


def nostril_depth(uv: Points2) -> np.ndarray:
    """1 in the middle of a nostril, 0 outside."""
    offset = mirrored_left(uv) - NOSTRIL
    turn = np.radians(-28.0)
    a = offset[:, 0] * np.cos(turn) - offset[:, 1] * np.sin(turn)
    b = offset[:, 0] * np.sin(turn) + offset[:, 1] * np.cos(turn)
    return 1.0 - smoothstep(0.45, 1.0, np.hypot(a / 0.056, b / 0.036))


def skin_relief(uv: Points2) -> np.ndarray:
    """Detail finer than the measured points: height along the normal, in dm."""
    left = mirrored_left(uv)
    along, upper, lower = lip_coordinates(uv)
    across = np.sqrt(np.clip(along, 0.0, 1.0))
    in_upper = (upper >= 0) & (upper <= 1 + 1e-6) & (along > 0)
    in_lower = (lower >= 0) & (lower <= 1 + 1e-6) & (along > 0)
    height = np.zeros(len(uv))
    height += np.where(in_upper, 0.016 * across * np.sin(np.pi * np.clip(upper, 0, 1)) ** 1.5, 0.0)
    height += np.where(in_lower, 0.026 * across * np.sin(np.pi * np.clip(lower, 0, 1)) ** 1.5, 0.0)
    for inside, depth in ((in_upper, upper), (in_lower, lower)):
        height -= np.where(inside, 0.03 * across * smoothstep(0.72, 1.0, depth) ** 2, 0.0)
    # philtrum, between the nose and the cupid's bow
    philtrum = smoothstep(-0.6, -0.56, left[:, 1]) * (1 - smoothstep(-0.47, -0.42, left[:, 1]))
    height += philtrum * (
        0.004 * _ridge(left[:, 0] + 0.055, 0.025) - 0.008 * _ridge(left[:, 0], 0.035)
    )
    # lids: fold above the upper one, its roll, and the lower one's
    above, below, place = lid_lines(uv)
    arch = np.sqrt(np.clip(4 * place * (1 - place), 0, 1)) * (above > 0)
    fold = 0.018 + 0.042 * arch
    near = smoothstep(-0.1, 0.12, place) * (1 - smoothstep(0.95, 1.12, place))
    height -= 0.012 * near * _ridge(above - fold, 0.016) * (above > -0.02)
    height += 0.008 * near * _ridge(above - fold - 0.035, 0.03) * (above > 0)
    height += 0.006 * arch * _ridge(above - 0.01, 0.014) * (above > 0)
    under = np.clip(4 * place * (1 - place), 0, 1) * (below < 0)
    height += 0.007 * under * _ridge(below + 0.018, 0.012)
    height -= 0.005 * under * _ridge(below + 0.06, 0.02)
    # wings of the nose
    wing = np.hypot((left[:, 0] + 0.15) / 0.045, (left[:, 1] + 0.365) / 0.05)
    height += 0.016 * _ridge(wing, 0.9)
    height -= 0.014 * _ridge(curve_distance(left, ALAR_CREASE), 0.016)
    return height


def eyeball_depth(points: Points3) -> np.ndarray:
    """z of the eyeball's surface behind the lids at the points' x and y: a cap under the lid
    margins."""
    spline = template_splines()
    centre = evaluate_thin_plate(spline, iris_centre()[None])[0]
    radius = 0.16
    x = np.abs(points[:, 0]) - abs(centre[0])
    flat = np.maximum(radius**2 - x**2 - (points[:, 1] - centre[1]) ** 2, 0.0)
    return centre[2] - 0.012 + np.sqrt(flat) - radius


def skin_shape(uv: Points2) -> Points3:
    """Positions of skin, eye and lip vertices from their template coordinates, before centring."""
    spline = template_splines()
    points = evaluate_thin_plate(spline, uv)
    step = 2e-3
    du = evaluate_thin_plate(spline, uv + np.array([step, 0.0])) - points
    dv = evaluate_thin_plate(spline, uv + np.array([0.0, step])) - points
    normal = np.cross(du, dv)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    shaped = points + skin_relief(uv)[:, None] * normal
    shaped += nostril_depth(uv)[:, None] * np.array([0.0, 0.05, -0.02])
    _, share = eye_coordinates(uv)
    ball = eyeball_depth(points)
    under_lid = points[:, 2] - 0.016
    inside = np.where(share < 1.0, 1.0, 0.0) * (1.0 - smoothstep(0.93, 1.0, share))
    mixed = ball + (under_lid - ball) * smoothstep(0.6, 0.96, share)
    shaped[:, 2] += inside * (mixed - shaped[:, 2])
    return shaped


def mouth_cavity_shape(seam: Points3, st: Points2, side: float) -> Points3:
    """The sheet from a lip's inner edge into the mouth; `side` is 1 above and -1 below.

    `seam` has the lip edge's points from left to right, `st` the sheet's grid: s along it, t
    inwards.
    """
    s, t = st.T
    columns = np.linspace(-1.0, 1.0, len(seam))
    edge = np.stack([np.interp(s, columns, c) for c in seam.T], axis=1)
    room = np.sqrt(np.clip(1.0 - s**2, 0.0, 1.0))
    rise = smoothstep(0.05, 0.5, t) * (1.0 - smoothstep(0.6, 1.0, t))
    out = edge.copy()
    out[:, 0] *= 1.0 - 0.15 * smoothstep(0.3, 1.0, t)
    out[:, 1] += side * room * (0.17 * rise + 0.012 * smoothstep(0.0, 0.2, t))
    out[:, 2] -= 0.045 * smoothstep(0.0, 0.25, t) + 0.55 * smoothstep(0.3, 1.0, t)
    return out


def teeth_shape(st: Points2, seam: Points3, upper: bool) -> Points3:
    """A row of teeth behind the lips: s along the arch, t from the top to the bottom."""
    s, t = st.T
    middle = seam[len(seam) // 2]
    height = 0.115
    if upper:
        x, z = arch_position(s, 0.27, middle[2] - 0.055)
        y = middle[1] + 0.085 - height * t + 0.012 * (s**2)
        z = z - 0.012 * t
    else:
        x, z = arch_position(s, 0.25, middle[2] - 0.085)
        y = middle[1] - 0.018 - height * t + 0.012 * (s**2)
        z = z - 0.01 * (1 - t)
    return np.stack([x, y, z], axis=1)


def tongue_shape(st: Points2, seam: Points3) -> Points3:
    """The tongue's back and tip: s across, t from the back to the front's underside."""
    s, t = st.T
    middle = seam[len(seam) // 2]
    angle = t * np.radians(140.0)
    x = 0.19 * s * (1.0 - 0.35 * smoothstep(0.4, 1.0, t))
    y = middle[1] - 0.16 + 0.07 * np.cos(angle - 0.9) - 0.05 * s**2 + 0.012 * s**2 * (1 - s**2)
    z = middle[2] - 0.52 + 0.4 * np.sin(np.minimum(angle, np.pi / 2)) - 0.05 * s**2 * t
    return np.stack([x, y, z], axis=1)
