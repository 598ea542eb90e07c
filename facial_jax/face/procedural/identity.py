"""How the shapes of adult faces vary: anthropometric modes and smooth random ones."""

import numpy as np
from jaxtyping import Float

from facial_jax.face.procedural import geometry
from facial_jax.face.procedural.statistics import mix_factors
from facial_jax.face.procedural.template import LOWER_LIP, UPPER_LIP, Template

# Standard deviations were set by eye, so that draws of twice their size still look like people.
NAMED_SCALE = 0.42
# Spacing of the bumps, their symmetric and asymmetric standard deviation, in dm.
SMOOTH_SCALES = ((0.5, 0.005, 0.0013), (0.3, 0.0026, 0.0008))


def identity_basis(template: Template, mean_shape: np.ndarray) -> Float[np.ndarray, "n 3 80"]:
    """The 80 strongest ways in which plausible faces differ, in dm per standard deviation."""
    return mix_factors(identity_factors(template, mean_shape), template.identity_mixing)


def identity_factors(template: Template, mean_shape: np.ndarray) -> Float[np.ndarray, "m n 3"]:
    """Independent ways in which faces differ, each one standard deviation long."""
    points = mean_shape + np.array([0.0, geometry.FACE_CENTRE_Y, 0.0])
    uv = mouth_parts_on_template(template, points)
    named = np.array(anthropometric_modes(uv, points, template.label), np.float32)
    return np.concatenate([NAMED_SCALE * named, smooth_modes(uv)])


def mouth_parts_on_template(template: Template, points: np.ndarray) -> np.ndarray:
    """Template coordinates of all vertices; parts inside the mouth take those of the lips before
    them."""
    uv = template.coordinates.copy()
    _, seam, _ = geometry.lip_curves(25)
    inside = template.label > LOWER_LIP
    uv[inside, 0] = np.clip(points[inside, 0] * 1.1, seam[0, 0], -seam[0, 0])
    line = np.interp(-np.abs(uv[inside, 0]), seam[:, 0], seam[:, 1])
    uv[inside, 1] = line + 0.3 * (points[inside, 1] - line)
    return uv


