from fractions import Fraction

import numpy as np
import pytest
import scipy.ndimage

from facial_jax.attributes import Attributes
from facial_jax.editing import (
    MAX_GAZE_RAD,
    check_attributes,
    gaussian_filter,
    keyframe_attributes,
    offset_attributes,
    replace_attributes,
    scale_attributes,
    smooth_attributes,
    transfer_attributes,
)

FIELDS = ("pose", "blink", "expression")


def clip(frames: int = 40, seed: int = 0) -> Attributes:
    rng = np.random.default_rng(seed)
    return Attributes(
        expression=rng.normal(size=(frames, 64)).astype(np.float32),
        pose=rng.normal(size=(frames, 6)).astype(np.float32),
        blink=rng.uniform(0, 5, frames).astype(np.float32),
    )


def assert_only_changed(new: Attributes, old: Attributes, *changed: str):
    for name in FIELDS:
        equal = np.array_equal(getattr(new, name), getattr(old, name))
        assert equal == (name not in changed), name


def test_eyes_look_where_they_looked_while_the_head_is_turned_otherwise():
    still = Attributes(np.zeros((3, 64), np.float32), np.zeros((3, 6), np.float32), np.zeros(3))
    looking = replace_attributes(still, gaze=(0.05, -0.1))
    np.testing.assert_allclose(looking.gaze, [[0.05, -0.1]] * 3)
    turned = offset_attributes(looking, pose=(0, 0.2, 0, 0, 0, 0))
    np.testing.assert_allclose(turned.gaze[:, 1], -0.3, atol=1e-3)
    np.testing.assert_allclose(turned.gaze[:, 0], 0.05, atol=5e-3)
    again = offset_attributes(turned, pose=(0, -0.2, 0, 0, 0, 0))
    np.testing.assert_allclose(again.gaze, looking.gaze, atol=1e-5)
    far = offset_attributes(looking, pose=(0, 1.2, 0, 0, 0, 0))
    assert np.abs(far.gaze).max() <= MAX_GAZE_RAD
    assert offset_attributes(looking, blink=1.0).gaze is looking.gaze
    assert offset_attributes(still, pose=(0, 0.2, 0, 0, 0, 0)).gaze is None
    with pytest.raises(ValueError, match=r"gaze: expected .* \(3, 2\)"):
        replace_attributes(still, gaze=(0.1, 0.2, 0.3))


def test_scaling_keeps_the_resting_pose_and_scales_about_it():
    old = clip()
    new = scale_attributes(old, pose=0.5)
    assert_only_changed(new, old, "pose")
    np.testing.assert_allclose(new.pose.mean(0), old.pose.mean(0), atol=1e-5)
    np.testing.assert_allclose(new.pose.std(0), 0.5 * old.pose.std(0), rtol=1e-4)


def test_scaling_single_channels_leaves_the_others():
    old = clip()
    factors = np.ones(64)
    factors[3] = 0
    new = scale_attributes(old, expression=factors)
    assert not new.expression[:, 3].any()
    np.testing.assert_array_equal(new.expression[:, 4:], old.expression[:, 4:])


def test_offsets_add_and_blinks_stay_within_their_range():
    old = clip()
    new = offset_attributes(old, pose=[0, 0.2, 0, 0, 0, 0], blink=4.0)
    np.testing.assert_allclose(new.pose[:, 1], old.pose[:, 1] + 0.2, atol=1e-6)
    np.testing.assert_array_equal(new.pose[:, 0], old.pose[:, 0])
    np.testing.assert_allclose(new.blink, np.minimum(old.blink + 4, 5))


def test_replacing_takes_one_row_for_all_frames_or_one_for_each():
    old = clip()
    rows = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    np.testing.assert_array_equal(replace_attributes(old, pose=rows).pose, rows)
    still = replace_attributes(old, pose=rows[0], blink=0.0)
    assert_only_changed(still, old, "pose", "blink")
    assert (still.pose == rows[0]).all()
    assert not still.blink.any()


def test_keyframes_are_met_held_at_the_ends_and_eased_between():
    old = clip(30)
    keys = np.full((2, 6), np.nan)
    keys[:, 1] = [0.0, 0.4]
    new = keyframe_attributes(old, [10, 20], pose=keys)
    np.testing.assert_allclose(new.pose[:11, 1], 0, atol=1e-7)
    np.testing.assert_allclose(new.pose[20:, 1], 0.4, rtol=1e-6)
    np.testing.assert_allclose(new.pose[15, 1], 0.2, rtol=1e-5)
    steps = np.diff(new.pose[10:21, 1])
    assert (steps > 0).all()
    assert steps[0] < steps[4] > steps[-1]  # starts and ends at rest
    np.testing.assert_array_equal(new.pose[:, [0, 2, 3, 4, 5]], old.pose[:, [0, 2, 3, 4, 5]])


def test_a_channel_eases_between_the_keyframes_that_name_it():
    keys = np.full((3, 64), np.nan)
    keys[[0, 2], 5] = [0.0, 1.0]
    keys[1, 6] = 0.7
    new = keyframe_attributes(clip(30), [0, 10, 20], expression=keys)
    np.testing.assert_allclose(new.expression[10, 5], 0.5, rtol=1e-6)
    np.testing.assert_allclose(new.expression[:, 6], 0.7)


def test_the_gaussian_filter_agrees_with_scipy():
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    expected = scipy.ndimage.gaussian_filter1d(values.astype(float), 2.0, axis=0, mode="nearest")
    np.testing.assert_allclose(gaussian_filter(values, 2.0), expected, atol=1e-5)


