"""Who the demo person is: coefficients in the built-in face model, light, and the place in the
picture."""

import functools

import jax.numpy as jnp
import numpy as np

from facial_jax.attributes import Identity
from facial_jax.face.procedural import geometry, procedural_face_model
from facial_jax.face.procedural.identity import (
    NAMED_SCALE,
    anthropometric_modes,
    mouth_parts_on_template,
)
from facial_jax.face.procedural.template import load_template

# Where the head rests: pitch, yaw, roll; x, y, z in dm. The head is 14.5 dm away from the camera.
REST_POSE = np.array([0.0, 0.0, 0.0, 0.0, -0.1, -4.5], np.float32)

# Wider open eyes, fuller lips, a softer brow and jaw: multiples of the face model's named modes.
_NAMED = {
    19: -0.9,
    27: 1.7,
    26: 0.9,
    34: -0.8,
    36: 0.5,
    45: 0.6,
    46: 0.5,
    51: -1.2,
    9: -0.7,
    3: -0.4,
}
_SEED = 11


@functools.cache
def demo_identity() -> Identity:
    """Shape, texture and light of the demo person."""
    model, template = procedural_face_model(), load_template()
    shape = np.asarray(model.mean_shape, np.float64)
    points = shape + np.array([0.0, geometry.FACE_CENTRE_Y, 0.0])
    uv = mouth_parts_on_template(template, points)
    modes = anthropometric_modes(uv, points, template.label)
    wanted = sum(NAMED_SCALE * k * modes[i] for i, k in _NAMED.items()).reshape(-1)
    basis = np.asarray(model.identity_basis, np.float64).reshape(len(wanted), -1)
    identity = (basis.T @ wanted) / (basis**2).sum(axis=0)
    rng = np.random.default_rng(_SEED)
    identity = identity + 0.45 * rng.standard_normal(80)
    texture = 0.5 * rng.standard_normal(80)
    texture[0] = 0.9  # rather fair
    return Identity(
        identity=jnp.asarray(identity, jnp.float32),
        texture=jnp.asarray(texture, jnp.float32),
        illumination=jnp.asarray(_soft_window_light(), jnp.float32),
    )


def _soft_window_light() -> np.ndarray:
    """A large soft light from above and the left of the picture, a dimmer room around."""
    light = np.zeros((3, 9))
    light[:, 0] = [-0.24, -0.225, -0.195]
    light[:, 1] = [-0.12, -0.12, -0.12]  # from above
    light[:, 2] = [0.27, 0.26, 0.245]  # from the front
    light[:, 3] = [0.115, 0.105, 0.09]  # from the left
    light[:, 7] = [0.02, 0.02, 0.02]
    return light
