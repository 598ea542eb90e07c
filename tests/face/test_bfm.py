"""The Basel Face Model from its files, which are made up here."""

import dataclasses

import numpy as np
import pytest

from facial_jax.appearance import Appearance
from facial_jax.face import bfm
from facial_jax.face.bfm import load_bfm
from facial_jax.subject import FACE_MODELS, load_subject, save_subject
from facial_jax.synthesis import synthesize
from tests.readers.samples import front_model

scipy_io = pytest.importorskip("scipy.io")
RANK = 3


def low_rank(rng, rows, columns):
    """A float32 matrix of rank 3: large, but made fast."""
    left, right = rng.standard_normal((rows, RANK)), rng.standard_normal((RANK, columns))
    return left.astype(np.float32) @ right.astype(np.float32)


def write_originals(
    folder, *, basel, expression, components, in_basel, front, triangles, landmarks
):
    """Made-up original files of these sizes; returns what is in them."""
    rng = np.random.default_rng(0)
    made = {
        kind + part: array
        for kind in ("shape", "tex")
        for part, array in (
            ("MU", 128 + 30 * rng.standard_normal((3 * basel, 1)).astype(np.float32)),
            ("PC", low_rank(rng, 3 * basel, components)),
            ("EV", rng.uniform(1, 2, (components, 1)).astype(np.float32)),
        )
    }
    scipy_io.savemat(folder / bfm.BASEL, made)
    scipy_io.savemat(folder / bfm.EXPRESSION_INDEX, {"trimIndex": in_basel[:, None] + 1})
    scipy_io.savemat(folder / bfm.FRONT_INDEX, {"idx": np.float32(front[:, None] + 1)})
    topology = {"tri": np.float32(triangles + 1), "keypoints": np.float32(landmarks[None] + 1)}
    scipy_io.savemat(folder / bfm.TOPOLOGY, topology)
    made["exMU"] = rng.standard_normal(3 * expression).astype(np.float32)
    made["exPC"] = low_rank(rng, 79, 3 * expression)
    made["exEV"] = rng.uniform(1, 2, 79).astype(np.float32)
    with (folder / bfm.EXPRESSIONS).open("wb") as file:
        for array in (np.array([79], "<i4"), made["exMU"], made["exPC"]):
            file.write(array.tobytes())
    np.savetxt(folder / bfm.DEVIATIONS, made["exEV"][None], fmt="%.9g")
    return made


def assert_follows_by_hand(model, made, in_basel, front):
    """A few vertices, each computed from the files one number at a time, in float64."""
    rows = [int(in_basel[i]) for i in front]
    centre = np.mean([made["shapeMU"][3 * r : 3 * r + 3, 0] for r in rows], axis=0, dtype=float)
    for vertex in (0, 7, len(front) - 1):
        row, expression_row = rows[vertex], int(front[vertex])
        for axis in range(3):
            at = 3 * row + axis
            wanted = (float(made["shapeMU"][at, 0]) - centre[axis]) / 1e5
            assert model.mean_shape[vertex, axis] == pytest.approx(wanted, rel=1e-4, abs=1e-8)
            wanted = float(made["texMU"][at, 0]) / 255
            assert model.mean_texture[vertex, axis] == pytest.approx(wanted, rel=1e-5)
            for k in (0, 63, 79):
                wanted = float(made["shapePC"][at, k]) * float(made["shapeEV"][k, 0]) / 1e5
                assert model.identity_basis[vertex, axis, k] == pytest.approx(wanted, rel=1e-5)
                wanted = float(made["texPC"][at, k]) * float(made["texEV"][k, 0]) / 255
                assert model.texture_basis[vertex, axis, k] == pytest.approx(wanted, rel=1e-5)
            for k in (0, 63):
                wanted = float(made["exPC"][k, 3 * expression_row + axis]) * float(made["exEV"][k])
                got = model.expression_basis[vertex, axis, k]
                assert got == pytest.approx(wanted / 1e5, rel=1e-5)