def test_smoothing_touches_what_it_is_told_to():
    old = clip()
    assert_only_changed(smooth_attributes(old, pose=2.0), old, "pose")
    assert_only_changed(smooth_attributes(old, expression=1.0, blink=0.5), old, *FIELDS[1:])


def test_a_shorter_recording_is_played_forth_and_back():
    source = Attributes(
        expression=np.zeros((4, 64), np.float32),
        pose=np.arange(4, dtype=np.float32)[:, None] * np.ones((1, 6), np.float32),
        blink=np.zeros(4, np.float32),
    )
    rate = Fraction(25)
    new = transfer_attributes(clip(9), source, fields=["pose"], fps=rate, source_fps=rate)
    np.testing.assert_allclose(new.pose[:, 0], [0, 1, 2, 3, 2, 1, 0, 1, 2])


def test_a_recording_at_another_rate_keeps_its_tempo():
    t50 = np.arange(101) / 50
    source = Attributes(
        expression=np.zeros((101, 64), np.float32),
        pose=np.zeros((101, 6), np.float32),
        blink=(t50 * 2).astype(np.float32),
    )
    old = clip(50)
    new = transfer_attributes(
        old, source, fields=["blink"], fps=Fraction(25), source_fps=Fraction(50)
    )
    assert_only_changed(new, old, "blink")
    np.testing.assert_allclose(new.blink, np.arange(50) / 25 * 2, atol=1e-5)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda a: scale_attributes(a, pose=np.ones(5)), r"pose: expected .*\(40, 6\).*\(5,\)"),
        (lambda a: offset_attributes(a, blink=np.nan), "blink: expected finite"),
        (lambda a: keyframe_attributes(a, [3, 3], blink=[0, 1]), "rising frame numbers"),
        (lambda a: keyframe_attributes(a, [3], pose=np.zeros((2, 6))), r"\(1, 6\), got \(2, 6\)"),
        (lambda a: smooth_attributes(a, pose=-1.0), "at least 0 frames, got -1"),
        (
            lambda a: transfer_attributes(
                a, a[:0], fields=["pose"], fps=Fraction(25), source_fps=Fraction(25)
            ),
            "at least one frame",
        ),
    ],
)
def test_edits_that_make_no_sense_say_what_was_expected(edit, message):
    with pytest.raises(ValueError, match=message):
        edit(clip())


def test_an_identity_per_frame_goes_through_every_edit():
    identity = np.random.default_rng(2).normal(size=(40, 80)).astype(np.float32)
    old, rate = calm_clip().replace(identity=identity), Fraction(25)
    check_attributes(old)
    for new in (
        scale_attributes(old, pose=0.5),
        offset_attributes(old, blink=0.1),
        replace_attributes(old, blink=0.0),
        keyframe_attributes(old, [3], blink=[1.0]),
        smooth_attributes(old, pose=1.0),
        transfer_attributes(old, clip(9), fields=["blink"], fps=rate, source_fps=rate),
    ):
        np.testing.assert_array_equal(new.identity, identity)
    with pytest.raises(ValueError, match=r"identity \(40, 80\), one for each frame, got \(39, 80"):
        check_attributes(with_field(old, "identity", identity[1:]))
    with pytest.raises(ValueError, match="identity: expected finite"):
        check_attributes(old.replace(identity=identity * np.nan))


def calm_clip():
    """One whose head stays in the picture."""
    return scale_attributes(offset_attributes(clip()), pose=0.2)


def with_field(attributes, field, values):
    """As a user may make them: the tests' checks of types would refuse wrong shapes at once."""
    changed = attributes.replace()
    object.__setattr__(changed, field, values)
    return changed


def test_attributes_that_can_be_rendered_are_let_through():
    attributes = calm_clip()
    check_attributes(attributes)
    check_attributes(attributes.replace(blink=attributes.blink * 0 - np.float32(0.1)))


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("pose", lambda x: x[:-1], "expected pose"),
        ("pose", lambda x: x[:, :5], "expected pose"),
        ("expression", lambda x: x[:, :32], "expected pose"),
        ("blink", lambda x: x[:, None], "expected pose"),
        ("pose", lambda x: x * np.nan, r"pose: expected finite values, got NaN or infinity in"),
        ("expression", lambda x: np.where(x == x[7, 0], np.inf, x), "expression: expected finite"),
        ("pose", lambda x: np.degrees(x) + 3, "in radians"),
        ("pose", lambda x: x + np.array([0, 0, 0, 0, 0, 10]), "in decimetres"),
        ("pose", lambda x: x + np.array([0, 0, 0, 100, 0, 0]), "in decimetres"),
        ("blink", lambda x: x + 100, "blink: expected AU45 intensities from 0 to 5"),
    ],
)
def test_attributes_that_cannot_be_rendered_are_refused_in_words(field, change, message):
    attributes = calm_clip()
    wrong = change(np.asarray(getattr(attributes, field))).astype(np.float32)
    with pytest.raises(ValueError, match=message):
        check_attributes(with_field(attributes, field, wrong))


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda x: x.astype(str), "an array of <U"),
        (lambda x: x.astype(complex), "an array of complex128"),
        (lambda x: x > 0, "an array of bool"),
        (lambda x: x.tolist(), "list"),
    ],
)
@pytest.mark.parametrize("field", ["pose", "blink"])
def test_attributes_that_are_no_arrays_of_real_numbers_are_refused(field, change, got):
    attributes = calm_clip()
    wrong = change(np.asarray(getattr(attributes, field)))
    with pytest.raises(ValueError, match=f"{field}: expected an array of real numbers, got {got}"):
        check_attributes(with_field(attributes, field, wrong))
