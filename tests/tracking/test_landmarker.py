import dataclasses
import hashlib
import shutil

import av
import numpy as np
import pytest

from facial_jax.tracking.blink import relative_opening
from facial_jax.tracking.landmarker import MODEL, Landmarker, Rows, rotation_between

pytest.importorskip("mediapipe")
pooch = pytest.importorskip("pooch")


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty cache, and no network."""

    def retrieve(*arguments, **options):
        raise ConnectionError("there is no network")

    monkeypatch.setenv("FACIAL_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    return tmp_path


@pytest.fixture
def model_in_cache(offline, shared):
    shutil.copy(shared("assets/face_landmarker.task"), offline / MODEL.name)
    return offline


def test_a_model_in_the_cache_needs_no_network(offline):
    path = offline / MODEL.name
    path.write_bytes(b"the model")
    known = dataclasses.replace(MODEL, sha256=hashlib.sha256(b"the model").hexdigest())
    assert known.path() == path


def test_without_model_and_network_the_error_says_where_to_put_it(offline):
    with pytest.raises(RuntimeError, match=r"no network.*put https://.*face_landmarker\.task"):
        MODEL.path()


def test_another_file_under_its_name_is_not_used(offline):
    (offline / MODEL.name).write_bytes(b"something else")
    with pytest.raises(RuntimeError):
        MODEL.path()


def test_the_rotation_between_two_shapes_is_found_whatever_their_size_and_place():
    rng = np.random.default_rng(0)
    shape = rng.standard_normal((20, 3)).astype(np.float32)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0].astype(np.float32)
    rotation *= np.linalg.det(rotation)
    found = rotation_between(shape, shape @ rotation.T * 3 + 1)
    np.testing.assert_allclose(found, rotation, atol=1e-5)
    flat = shape * np.array([1, 1, 0], np.float32)
    assert np.linalg.det(rotation_between(flat, flat * np.array([-1, 1, 1], np.float32))) > 0.99


def test_rows_grow_and_come_back_as_one_array():
    rows, expected = Rows(2, 3), np.arange(3000 * 6, dtype=np.float32).reshape(3000, 2, 3)
    for row in expected:
        rows.append(row)
    np.testing.assert_array_equal(np.asarray(rows), expected)
    np.testing.assert_array_equal(rows[-1], expected[-1])
    assert len(rows) == 3000


def test_the_face_of_a_real_clip_is_found_and_nothing_on_a_grey_wall(model_in_cache, shared):
    with av.open(str(shared("clips/katie_hill_8s.mp4"))) as container:
        decoded = [
            f.to_ndarray(format="rgb24")
            for f, _ in zip(container.decode(video=0), "1234", strict=False)
        ]
    with Landmarker(25.0) as finder:
        for image in decoded:
            finder.add(image)
        found = finder.shot()
        for _ in range(3):
            finder.add(np.full((128, 128, 3), 128, np.uint8))
        nothing = finder.shot()
    assert found.seen.tolist() == [True] * 4
    assert found.face_count == 1
    assert ((found.points > 0) & (found.points < 512)).all()
    # The picture's left eye is on the left, the chin below the nose.
    assert (found.points[:, 36, 0] < found.points[:, 45, 0]).all()
    assert (found.points[:, 8, 1] > found.points[:, 33, 1]).all()
    assert ((found.blink_scores >= 0) & (found.blink_scores <= 1)).all()
    assert (relative_opening(found.points) > 0.5).all()
    # Each iris is between the corners of its eye, and less than half a width above or below them.
    for eye, first, last in ((0, 36, 39), (1, 42, 45)):
        iris, corners = found.irises[:, eye], found.points[:, [first, last]]
        assert (corners[:, 0, 0] < iris[:, 0]).all()
        assert (iris[:, 0] < corners[:, 1, 0]).all()
        width = corners[:, 1, 0] - corners[:, 0, 0]
        assert (np.abs(iris[:, 1] - corners[:, :, 1].mean(axis=1)) < width / 2).all()
    assert nothing.seen.tolist() == [False] * 3
    assert np.isnan(nothing.points).all()


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mediapipe", None)
    with pytest.raises(ImportError, match=r"facial_jax\[tracking\].*libGL"):
        Landmarker(25.0)
