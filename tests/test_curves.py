import csv
import json
from fractions import Fraction

import numpy as np
import pytest

from facial_jax.attributes import Attributes
from facial_jax.curves import (
    ARKIT_NAMES,
    FULL_LOOK_RAD,
    HEAD_COLUMNS,
    NOT_DRIVEN,
    arkit_curves,
    arkit_shapes,
    write_curves,
)
from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model


def frames(*expressions: dict[str, float], blink=0.0) -> Attributes:
    """A frame for each of these named expressions."""
    expression = np.zeros((len(expressions), 64), np.float32)
    for row, named in zip(expression, expressions, strict=True):
        for name, value in named.items():
            row[EXPRESSION_NAMES.index(name)] = value
    count = len(expressions)
    return Attributes(
        expression=expression,
        pose=np.zeros((count, 6), np.float32),
        blink=np.full(count, blink, np.float32),
    )


def driven(curves, frame: int, least: float = 0.02) -> dict[str, float]:
    return {name: float(v[frame]) for name, v in curves.items() if v[frame] >= least}


def test_there_are_arkits_52_names_and_each_is_driven_or_said_not_to_be():
    assert len(set(ARKIT_NAMES)) == len(ARKIT_NAMES) == 52
    assert list(arkit_curves(frames({}))) == list(ARKIT_NAMES)
    fitted = {*arkit_shapes()[0], "eyeBlinkLeft", "eyeBlinkRight", "jawRight", "mouthRight"}
    ways, sides = ("Down", "In", "Out", "Up"), ("Left", "Right")
    fitted |= {f"eyeLook{way}{side}" for way in ways for side in sides}
    assert fitted | set(NOT_DRIVEN) == set(ARKIT_NAMES)
    assert not fitted & set(NOT_DRIVEN)


def test_the_gaze_goes_to_both_eyes():
    looking = frames({}, {}).replace(
        gaze=np.array([[0.5 * FULL_LOOK_RAD, FULL_LOOK_RAD], [-2 * FULL_LOOK_RAD, -0.1]])
    )
    curves = arkit_curves(looking)
    # To the picture's right is to the person's left.
    names = ("DownLeft", "DownRight", "OutLeft", "InRight")
    expected = dict(zip((f"eyeLook{x}" for x in names), (0.5, 0.5, 1.0, 1.0), strict=True))
    assert driven(curves, 0) == pytest.approx(expected)
    assert curves["eyeLookUpLeft"][1] == 1
    assert curves["eyeLookInLeft"][1] == curves["eyeLookOutRight"][1] > 0
    assert not any(arkit_curves(frames({}))[f"eyeLook{x}"].any() for x in names)


def test_an_expression_of_ours_is_the_curve_of_its_name():
    for own, names in {
        "jaw_open": {"jawOpen"},
        "lip_press": {"mouthPressLeft", "mouthPressRight"},
        "mouth_corners_up": {"mouthSmileLeft", "mouthSmileRight"},
        "lip_round": {"mouthPucker"},
        "lip_funnel": {"mouthFunnel"},
        "cheek_puff": {"cheekPuff"},
        "brow_inner_raise": {"browInnerUp"},
    }.items():
        found = driven(arkit_curves(frames({own: 0.4})), 0)
        assert set(found) == names, own
        np.testing.assert_allclose(list(found.values()), 0.4, atol=0.02)


def test_left_is_the_persons_left_and_what_goes_the_other_way_its_opposite():
    curves = arkit_curves(
        frames({"mouth_corner_up_right": 0.5}, {"jaw_right": -0.3}, {"jaw_right": 0.3})
    )
    assert driven(curves, 0) == {"mouthSmileLeft": pytest.approx(0.5, abs=0.02)}
    assert driven(curves, 1) == {"jawRight": pytest.approx(0.3, abs=0.02)}
    assert driven(curves, 2) == {"jawLeft": pytest.approx(0.3, abs=0.02)}


def test_an_expression_without_a_name_is_fitted_by_those_that_come_nearest():
    tuck = arkit_curves(frames({"lower_lip_tuck": 0.5}))
    assert tuck["mouthRollLower"][0] > 0.3
    assert tuck["jawOpen"][0] < 0.1
    rng = np.random.default_rng(0)
    wild = Attributes(
        expression=rng.normal(0, 0.5, (20, 64)).astype(np.float32),
        pose=np.zeros((20, 6), np.float32),
        blink=np.zeros(20, np.float32),
    )
    for values in arkit_curves(wild).values():
        assert 0 <= values.min() <= values.max() <= 1


def test_blinks_close_both_eyes():
    curves = arkit_curves(frames({}, blink=4.0))
    assert driven(curves, 0) == {"eyeBlinkLeft": 0.8, "eyeBlinkRight": 0.8}


@pytest.mark.parametrize("ending", [".csv", ".json"])
def test_a_file_has_time_curves_and_the_head(tmp_path, ending):
    attributes = frames({"jaw_open": 0.4}, {})
    pose = np.zeros((2, 6), np.float32)
    pose[:, 1], pose[:, 5] = [0.1, -0.2], [-4.0, -4.2]
    attributes = attributes.replace(pose=pose)
    path = write_curves(
        tmp_path / f"talk{ending}", attributes, Fraction(50), procedural_face_model()
    )
    if ending == ".csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        columns = {name: [float(row[name]) for row in rows] for name in rows[0]}
    else:
        document = json.loads(path.read_text())
        assert document["frames_per_second"] == "50"
        assert document["not_driven"] == list(NOT_DRIVEN)
        columns = document["curves"]
    assert list(columns) == ["time_s", *ARKIT_NAMES, *HEAD_COLUMNS]
    np.testing.assert_allclose(columns["time_s"], [0.0, 0.02])
    np.testing.assert_allclose(columns["jawOpen"], [0.4, 0.0], atol=0.02)
    np.testing.assert_allclose(columns["head_yaw_rad"], [0.1, -0.2], atol=1e-4)
    np.testing.assert_allclose(columns["head_z_m"], [0.01, -0.01], atol=1e-4)


def test_another_face_model_another_ending_and_a_folder_that_is_not_there_are_refused(tmp_path):
    model = procedural_face_model()
    other = model.replace(expression_basis=model.expression_basis + 0.0)
    fps = Fraction(25)
    with pytest.raises(ValueError, match="only the built-in face's expressions are mapped"):
        write_curves(tmp_path / "a.csv", frames({}), fps, other)
    with pytest.raises(ValueError, match=r"expected the name of a \.csv or \.json file"):
        write_curves(tmp_path / "a.txt", frames({}), fps, model)
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        write_curves(tmp_path / "nowhere" / "a.csv", frames({}), fps, model)
