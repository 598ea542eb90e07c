import numpy as np
import pytest

from facial_jax.face.lips import PRESSED_DM, inner_lip_edges, keep_lips_apart
from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.face.procedural.template import load_template
from facial_jax.metrics.lips import face_lips

MODEL = procedural_face_model()
CLOSE, JAW = (EXPRESSION_NAMES.index(name) for name in ("mouth_close", "jaw_open"))


def gap(expression):
    return face_lips(MODEL, np.zeros(80, np.float32), expression).gap


def faces():
    expression = np.zeros((3, 64), np.float32)
    expression[0, JAW] = 0.5
    expression[1, CLOSE] = 3.0
    expression[2, [JAW, CLOSE]] = 0.2, 1.5
    return expression


def test_lips_that_would_overlap_meet_and_open_ones_stay():
    before = faces()
    after = keep_lips_apart(MODEL, before, np.ones(64, np.float32))
    np.testing.assert_array_equal(after[0], before[0])
    assert np.all(gap(before)[1:] < -2 * PRESSED_DM)
    np.testing.assert_allclose(gap(after)[1:], -PRESSED_DM, atol=1e-5)


def test_only_what_the_person_moves_opens_the_lips():
    std = np.zeros(64, np.float32)
    std[JAW] = 0.1
    moved = keep_lips_apart(MODEL, faces(), std) - faces()
    assert np.any(moved[:, JAW] > 0)
    np.testing.assert_array_equal(np.delete(moved, JAW, axis=1), 0)


@pytest.mark.parametrize("std", [np.ones(64, np.float32), np.linspace(0, 1, 64, dtype=np.float32)])
def test_no_smaller_change_does_it(std):
    before = faces()
    moved = keep_lips_apart(MODEL, before, std)[1] - before[1]
    rng = np.random.default_rng(0)
    size = np.linalg.norm(moved[std > 0] / std[std > 0])
    for other in std * std * rng.standard_normal((50, 64)).astype(np.float32):
        other *= (
            np.float32(gap((before[1] + moved)[None])[0] - gap(before[1][None])[0])
            / (gap(other[None])[0])
        )
        assert np.linalg.norm(other[std > 0] / std[std > 0]) >= size * (1 - 1e-4)


def test_the_inner_edges_are_where_the_lips_meet():
    upper, lower = inner_lip_edges(MODEL)
    template = load_template()
    assert set(upper) <= set(template.upper_seam)
    assert set(lower) <= set(template.lower_seam)
    corners = [template.upper_seam[0], template.upper_seam[-1]]
    np.testing.assert_array_equal(upper[[0, -1]], corners)
    np.testing.assert_array_equal(lower[[0, -1]], corners)
    assert np.all(np.diff(np.asarray(MODEL.mean_shape)[upper, 0]) > 0)


def test_lips_that_nothing_connects_have_no_edges():
    triangles = np.asarray(MODEL.triangles)
    seam = set(load_template().upper_seam) | set(load_template().lower_seam)
    kept = [seam.isdisjoint(corners) for corners in triangles.tolist()]
    cut = MODEL.replace(
        triangles=MODEL.triangles[np.array(kept)],
        opposite_vertices=MODEL.opposite_vertices[np.array(kept)],
    )
    with pytest.raises(ValueError, match="no way along the mesh"):
        inner_lip_edges(cut)
