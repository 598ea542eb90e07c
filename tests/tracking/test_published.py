import jax.numpy as jnp
import numpy as np
import pytest
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from facial_jax.attributes import Attributes
from facial_jax.rendering.camera import (
    camera_vertices,
    pinhole_camera,
    pose_vertices,
    project_to_pixels,
)
from facial_jax.tracking.published import (
    read_deep3d,
    read_frame_identity,
    read_openface,
    read_posenew,
    read_published_attributes,
)


def origin_pixel(attributes, size):
    """Where the model's origin and a point a decimetre to its right are seen."""
    points = jnp.array([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]], jnp.float32)
    still = Attributes(
        expression=attributes.expression[:1],
        pose=jnp.asarray(attributes.pose[:1]).at[:, :3].set(0.0),
        blink=attributes.blink[:1],
    )
    camera = pinhole_camera(size)
    seen = project_to_pixels(camera, camera_vertices(camera, pose_vertices(points, still)))
    return np.asarray(seen)[0]


def weak_perspective_rows(columns):
    rows = np.zeros((3, columns), np.float32)
    rows[:, :6] = [10.0, -20.0, 5.0, 150.0, 12.0, -8.0]
    return rows


def test_a_published_result_is_seen_where_it_was(tmp_path):
    rows = weak_perspective_rows(71)
    rows[:, 6], rows[:, 7:] = [0.5, -0.1, 7.0], 0.25
    np.savez(tmp_path / "a.npz", face=rows, other=np.zeros((3, 29)))
    read = read_published_attributes(tmp_path / "a.npz")
    np.testing.assert_allclose(np.degrees(read.pose[0, :3]), [10, -20, 5], rtol=1e-5)
    np.testing.assert_allclose(read.blink, [0.5, 0.0, 5.0])
    np.testing.assert_array_equal(read.expression, rows[:, 7:])
    origin, right = origin_pixel(read, (512, 512))
    np.testing.assert_allclose(origin, [256 + 12, 256 + 8], atol=1e-2)
    np.testing.assert_allclose(right - origin, [150, 0], atol=1e-2)


def test_posenew_holds_the_identity_and_its_seventh_column_is_no_blink(tmp_path):
    rows = weak_perspective_rows(258)
    rows[:, 6] = 3.0  # a translation along z
    rows[:, 7:71], rows[:, 71:151], rows[:, 151:231] = 0.1, 0.2, 0.3
    rows[:, 231:] = np.arange(27)
    np.savez(tmp_path / "a_posenew.npz", face=rows)
    attributes, identity = read_posenew(tmp_path / "a_posenew.npz")
    assert not attributes.blink.any()
    np.testing.assert_array_equal(
        read_frame_identity(tmp_path / "a_posenew.npz"), rows[:, 71:151].astype(np.float32)
    )
    np.testing.assert_allclose(attributes.expression, 0.1)
    np.testing.assert_allclose(identity.identity, 0.2, rtol=1e-6)
    np.testing.assert_allclose(identity.texture, 0.3, rtol=1e-6)
    np.testing.assert_allclose(identity.illumination, np.arange(27).reshape(3, 9), rtol=1e-6)
    blink = np.array([0, 5, 1], np.float32)
    again, _ = read_posenew(tmp_path / "a_posenew.npz", blink=blink)
    np.testing.assert_array_equal(again.blink, blink)
    with pytest.raises(ValueError, match="each of 3 frames"):
        read_posenew(tmp_path / "a_posenew.npz", blink=blink[:2])


