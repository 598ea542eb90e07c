"""Blinks are found, learnt from a person, and come by the person's habits."""

import numpy as np
import pytest

from facial_jax.models.facial_gan.blinking import blink_by_habit, find_blinks, learn_blink_habits

SHAPE = np.array([0, 0, 0.5, 2.5, 4.5, 4.5, 2.5, 0.5, 0, 0], np.float32)


def curve(count: int, times, shape=SHAPE) -> np.ndarray:
    """Eyes at rest but for blinks whose shapes begin at these frames."""
    blink = np.zeros(count, np.float32)
    for time in times:
        blink[time : time + len(shape)] = shape
    return blink


TIMES = np.cumsum([20, 50, 60, 70, 80, 90, 100, 60, 70])


@pytest.fixture(scope="module")
def habits():
    blink = curve(700, TIMES)
    return learn_blink_habits([blink], [blink]).replace(level=np.full((), 0.5, np.float32))


def test_ends_of_a_blink_lie_where_lines_between_frames_cross_the_level():
    found = find_blinks(curve(30, [10]))
    np.testing.assert_allclose(found, [[12.25, 16.75]])


def test_half_closed_eyes_are_no_blink_and_one_cut_by_the_beginning_has_no_begin():
    blink = curve(60, [30], SHAPE * 0.4)
    assert find_blinks(blink).shape == (0, 2)
    blink[:3] = 4.0
    np.testing.assert_array_equal(find_blinks(blink)[:, 0], [-np.inf])


def test_the_habits_are_what_was_seen(habits):
    np.testing.assert_allclose(habits.interval, [50, np.percentile(range(50, 101), 92)], atol=7)
    assert habits.interval[0] == 50
    assert habits.shape.max() == 4.5
    assert find_blinks(np.asarray(habits.shape)).shape == (1, 2)
    assert habits.rest == 0


def test_few_blinks_are_no_habit():
    blink = curve(400, [50, 150, 250])
    assert learn_blink_habits([blink], [blink]) is None


def test_a_network_that_asks_for_blinks_faintly_or_too_often_blinks_as_often_as_the_person():
    rng = np.random.default_rng(1)
    person = [curve(700, TIMES)]
    for height, chances in ((0.3, 10), (0.9, 40)):
        made = [
            sum(curve(700, [t], h * SHAPE) for t, h in zip(times, heights, strict=True))
            for times, heights in zip(
                rng.integers(0, 690, (4, chances)), height * rng.random((4, chances)), strict=True
            )
        ]
        habits = learn_blink_habits(person, made)
        count = sum(len(find_blinks(blink_by_habit(blink, habits))) for blink in made)
        assert abs(count - 4 * len(TIMES)) <= 2


def test_half_a_blink_becomes_a_whole_one_where_it_was(habits):
    made = blink_by_habit(curve(60, [20], 0.6 * SHAPE), habits)
    assert made.max() == pytest.approx(4.5)
    assert abs(find_blinks(made).mean() - 24.5) <= 1


def test_what_is_unlikely_or_too_soon_is_no_blink(habits):
    unlikely = curve(40, [2], 0.3 * SHAPE)
    assert not len(find_blinks(blink_by_habit(unlikely, habits)))
    twice = curve(70, [10, 30])
    assert len(find_blinks(blink_by_habit(twice, habits))) == 1


def test_eyes_blink_when_it_is_due_and_the_more_easily_the_later(habits):
    soon, late = habits.interval
    silent = find_blinks(blink_by_habit(np.zeros(1000, np.float32), habits)).mean(axis=1)
    np.testing.assert_allclose(np.diff(silent), np.ceil(late - 1e-6), atol=1)
    weak = curve(300, [10, 10 + int(0.9 * late + 0.1 * soon)])
    weak[40:] *= 0.2
    assert len(find_blinks(blink_by_habit(weak, habits))) >= 2


def test_what_follows_changes_nothing_before(habits):
    rng = np.random.default_rng(0)
    blink = (5 * rng.random(500) ** 6).astype(np.float32)
    whole, part = blink_by_habit(blink, habits), blink_by_habit(blink[:300], habits)
    np.testing.assert_array_equal(whole[: 300 - len(SHAPE)], part[: 300 - len(SHAPE)])