def anthropometric_modes(uv: np.ndarray, points: np.ndarray, label: np.ndarray) -> list[np.ndarray]:
    """Symmetric modes named after what is measured on faces, each one standard deviation long."""
    left = geometry.mirrored_left(uv)
    x, y, z = points.T
    sign = np.sign(x)
    step = geometry.smoothstep
    ones = np.ones(len(uv))

    def bump(u, v, width, height):
        return np.exp(-(((left[:, 0] - u) / width) ** 2) - ((left[:, 1] - v) / height) ** 2)

    def move(weight, dx=0.0, dy=0.0, dz=0.0):
        return np.stack([weight * dx, weight * dy, weight * dz], axis=1)

    iris = geometry.iris_centre()
    gaze, _ = geometry.eye_coordinates(uv)
    eye = bump(iris[0], iris[1], 0.26, 0.17)
    eye_y = gaze[:, 1]
    eye_x = np.where(x <= 0, gaze[:, 0], -gaze[:, 0])
    _, seam, _ = geometry.lip_curves(49)
    rise = uv[:, 1] - np.interp(left[:, 0], seam[:, 0], seam[:, 1])
    mouth = np.exp(-((uv[:, 0] / 0.36) ** 4) - (rise / 0.2) ** 2)
    lip_above = np.exp(-((uv[:, 0] / 0.3) ** 4)) * np.clip(rise / 0.09, 0.0, 1.0)
    lip_above = lip_above * (1 - step(0.12, 0.22, rise))
    lip_below = np.exp(-((uv[:, 0] / 0.28) ** 4)) * np.clip(-rise / 0.11, 0.0, 1.0)
    lip_below = lip_below * (1 - step(0.14, 0.26, -rise))
    lip_above = np.where(label == LOWER_LIP, 0.0, lip_above)
    lip_below = np.where(label == UPPER_LIP, 0.0, lip_below)
    lower_face = 1 - step(-1.0, -0.35, y)
    middle_face = (1 - step(-0.4, -0.1, y) - lower_face).clip(0) + 0 * y
    upper_face = step(0.1, 0.7, y)
    jaw = bump(-0.85, -0.8, 0.35, 0.3)
    chin = bump(0.0, -1.05, 0.25, 0.16)
    bridge = np.exp(-((uv[:, 0] / 0.13) ** 2)) * np.exp(-(((uv[:, 1] + 0.12) / 0.17) ** 2))
    nose = (
        np.exp(-((uv[:, 0] / 0.24) ** 2))
        * step(-0.52, -0.4, uv[:, 1])
        * (1 - step(-0.35, 0.1, uv[:, 1]))
    )
    tip = bump(0.0, -0.27, 0.1, 0.1)
    wing = bump(-0.16, -0.36, 0.09, 0.1)
    brow = bump(-0.3, 0.22, 0.28, 0.11)
    return [
        move(ones, 0.032 * x),
        move(ones, 0.0, 0.035 * y),
        move(ones, 0.0, 0.0, 0.05 * (z + 0.3)),
        move(lower_face, 0.05 * x),
        move(lower_face, 0.0, 0.045 * (y + 0.35)),
        move(middle_face, 0.0, 0.02, 0.0),
        move(upper_face, 0.05 * x),
        move(upper_face, 0.0, 0.05 * (y - 0.1)),
        move(upper_face, 0.0, 0.0, -0.05 * (y - 0.1)),
        move(jaw, 0.045 * sign, -0.01, 0.0),
        move(jaw, 0.0, 0.04, 0.0),
        move(chin, 0.0, -0.01, 0.04),
        move(chin, 0.0, -0.035, 0.0),
        move(bump(-0.25, -1.02, 0.2, 0.16), 0.03 * sign, 0.0, 0.02),
        move(chin * np.exp(-((uv[:, 0] / 0.1) ** 2)), 0.0, 0.0, -0.012),
        move(bump(-0.65, -0.25, 0.25, 0.18), 0.025 * sign, 0.0, 0.025),
        move(bump(-0.55, -0.6, 0.28, 0.25), 0.04 * sign, 0.0, 0.025),
        move(bump(-0.35, -0.3, 0.17, 0.14), 0.0, 0.0, 0.02),
        move(bump(-0.95, 0.3, 0.3, 0.3), 0.025 * sign, 0.0, 0.0),
        move(brow, 0.0, 0.0, 0.025),
        move(brow, 0.0, 0.025, 0.0),
        move(bump(-0.55, 0.22, 0.2, 0.13), 0.0, 0.02, 0.0),
        move(bump(0.0, 0.2, 0.16, 0.14), 0.0, 0.0, 0.02),
        move(eye, 0.017 * sign, 0.0, 0.0),
        move(eye, 0.0, 0.016, 0.0),
        move(eye, 0.0, 0.0, 0.022),
        move(eye, 0.07 * eye_x, 0.07 * eye_y),
        move(eye, 0.0, 0.16 * eye_y),
        move(eye, 0.0, -0.07 * gaze[:, 0]),
        move(bump(iris[0], 0.12, 0.2, 0.07), 0.0, -0.012, 0.012),
        move(bump(-0.33, -0.12, 0.17, 0.07), 0.0, 0.0, 0.012),
        move(nose, 0.0, 0.0, 0.05 * step(0.2, -0.35, uv[:, 1]) + 0.025),
        move(nose, 0.0, 0.03, 0.0),
        move(nose, 0.1 * x),
        move(wing, 0.02 * sign, 0.0, 0.004),
        move(wing, 0.0, 0.012, 0.0),
        move(tip, 0.0, 0.022, 0.008),
        move(tip, 0.0, 0.0, 0.025),
        move(tip, 0.22 * x),
        move(bridge, 0.0, 0.0, 0.022),
        move(bridge, 0.22 * x),
        move(mouth, 0.09 * x),
        move(mouth, 0.0, 0.022, 0.0),
        move(mouth, 0.0, 0.0, 0.025),
        move(mouth, 0.0, 0.25 * np.abs(x) ** 1.5 - 0.012),
        move(lip_above, 0.0, 0.018, 0.006),
        move(lip_below, 0.0, -0.022, 0.008),
        move(lip_above, 0.0, 0.0, 0.014),
        move(lip_below, 0.0, 0.0, 0.016),
        move(bump(0.0, -0.52, 0.09, 0.07), 0.0, 0.0, -0.008),
        move(bump(-0.28, -0.5, 0.1, 0.14), 0.0, 0.0, -0.01),
        # men and women, in one dimension of many
        move(brow, 0.0, -0.012, 0.022) + move(jaw, 0.03 * sign, -0.015) + move(nose, 0.04 * x, 0.0,
        0.02) + move(lip_above, 0.0, -0.01) + move(lip_below, 0.0, 0.01) + move(chin, 0.0, -0.02,
        0.02) + move(eye, -0.03 * eye_x, -0.09 * eye_y) + move(ones, 0.012 * x, 0.02 * y),
        # age and weight
        move(bump(-0.6, -0.75, 0.3, 0.25), 0.03 * sign, -0.02, 0.015) + move(jaw, 0.02 * sign,
        -0.03) + move(bump(0.0, -1.2, 0.4, 0.15), 0.0, -0.03, 0.02),
    ]  # fmt: skip


def smooth_modes(uv: np.ndarray) -> Float[np.ndarray, "m n 3"]:
    """Soft bumps in every direction: most of what differs between faces has no name."""
    away = np.tanh(uv[:, 0] / 0.15)
    weights = []
    for spacing, symmetric, asymmetric in SMOOTH_SCALES:
        width = 0.62 * spacing
        for u in np.arange(-1.2, 0.01, spacing):
            for v in np.arange(-1.25, 0.9, spacing):
                height = np.exp(-(((uv[:, 1] - v) / width) ** 2))
                one = np.exp(-(((uv[:, 0] - u) / width) ** 2)) * height
                other = np.exp(-(((uv[:, 0] + u) / width) ** 2)) * height
                weights += [symmetric * (one + other), asymmetric * (one - other)]
    weights = np.array(weights, np.float32)
    modes = np.zeros((3, *weights.shape, 3), np.float32)
    modes[0, :, :, 0] = weights * away.astype(np.float32)
    modes[1, :, :, 1] = weights
    modes[2, :, :, 2] = weights
    return modes.reshape(-1, len(uv), 3)
