"""The person alone before one colour."""

import numpy as np
import pytest

import facial_jax
from facial_jax import synthesis
from facial_jax.background import before_color, own_colors, parse_color, refine_mask

SIZE = 96
GREEN = (0, 177, 64)
WALL, COAT = (200, 190, 180), (60, 30, 40)


def person_before_wall(width=3.0):
    """A disc with a soft edge before a wall, its opacity, and a coarse mask of it."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    radius = np.hypot(x, y)
    alpha = np.clip((28 - radius) / width + 0.5, 0, 1).astype(np.float32)
    picture = alpha[..., None] * np.float32(COAT) + (1 - alpha[..., None]) * np.float32(WALL)
    # Networks of few pixels are a little off, and soft.
    coarse = 1 / (1 + np.exp((np.hypot(x - 1, y + 1) - 28.5) / 1.5))
    return np.rint(picture).astype(np.uint8), alpha, coarse.astype(np.float32)


def test_colours_are_written_as_in_web_pages():
    assert parse_color("#00b140") == GREEN
    assert parse_color("#FFFFFF") == (255, 255, 255)
    for text in ("green", "00b140", "#00b14", "#00b1400", "#00b14g"):
        with pytest.raises(ValueError, match="background: expected a colour like #00b140"):
            parse_color(text)


def test_the_person_stays_and_all_else_is_the_colour():
    frame, _, coarse = person_before_wall()
    (made,) = next(before_color(iter([frame[None]]), GREEN, lambda _: coarse))
    radius = np.hypot(*(np.mgrid[:SIZE, :SIZE] - SIZE / 2))
    np.testing.assert_array_equal(made[radius < 22], frame[radius < 22])
    assert (made[radius > 34] == GREEN).all()


def test_the_edge_is_the_pictures_and_the_wall_does_not_shine_through():
    frame, alpha, coarse = person_before_wall()
    found = refine_mask(frame.astype(np.float32) / 255, coarse)
    assert np.abs(found - alpha).mean() < 0.5 * np.abs(coarse - alpha).mean()
    (made,) = next(before_color(iter([frame[None]]), GREEN, lambda _: coarse))
    true = alpha[..., None] * np.float32(COAT) + (1 - alpha[..., None]) * np.float32(GREEN)
    edge = (alpha > 0.05) & (alpha < 0.95)
    naive = coarse[..., None] * frame + (1 - coarse[..., None]) * np.float32(GREEN)
    off, naive_off = (np.abs(x - true)[edge].mean() for x in (made, naive))
    assert off < 0.5 * naive_off


def test_what_shines_through_is_taken_out():
    frame, alpha, _ = person_before_wall()
    edge = (alpha > 0.3) & (alpha < 1)
    own = own_colors(frame.astype(np.float32) / 255, alpha, edge)
    np.testing.assert_allclose(own * 255, np.broadcast_to(np.float32(COAT), own.shape), atol=20)


def test_specks_beside_the_person_are_not_the_persons_and_beads_are():
    frame, _, coarse = person_before_wall()
    coarse[4:8, 4:8] = 1  # a speck
    coarse[48:50, 48:50] = 0  # a bead
    frame[48:50, 48:50] = WALL
    found = refine_mask(frame.astype(np.float32) / 255, coarse)
    assert found[:12, :12].max() == 0
    assert found[46:52, 46:52].min() == 1


def test_a_picture_without_a_person_is_the_colour():
    frame = np.full((2, 16, 16, 3), 90, np.uint8)
    chunk = next(before_color(iter([frame]), GREEN, lambda f: np.zeros(f.shape[:2], np.float32)))
    assert (chunk == GREEN).all()


class Middle:
    """Finds a person in the middle of every picture."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        pass

    def __call__(self, image):
        mask = np.zeros(image.shape[:2], np.float32)
        mask[64:, 64:192] = 1
        return mask


def test_a_video_has_nothing_but_the_person_before_the_colour(monkeypatch):
    monkeypatch.setattr(synthesis, "Segmenter", Middle)
    audio = (np.zeros(3200, np.float32), 16000)
    video = facial_jax.synthesize(audio, background="#00b140", progress=False)
    plain = facial_jax.synthesize(audio, progress=False)
    frame, before = next(iter(video)), next(iter(plain))
    assert (frame[:56] == GREEN).all()
    np.testing.assert_array_equal(frame[90:, 90:160], before[90:, 90:160])


def test_without_the_model_the_error_comes_before_the_work(monkeypatch):
    def missing():
        raise ImportError("tracking needs mediapipe")

    monkeypatch.setattr(synthesis, "Segmenter", missing)
    monkeypatch.setattr(synthesis, "make_motion", None)
    with pytest.raises(ImportError, match="mediapipe"):
        facial_jax.synthesize(facial_jax.sample_speech(), background="#00b140")