SMALL = {"basel": 120, "expression": 110, "components": 90}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Original files of a model of 120, 110 and 100 vertices."""
    for name, value in zip(
        ("BASEL_VERTICES", "EXPRESSION_VERTICES", "BASEL_COMPONENTS"), SMALL.values(), strict=True
    ):
        monkeypatch.setattr(bfm, name, value)
    rng = np.random.default_rng(1)
    in_basel = np.sort(rng.permutation(120)[:110])
    front = np.sort(rng.permutation(110)[:100])
    triangles = rng.permuted(np.tile(np.arange(100), (50, 1)), axis=1)[:, :3]
    landmarks = rng.permutation(100)[:68]
    parts = {"in_basel": in_basel, "front": front, "triangles": triangles, "landmarks": landmarks}
    made = write_originals(tmp_path, **SMALL, **parts)
    return tmp_path, made, parts


def test_original_files_become_decimetres_deviations_and_front_vertices(small):
    folder, made, parts = small
    model = load_bfm(folder)
    assert_follows_by_hand(model, made, parts["in_basel"], parts["front"])
    np.testing.assert_array_equal(model.triangles, parts["triangles"])
    np.testing.assert_array_equal(model.landmarks, parts["landmarks"])


def test_original_files_of_the_true_sizes(tmp_path):
    rng = np.random.default_rng(1)
    first = rng.integers(0, 35_709, (70_789, 1))
    parts = {
        "in_basel": np.sort(rng.permutation(53_490)[:53_215]),
        "front": np.sort(rng.permutation(53_215)[:35_709]),
        "triangles": (first + np.array([0, 1, 2])) % 35_709,
        "landmarks": rng.permutation(35_709)[:68],
    }
    sizes = {"basel": 53_490, "expression": 53_215, "components": 199}
    made = write_originals(tmp_path, **sizes, **parts)
    model = load_bfm(tmp_path)
    assert model.mean_shape.shape == (35_709, 3)
    assert model.triangles.shape == (70_789, 3)
    assert model.eye_mask.shape == (35_709,)
    assert_follows_by_hand(model, made, parts["in_basel"], parts["front"])


def test_a_folder_with_the_front_model_needs_no_other_file(tmp_path):
    path = tmp_path / bfm.FRONT_MODEL
    path.write_bytes(front_model())
    model = load_bfm(tmp_path)
    np.testing.assert_array_equal(model.mean_shape, load_bfm(path).mean_shape)
    by_hand = scipy_io.loadmat(path)["meanshape"].reshape(-1, 3)
    np.testing.assert_allclose(model.mean_shape, by_hand - by_hand.mean(axis=0), atol=1e-6)


def test_says_what_is_missing_and_where_to_ask_for_it(small, tmp_path):
    folder, _, _ = small
    with pytest.raises(FileNotFoundError, match="unibas"):
        load_bfm(folder / "nothing")
    (folder / bfm.BASEL).unlink()
    with pytest.raises(FileNotFoundError, match=r"01_MorphableModel.mat.*faces.dmi.unibas.ch"):
        load_bfm(folder)
    (folder / bfm.EXPRESSIONS).unlink()
    with pytest.raises(FileNotFoundError, match=r"Exp_Pca.bin.*Guo"):
        load_bfm(folder)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (bfm.EXPRESSIONS, lambda data: data[:-8], "Exp_Pca.bin: expected a component count"),
        (bfm.DEVIATIONS, lambda data: b"1 2 3", "std_exp.txt: expected a standard deviation"),
        (bfm.DEVIATIONS, lambda data: b"one two", "std_exp.txt: expected numbers"),
        (
            bfm.BASEL,
            lambda data: b"<html>not found</html>",
            "01_MorphableModel.mat: expected a MAT",
        ),
        (bfm.BASEL, lambda data: data[: len(data) // 2], "01_MorphableModel.mat: expected"),
    ],
)
def test_damaged_files_are_named_with_what_was_expected(small, name, damage, message):
    folder = small[0]
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    with pytest.raises(ValueError, match=message):
        load_bfm(folder)


def test_indices_out_of_range_and_wrong_shapes_are_named(small):
    folder = small[0]
    scipy_io.savemat(folder / bfm.FRONT_INDEX, {"idx": np.array([[0.0], [3.0]])})
    with pytest.raises(ValueError, match=r"idx: expected whole numbers from 1 to 110, got 0\.0"):
        load_bfm(folder)
    arrays = {
        "meanshape": np.zeros((1, 9)),
        "meantex": np.zeros((1, 9)),
        "idBase": np.zeros((9, 4)),
    }
    arrays |= {"exBase": np.zeros((9, 64)), "texBase": np.zeros((9, 80)), "tri": np.ones((1, 3))}
    scipy_io.savemat(folder / bfm.FRONT_MODEL, arrays | {"keypoints": np.ones((1, 68))})
    with pytest.raises(ValueError, match=r"idBase: expected shape \(9, 80\), got \(9, 4\)"):
        load_bfm(folder)
    scipy_io.savemat(folder / bfm.FRONT_MODEL, {"meanshape": np.zeros((1, 9))})
    with pytest.raises(ValueError, match="lacks meantex"):
        load_bfm(folder)


def test_subjects_made_with_the_basel_model_find_the_users_files(small, monkeypatch, tmp_path):
    folder = small[0]
    monkeypatch.setenv("FACIAL_JAX_BFM", str(folder))
    other = dataclasses.replace(load_subject("demo"), face_model=FACE_MODELS["bfm"]())
    with pytest.raises(ValueError, match="expected one colour for each of 100 vertices"):
        other.scene()
    subject = dataclasses.replace(other, appearance=Appearance())
    save_subject(tmp_path / "subject", subject, face_model="bfm")
    stored = {path.name for path in (tmp_path / "subject").iterdir()}
    networks = ("facial_gan", "pgface", "pose_gan", "rendering_to_video")
    assert stored == {"subject.json", *(f"{name}.safetensors" for name in networks)}
    loaded = load_subject(tmp_path / "subject")
    assert loaded.face_model.mean_shape.shape == (100, 3)
    video = synthesize((np.zeros(1600, np.float32), 16000), subject=loaded)
    assert np.stack(list(video)).shape == (2, 256, 256, 3)
    monkeypatch.delenv("FACIAL_JAX_BFM")
    monkeypatch.setenv("FACIAL_JAX_CACHE", str(tmp_path / "empty"))
    with pytest.raises(FileNotFoundError, match=r"empty/bfm.*FACIAL_JAX_BFM.*unibas"):
        FACE_MODELS["bfm"]()
