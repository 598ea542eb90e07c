"""The head's own colours and opacity, found again in mixtures of head and place."""

import numpy as np
import pytest

from facial_jax.tracking.matting import inside_and_edge, matted

SIZE = (80, 70)
TEXEL = 0.03
HAIR = np.array([60, 40, 30], np.float32)


def disc(soft=8):
    """Opacity of a disc whose edge is so many texels wide."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    away = np.hypot(rows - 40, columns - 35)
    return np.clip((26 - away) / soft, 0, 1).astype(np.float32)


def mixtures(place, opacity, color=HAIR):
    """What frames show, before these places (t, h, w, 3)."""
    mixed = opacity[..., None] * color + (1 - opacity[..., None]) * place
    return mixed.round().astype(np.uint8)


def found(place, opacity, *, color=HAIR, before=None):
    shown = mixtures(place, opacity, color)
    within = np.ones(shown.shape[:3], bool)
    before = np.float32(opacity > 0.02) if before is None else before  # far too wide
    inside, edge = inside_and_edge(before, TEXEL)
    texture = np.median(shown, axis=0).astype(np.float32)
    return matted(texture, before, inside, edge, shown, place.astype(np.uint8), within), edge


def changing_place(count=40):
    rng = np.random.default_rng(0)
    return rng.uniform(90, 250, (count, 1, 1, 3)) + rng.normal(0, 3, (count, *SIZE, 3)).clip(-9, 5)


def test_a_place_that_changes_tells_opacity_and_colour():
    truth = disc()
    (texture, opacity), edge = found(changing_place(), truth)
    assert np.abs(opacity - truth)[edge].max() < 0.06
    seen = edge & (truth > 0.4)
    assert np.abs(texture - HAIR)[seen].max() < 12


def test_before_a_bare_wall_the_heads_inner_colour_tells_them():
    truth, wall = disc(), np.full((8, *SIZE, 3), 200.0)
    (texture, opacity), edge = found(wall, truth)
    assert np.abs(opacity - truth)[edge].max() < 0.1
    assert np.abs(texture - HAIR)[edge & (truth > 0.4)].max() < 20


def test_what_is_of_neither_colour_is_as_opaque_as_it_was():
    # An ear beside hair, before a bare wall.
    truth = disc()
    ear = np.zeros(SIZE, bool)
    ear[30:50, 52:58] = True
    color = np.where(ear[..., None], np.array([210, 120, 90], np.float32), HAIR)
    truth[ear] = 1
    (texture, opacity), edge = found(np.full((8, *SIZE, 3), 200.0), truth, color=color)
    assert (edge & ear).sum() > 50
    assert opacity[ear].min() > 0.95
    np.testing.assert_allclose(texture[ear], color[ear], atol=12)


def test_a_head_has_no_windows():
    # Points that happen to be now bright, now dark, as the place is.
    truth, place = disc(soft=1), changing_place()
    spot = (slice(38, 42), slice(55, 58))
    seen_through = truth.copy()
    seen_through[spot] = 0.5
    (_, opacity), edge = found(place, seen_through)
    assert edge[spot].all()
    assert opacity[spot].min() > 0.9


@pytest.mark.parametrize("opacity", [0.0, 1.0])
def test_without_an_edge_or_an_inside_nothing_changes(opacity):
    before = np.full(SIZE, opacity, np.float32)
    inside, edge = inside_and_edge(before, TEXEL)
    texture, frames = np.full((*SIZE, 3), 90, np.float32), np.zeros((4, *SIZE, 3), np.uint8)
    within = np.ones((4, *SIZE), bool)
    same, still = matted(texture, before, inside, edge & False, frames, frames, within)
    assert same is texture
    assert still is before
