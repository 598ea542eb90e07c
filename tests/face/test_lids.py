"""The built-in face closes its eyes."""

import numpy as np

from facial_jax.face.procedural import procedural_face_model
from facial_jax.face.procedural.lids import lid_closing

# Of each eye in the picture: landmarks of the upper and the lower margin above each other.
MARGINS = {0: ((37, 41), (38, 40)), 1: ((43, 47), (44, 46))}


def test_closing_lids_lays_the_upper_margin_on_the_lower_one():
    model = procedural_face_model()
    shape, marks = np.asarray(model.mean_shape), np.asarray(model.landmarks)
    for side, pairs in MARGINS.items():
        for upper, lower in pairs:
            open_dm = np.linalg.norm(shape[marks[upper]] - shape[marks[lower]])
            closed = shape + lid_closing()[side]
            shut_dm = np.linalg.norm(closed[marks[upper]] - closed[marks[lower]])
            assert open_dm > 0.06
            assert shut_dm < 0.4 * open_dm


def test_each_lid_moves_around_its_own_eye_alone():
    model = procedural_face_model()
    shape, marks = np.asarray(model.mean_shape), np.asarray(model.landmarks)
    for displacement, corners, sign in zip(
        lid_closing(), (marks[[36, 39]], marks[[42, 45]]), (-1, 1), strict=True
    ):
        moved = np.abs(displacement).max(axis=1) > 1e-4
        assert moved.sum() > 100
        assert (sign * shape[moved, 0] > 0).all()
        middle = shape[corners].mean(axis=0)
        assert np.linalg.norm(shape[moved] - middle, axis=1).max() < 0.35


def test_the_two_lids_are_mirror_images():
    left, right = lid_closing()
    np.testing.assert_allclose(np.abs(left).sum(axis=0), np.abs(right).sum(axis=0), rtol=1e-3)
