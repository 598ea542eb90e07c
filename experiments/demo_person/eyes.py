"""Where the demo person looks, and where their irises are drawn for it."""

import numpy as np
from jaxtyping import Float

from experiments.demo_person.person import demo_identity
from facial_jax.face.eyes import EYEBALL_RADIUS_DM, gaze_direction
from facial_jax.face.procedural import geometry, procedural_face_model
from facial_jax.face.procedural.template import UPPER_CAVITY, load_template
from facial_jax.gaze import GazeHabits
from facial_jax.personalization.clip import neutral_shape
from facial_jax.rendering.camera import Camera
from facial_jax.tracking.displacement import head_pixels
from facial_jax.tracking.gaze import measure_gaze, person_eyeballs

_GLANCES = 0.3
"""Share of the fixations that are not on whoever is spoken to."""
_REACH_DM = 0.25
"""Of the template around the middle of an eye, in which irises are."""


def demo_habits() -> GazeHabits:
    """Eyes that rest on whoever is spoken to, on their eyes and mouth in turn, and at times glance
    aside or down.
    """
    rng = np.random.default_rng(7)
    count = 64
    glances = rng.random(count) < _GLANCES
    near = rng.normal(0.0, np.radians([1.2, 1.5]), (count, 2))
    aside = rng.normal(np.radians([4.0, 0.0]), np.radians([4.0, 9.0]), (count, 2))
    durations = np.where(glances, rng.uniform(0.3, 0.9, count), rng.uniform(0.6, 2.4, count))
    limits = np.radians([[-9.0, -22.0], [12.0, 22.0]])
    targets = np.where(glances[:, None], aside, near)
    return GazeHabits(*(x.astype(np.float32) for x in (targets, durations, limits)))


def iris_offset(gaze: Float[np.ndarray, "t 2"]) -> Float[np.ndarray, "t 2"]:
    """How far irises are to the picture's right of the middles of the eyes and above them, dm.

    `gaze`: pitch and yaw relative to the head, radians.
    """
    return (EYEBALL_RADIUS_DM * gaze_direction(gaze)[:, :2]).astype(np.float32)


def drawn_gaze(
    offset: Float[np.ndarray, "t 2"],
    pose: Float[np.ndarray, "t 6"],
    blink: Float[np.ndarray, "t"],
    camera: Camera,
) -> Float[np.ndarray, "t 2 2"]:
    """The gaze of either eye as the tracker measures it where the irises are drawn, radians."""
    from scipy.interpolate import LinearNDInterpolator  # takes long to import

    model, identity, template = procedural_face_model(), demo_identity(), load_template()
    shape = neutral_shape(identity)
    middle, irises = geometry.iris_centre(), []
    for side in (1.0, -1.0):
        at = middle * (side, 1.0)
        near = template.label < UPPER_CAVITY
        near &= np.linalg.norm(template.coordinates - at, axis=1) < _REACH_DM
        surface = LinearNDInterpolator(template.coordinates[near], shape[near])
        places = surface(at + offset)[:, None].astype(np.float32)
        pixels = [head_pixels(p, row, camera) for p, row in zip(places, pose, strict=True)]
        irises.append(np.concatenate(pixels))
    centres = person_eyeballs(model, np.asarray(identity.identity))
    gaze = measure_gaze(centres, pose, np.stack(irises, axis=1), blink, camera)
    assert gaze is not None  # of so many frames with open eyes
    return gaze
