import io

import av
import numpy as np
import pytest

from facial_jax.pictures import contact_sheet, encode_png, picture_grid, resize, save_png


def test_a_smaller_picture_is_the_mean_of_its_pixels():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, ::2] = 200
    np.testing.assert_allclose(resize(image, 4), 100, atol=1)


def test_a_picture_of_the_wanted_size_is_itself():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    np.testing.assert_array_equal(resize(image[:, ::-1], 16), image[:, ::-1])


def test_pictures_lie_row_by_row_and_the_rest_is_left_out():
    pictures = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((2, 1, 3), np.uint8)
    grid = picture_grid(pictures, 3)
    assert grid.shape == (4, 3, 3)
    np.testing.assert_array_equal(grid[::2, :, 0], [[0, 1, 2], [3, 4, 5]])


def test_a_contact_sheet_has_the_first_frame_and_the_last():
    frames = np.arange(9, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 3), np.uint8)
    np.testing.assert_array_equal(contact_sheet(frames, columns=3, rows=1)[0, :, 0], [0, 4, 8])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_png_holds_the_pixels(tmp_path, dtype):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    given = image if dtype == np.uint8 else image.astype(np.float32) / 255
    save_png(tmp_path / "a.png", given)
    data = (tmp_path / "a.png").read_bytes()
    assert data == encode_png(given)
    with av.open(io.BytesIO(data)) as container:
        (frame,) = container.decode(video=0)
    np.testing.assert_array_equal(frame.to_ndarray(format="rgb24"), image)
