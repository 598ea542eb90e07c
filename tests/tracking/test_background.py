import numpy as np

from facial_jax.tracking.background import MIN_UNCOVERED, still_background, uncovered_background

SIZE = (40, 60)


def room():
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([2 * columns, 3 * rows, 90 + 0 * rows], axis=-1).astype(np.uint8)


def walked_before(room, places):
    """A white person, 12 pixels wide, before the room, and where they are."""
    covered = np.zeros((len(places), *SIZE), bool)
    for mask, left in zip(covered, places, strict=True):
        mask[10:, left : left + 12] = True
    return np.where(covered[..., None], np.uint8(255), room), covered


def test_the_room_is_seen_where_a_person_was_not():
    frames, covered = walked_before(room(), np.arange(4, 44, 4))
    np.testing.assert_array_equal(uncovered_background(frames, covered), room())


def test_what_is_never_seen_is_a_smooth_continuation():
    frames, covered = walked_before(room(), [20] * 6)
    background = uncovered_background(frames, covered)
    seen = ~covered[0]
    np.testing.assert_array_equal(background[seen], room()[seen])
    hidden = background[covered[0]].astype(int)
    assert np.abs(hidden - room()[covered[0]]).mean() < 20
    assert hidden.max() < 200  # nothing of the person


def test_the_narrower_mask_is_believed_where_the_wider_one_covers_all_frames():
    wall = np.full((*SIZE, 3), 80, np.uint8)
    wall[:, 20:23] = 160
    frames, covered = walked_before(wall, [24] * 6)
    wider = covered.copy()
    wider[:, 10:, 18:24] = True
    np.testing.assert_array_equal(uncovered_background(frames, wider, covered)[:, 20:23], 160)
    assert (uncovered_background(frames, wider)[15:, 20:23] < 160).all()


def test_a_pixel_seen_too_seldom_is_not_believed():
    frames, covered = walked_before(room(), [20] * 8)
    frames[0, 30, 25], covered[0, 30, 25] = 7, False
    assert MIN_UNCOVERED > 1
    assert (uncovered_background(frames, covered)[30, 25] != 7).all()


def test_a_neck_goes_on_behind_a_chin_that_never_left_it():
    skin, wall = 160, 80
    frames = np.full((6, 160, 120, 3), wall, np.uint8)
    frames[:, 80:, 40:80] = skin
    covered = np.zeros((6, 160, 120), bool)
    covered[:, 20:100, 36:84] = True  # by a head not much wider
    is_skin = uncovered_background(frames, covered)[..., 0] > (skin + wall) / 2
    assert is_skin[88:100, 44:76].all()
    assert not is_skin[88:100, 36:39].any()
    # But not as far as the crown.
    assert not is_skin[20:70].any()


def test_a_background_is_still_where_frames_show_it_alike_and_often():
    frames, covered = walked_before(room(), [20] * 5 + [0] * 3)
    frames, hidden = frames.astype(int), covered[0]
    frames[:, :5] += np.arange(8)[:, None, None, None] * 8  # a curtain that sways above them
    frames = np.clip(frames, 0, 255).astype(np.uint8)
    background = np.where(np.arange(SIZE[0])[:, None, None] < 5, frames[4], room())
    still = still_background(frames, background, covered)
    assert still.shape == (*SIZE, 3)
    assert still[:5].max() < 128
    assert MIN_UNCOVERED > 3
    np.testing.assert_array_equal(still[hidden], 0)  # three frames show it
    np.testing.assert_array_equal(still[10:, 40:], 255)