@pytest.mark.parametrize("form", ["file", "folder", "npz", "pytorch file", "pytorch folder"])
def test_deep3d_coefficients_are_read_in_order(tmp_path, form):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((11, 257)).astype(np.float32)

    def save(path, row):
        names = ("id", "exp", "tex", "angle", "gamma", "trans")
        parts = np.split(row[None], np.cumsum([80, 64, 80, 3, 27]), axis=1)
        named = dict(zip(names, parts, strict=True)) | {"lm68": np.zeros((1, 68, 2))}
        savemat(path, named if "pytorch" in form else {"coeff": row[None]})

    if form.endswith("file"):
        path, rows = tmp_path / "1.mat", rows[:1]
        save(path, rows[0])
    elif form.endswith("folder"):
        path = tmp_path
        (path / "._1.mat").write_bytes(b"what macOS leaves")
        for index, row in enumerate(rows, 1):  # 10 comes after 9, not after 1
            save(path / f"{index}.mat", row)
    else:
        path = tmp_path / "a.npz"
        np.savez(path, face=rows)
    attributes, identity = read_deep3d(path)
    np.testing.assert_array_equal(attributes.expression, rows[:, 80:144])
    np.testing.assert_array_equal(attributes.pose, rows[:, [224, 225, 226, 254, 255, 256]])
    np.testing.assert_allclose(identity.identity, rows[:, :80].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(read_frame_identity(path), rows[:, :80])
    light = rows[:, 227:254].mean(axis=0)
    np.testing.assert_allclose(identity.illumination.reshape(-1), light, atol=1e-6)


def openface_csv(path, angles, *, leave_out=()):
    names = ["frame", "success", *(f"pose_T{a}" for a in "xyz"), *(f"pose_R{a}" for a in "xyz")]
    names += [f"x_{i}" for i in range(68)] + [f"y_{i}" for i in range(68)] + ["AU45_r"]
    lines = [", ".join(n for n in names if n not in leave_out)]
    for frame, row in enumerate(angles, 1):
        values = [frame, int(frame != 2), 30.0, 40.0, 500.0, *row]
        values += [*range(68), *range(100, 168), 1.5]
        kept = [v for n, v in zip(names, values, strict=True) if n not in leave_out]
        lines.append(", ".join(map(str, kept)))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_openface_angles_are_turned_into_ours(tmp_path):
    angles = np.array([[0.2, 0.0, 0.0], [0.0, 0.3, 0.0], [0.0, 0.0, 0.1], [0.2, -0.3, 0.1]])
    read = read_openface(openface_csv(tmp_path / "a.csv", angles))
    flip = np.diag([1.0, -1.0, -1.0])
    for own, theirs in zip(read.angles_rad, angles, strict=True):
        expected = flip @ Rotation.from_euler("XYZ", theirs).as_matrix() @ flip
        np.testing.assert_allclose(Rotation.from_euler("xyz", own).as_matrix(), expected, atol=1e-6)
    np.testing.assert_allclose(read.position_dm[0], [0.3, -0.4, 5.0], rtol=1e-6)
    np.testing.assert_array_equal(read.points[0, 5], [5, 105])
    np.testing.assert_array_equal(read.success, [True, False, True, True])
    np.testing.assert_allclose(read.blink, 1.5)


def test_wrong_files_are_named_with_what_they_lack(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        read_openface(tmp_path / "none.csv")
    path = openface_csv(tmp_path / "a.csv", np.zeros((2, 3)), leave_out=["AU45_r"])
    with pytest.raises(ValueError, match="AU45_r"):
        read_openface(path)
    np.savez(tmp_path / "a.npz", face=np.zeros((4, 99), np.float32))
    with pytest.raises(ValueError, match=r"257.*99"):
        read_deep3d(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="71 columns"):
        read_published_attributes(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", face=np.zeros((4, 71), np.float32))
    with pytest.raises(ValueError, match="standardised"):
        read_published_attributes(tmp_path / "b.npz")
    savemat(tmp_path / "a.mat", {"other": np.zeros(3)})
    with pytest.raises(ValueError, match="coeff"):
        read_deep3d(tmp_path / "a.mat")


@pytest.mark.parametrize("text", ["-nan(ind)", "nan", "-nan", "NaN", "1.#QNAN", "-1.#IND00", "inf"])
def test_openfaces_frames_without_a_face_are_nan(tmp_path, text):
    path = openface_csv(tmp_path / "a.csv", np.zeros((3, 3)))
    lines = path.read_text().splitlines()
    row = lines[2].split(", ")
    lines[2] = ", ".join(row[:2] + [text] * (len(row) - 2))
    path.write_text("\n".join(lines))
    record = read_openface(path)
    assert record.success.tolist() == [True, False, True]
    for values in (record.points, record.angles_rad, record.position_dm, record.blink):
        finite = np.isfinite(values).reshape(3, -1)
        assert finite.all(axis=1).tolist() == [True, False, True]
        assert not finite[1].any()


def test_a_table_that_is_cut_off_says_where(tmp_path):
    path = openface_csv(tmp_path / "a.csv", np.zeros((3, 3)))
    path.write_text(path.read_text()[:-40])
    with pytest.raises(ValueError, match=r"frame 3 has 1\d\d of 145 columns: it is cut off"):
        read_openface(path)


def test_other_and_damaged_mat_files_are_refused_in_words(tmp_path):
    (tmp_path / "broken.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(ValueError, match=r"broken\.mat cannot be read as a \.mat file"):
        read_deep3d(tmp_path / "broken.mat")
    savemat(tmp_path / "some.mat", {"id": np.zeros((1, 80)), "exp": np.zeros((1, 64))})
    with pytest.raises(ValueError, match="it lacks tex, angle, gamma, trans"):
        read_deep3d(tmp_path / "some.mat")
    parts = {"id": 80, "exp": 64, "tex": 80, "angle": 3, "gamma": 27, "trans": 2}
    savemat(tmp_path / "shape.mat", {k: np.zeros((1, n)) for k, n in parts.items()})
    with pytest.raises(ValueError, match=r"trans of shape\.mat should be \(1, 3\), is \(1, 2\)"):
        read_deep3d(tmp_path / "shape.mat")
    savemat(tmp_path / "text.mat", {"coeff": "text"})
    with pytest.raises(ValueError, match="numbers"):
        read_deep3d(tmp_path / "text.mat")
