"""How head and body move in the frames of a clip, found in them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter

from facial_jax.appearance import Appearance
from facial_jax.face.procedural import procedural_face_model
from facial_jax.models.rendering_to_video.conditioning import make_scene
from facial_jax.personalization.appearance import motion_in_frames, shown_pictures
from facial_jax.rendering.color_changes import SurroundingsChanges
from facial_jax.rendering.displacement import SWAY_GRID
from facial_jax.rendering.surroundings import Surroundings, SurroundingsMotion
from facial_jax.tracking.displacement import GRID
from tests.random_clips import random_clip

SIZE, COUNT, ROWS = 128, 6, 9


def spotted(*shape, seed):
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(*shape, 3)), (2, 2, 0))
    return np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)


def surroundings(sway):
    """A spotted head, wide above the chin, before a spotted place; usually nothing is displaced."""
    x, y = np.meshgrid(np.linspace(-2.2, 2.2, 110), np.linspace(2.2, -2.6, 120))
    head = (np.abs(x) < 1.6) & (y > -1.0)
    texture = np.concatenate([spotted(120, 110, seed=0), np.uint8(255 * head)[..., None]], axis=-1)
    background = spotted(SIZE, SIZE, seed=1)
    limits = [np.full_like(texture, n) for n in (0, 255)]
    changes = SurroundingsChanges(
        mean=np.array([0, 0, 0, 0, 0.3, -4.5], np.float32),
        deviation=np.full(6, 0.2, np.float32),
        texture=np.zeros((6, *texture.shape), np.int8),
        background=np.zeros((6, *background.shape), np.int8),
        texture_range=np.stack(limits),
        background_range=np.stack([np.zeros_like(background), np.full_like(background, 255)]),
        displacement=np.zeros((7, *GRID, 2), np.float32),
        sway=sway,
    )
    return Surroundings(
        extent=np.array([[-2.2, 2.2], [2.2, -2.6]], np.float32),
        height=np.full((12, 11), -0.8, np.float32),
        texture=texture,
        background=background,
        changes=changes,
    )


def test_head_and_body_are_found_where_each_frame_has_them():
    rng = np.random.default_rng(0)
    usual = np.zeros((7, ROWS, SWAY_GRID, 2), np.float32)
    usual[1] = 1e-4  # so that these rows may sway
    moved = SurroundingsMotion(
        displacement=np.zeros((COUNT, *GRID, 2), np.float32),
        sway=np.zeros((COUNT, ROWS, SWAY_GRID, 2), np.float32),
    )
    moved.displacement[..., 0] = rng.uniform(-0.12, 0.12, (COUNT, 1, 1))
    moved.sway[:, 1:] = rng.uniform(-0.02, 0.02, (COUNT, 1, 1, 2))
    clip = random_clip("a", "a", COUNT)
    pose = np.zeros((COUNT, 6), np.float32)
    pose[:, 1], pose[:, 4:] = np.linspace(-0.2, 0.2, COUNT), (0.3, -4.5)
    still = np.zeros((COUNT, 64), np.float32)
    clip = dataclasses.replace(clip, pose=pose, expression=still, identity=np.zeros(80, np.float32))
    face = Appearance(surroundings=surroundings(usual))
    model, identity = procedural_face_model(), jax.tree.map(jnp.asarray, clip.face)
    scene = make_scene(model, identity, (SIZE, SIZE), face)

    def pictures(motion):
        return shown_pictures(scene, clip.attributes, motion).astype(float)

    frames = pictures(moved)
    found = motion_in_frames(face, clip, np.arange(COUNT), frames.astype(np.uint8))
    assert found.sway.shape == moved.sway.shape

    def off(motion, rows):
        return np.abs(pictures(motion) - frames)[:, rows, 8:-8].mean()

    for rows in (slice(8, 72), slice(104, 120)):  # the head, and the body well below it
        assert off(found, rows) < 0.5 * off(None, rows)
    # What never sways is not told to.
    none = face.replace(surroundings=surroundings(None))
    assert motion_in_frames(none, clip, np.arange(2), frames[:2].astype(np.uint8)).sway is None
