"""What is between the lips, drawn from pictures of like lips."""

import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.metrics.lips import face_lips
from facial_jax.rendering.inner_mouth import (
    TEXELS,
    InnerMouth,
    between_lips,
    draw_inner_mouth,
    inner_lips,
    inner_mouth_arrays,
    inner_mouth_from_arrays,
    texel_pixels,
)

SIZE = 96
# An open mouth, its corners 40 pixels apart: the upper lip's inner edge and the lower one's.
EDGES = np.array(
    [
        [(28, 50), (38, 44), (48, 42), (58, 44), (68, 50)],
        [(28, 50), (38, 60), (48, 64), (58, 60), (68, 50)],
    ],
    np.float32,
)
RED, BLUE = (200, 20, 20), (20, 20, 200)


def mouth(*colors):
    pictures = np.zeros((len(colors), *TEXELS, 3), np.uint8) + np.array(colors)[:, None, None]
    lips = np.stack([lips_apart(0.05 + 0.1 * i) for i in range(len(colors))])
    return InnerMouth(pictures.astype(np.uint8), lips)


def lips_apart(gap):
    """The eight landmarks of lips half a decimetre wide, the lower ones so far down."""
    lips = np.zeros((8, 3), np.float32)
    lips[:5, 0] = np.linspace(-0.25, 0.25, 5)
    lips[5:, 0] = (0.125, 0.0, -0.125)
    lips[5:, 1] = -gap
    return lips


def draw(inner_mouth, edges=EDGES, gap=0.05):
    image = jnp.full((SIZE, SIZE, 4), 0.5)
    lips = jnp.asarray(lips_apart(gap))
    drawn = np.asarray(draw_inner_mouth(image, inner_mouth, jnp.asarray(edges), lips))
    np.testing.assert_array_equal(drawn[..., 3] > 0.5, (drawn[..., :3] != 0.5).any(axis=-1))
    return drawn[..., :3]


def turned(edges, angle):
    middle = edges.mean(axis=(0, 1))
    matrix = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    return ((edges - middle) @ matrix.T + middle).astype(np.float32)


def test_the_picture_is_between_the_lips_and_nowhere_else():
    image = draw(mouth(RED))
    np.testing.assert_allclose(image[52, 48], np.array(RED) / 255, atol=1e-6)
    outside = np.ones((SIZE, SIZE), bool)
    outside[38:68, 24:72] = False
    np.testing.assert_array_equal(image[outside], 0.5)


@pytest.mark.parametrize("angle", [-0.6, 0.0, 0.4])
def test_texels_are_seen_where_pixels_take_them_from(angle):
    edges = turned(EDGES, angle)
    pixels = texel_pixels(jnp.asarray(edges))
    place, share = between_lips(jnp.asarray(edges), pixels)
    rows, columns = TEXELS
    np.testing.assert_allclose(place[..., 0][0], (np.arange(columns) + 0.5) / columns, atol=1e-4)
    np.testing.assert_allclose(place[:, 5, 1], (np.arange(rows) + 0.5) / rows, atol=1e-4)
    assert (share[4:12, 8:24] == 1).all()


def test_the_upper_texels_are_at_the_upper_lip_however_the_head_rolls():
    two = mouth(RED)
    pictures = np.array(two.pictures)
    pictures[:, TEXELS[0] // 2 :] = BLUE
    for angle in (-0.5, 0.5):
        image = draw(InnerMouth(pictures, two.lips), turned(EDGES, angle))
        edges = turned(EDGES, angle)
        for place, color in ((0.25, RED), (0.75, BLUE)):
            x, y = (1 - place) * edges[0, 2] + place * edges[1, 2]
            np.testing.assert_allclose(image[int(y), int(x)], np.array(color) / 255, atol=0.05)


def test_like_lips_show_like_pictures():
    both = mouth(RED, BLUE)
    for gap, color in ((0.05, RED), (0.15, BLUE), (0.4, BLUE)):
        np.testing.assert_allclose(draw(both, gap=gap)[52, 48], np.array(color) / 255, atol=1e-3)
    between = draw(both, gap=0.1)[52, 48]
    np.testing.assert_allclose(between, (np.array(RED) + BLUE) / 510, atol=1e-3)


def test_mouths_of_earlier_files_are_mixed_by_gap_and_width():
    both = mouth(RED, BLUE)
    arrays = inner_mouth_arrays(both) | {"lips": np.array([[0.05, 0.5], [0.15, 0.5]], np.float32)}
    old = inner_mouth_from_arrays(arrays)
    for gap, color in ((0.05, RED), (0.15, BLUE)):
        np.testing.assert_allclose(draw(old, gap=gap)[52, 48], np.array(color) / 255, atol=1e-3)


def test_shut_lips_show_nothing():
    shut = EDGES.copy()
    shut[..., 1] = 50.0
    np.testing.assert_allclose(draw(mouth(RED), shut), 0.5, atol=1e-6)
    crossed = EDGES.copy()
    crossed[:, 2] = EDGES[::-1, 2]
    np.testing.assert_allclose(draw(mouth(RED), crossed)[52, 48], 0.5, atol=1e-6)


@pytest.mark.parametrize("place", [(-40.0, 0.0), (60.0, 0.0), (0.0, -70.0), (0.0, 50.0)])
def test_a_mouth_at_the_pictures_edge_is_cut_off(place):
    image = draw(mouth(RED), EDGES + np.array(place, np.float32))
    assert np.isfinite(image).all()
    np.testing.assert_array_equal(image[5, 90 if place[0] <= 0 else 5], 0.5)


def test_the_landmarks_are_as_far_apart_as_the_lips_measures_say():
    model, expression = procedural_face_model(), np.zeros((3, 64), np.float32)
    expression[:, EXPRESSION_NAMES.index("jaw_open")] = (0.0, 0.3, 0.6)
    identity = np.zeros(80, np.float32)
    lips = np.asarray(inner_lips(model, jnp.asarray(identity), jnp.asarray(expression)))
    seen = face_lips(model, identity, expression)
    gap = lips[:, 2, 1] - lips[:, 6, 1]
    np.testing.assert_allclose(gap - gap[0], seen.gap, atol=1e-5)
    assert (np.linalg.norm(lips[:, 4] - lips[:, 0], axis=-1) > 0.3).all()


def test_files_give_back_what_they_were_given():
    arrays = inner_mouth_arrays(mouth(RED, BLUE))
    back = inner_mouth_arrays(inner_mouth_from_arrays(arrays))
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("pictures", None),
        ("pictures", np.zeros((2, *TEXELS, 3), np.float32)),
        ("pictures", np.zeros((0, *TEXELS, 3), np.uint8)),
        ("pictures", np.zeros((2, 8, 8, 3), np.uint8)),
        ("lips", None),
        ("lips", np.zeros((3, 8, 3), np.float32)),
        ("lips", np.zeros((2, 3), np.float32)),
        ("lips", np.full((2, 8, 3), np.nan, np.float32)),
    ],
)
def test_damaged_pictures_are_refused(name, array):
    arrays = inner_mouth_arrays(mouth(RED, BLUE)) | {name: array}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    with pytest.raises(ValueError, match="inner mouth: expected"):
        inner_mouth_from_arrays(arrays)
