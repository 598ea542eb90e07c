"""Reading what the published tools leave behind: OpenFace, Deep3DFaceRecon, and FACIAL's own files.

Their face model is the Basel Face Model: the coefficients mean nothing to the built-in one.
"""

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from facial_jax.attributes import ATTRIBUTE_SIZE, MAX_BLINK, Attributes, Identity
from facial_jax.readers.matlab import read_mat
from facial_jax.readers.npz import npz_names, read_npz
from facial_jax.rendering.camera import (
    Camera,
    euler_from_rotation,
    pinhole_camera,
    pinhole_translation,
    rotation_from_euler,
    weak_perspective_pose,
)

PUBLISHED_SIZE = (512, 512)  # of the frames that FACIAL's pose vectors are given for
DEEP3D_COLUMNS = 257
POSENEW_COLUMNS = 258
# Columns of Deep3DFaceRecon's vector: identity, expression, texture, angles, light, translation.
_DEEP3D_SPLIT = np.cumsum([80, 64, 80, 3, 27, 3])[:-1]
# The arrays of the PyTorch version's files, which make up that vector.
_DEEP3D_PARTS = {"id": 80, "exp": 64, "tex": 80, "angle": 3, "gamma": 27, "trans": 3}
_ROWS_AT_ONCE = 1024
_NO_NUMBER = re.compile(r"[+-]?(nan(\(\w*\))?|\d+\.#(QNAN|SNAN|IND|INF)\w*)", re.IGNORECASE)
# Columns of *_posenew.npz: angles, scale, x, y, z, expression, identity, texture, light.
_POSENEW_SPLIT = np.cumsum([6, 1, 64, 80, 80, 27])[:-1]


@flax.struct.dataclass
class OpenFaceRecord:
    """What OpenFace's FeatureExtraction says about each frame of a video."""

    points: Float[np.ndarray, "t 68 2"]
    # the 68 landmarks in pixels, x right, y down
    angles_rad: Float[np.ndarray, "t 3"]
    # pitch, yaw, roll as everywhere here: R = Rz·Ry·Rx, y up, z towards the viewer
    position_dm: Float[np.ndarray, "t 3"]
    # of the head from OpenFace's camera: x right, y up, z the depth, decimetres
    blink: Float[np.ndarray, "t"]
    # intensity of AU45, 0 to 5
    success: Bool[np.ndarray, "t"]
    # whether OpenFace found the face


def read_openface(path: str | os.PathLike) -> OpenFaceRecord:
    """A CSV file of OpenFace 2 (FeatureExtraction with -2Dfp -pose -aus).

    OpenFace looks along +z with y down and composes R = Rx·Ry·Rz; its positions are in millimetres.
    If it found no face, it may have written `-nan(ind)`, `inf` and the like: those are NaN.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing, a number cannot be read, or there are no rows.
    """
    path = _existing(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            values = _openface_values(csv.reader(file, skipinitialspace=True))
    except (ValueError, IndexError, OSError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as OpenFace's CSV: {error}") from None
    success = values[:, -1] > 0
    position, angles, blink = values[:, :3], values[:, 3:6], values[:, 6]
    return OpenFaceRecord(
        points=np.stack([values[:, 7:75], values[:, 75:143]], axis=-1),
        angles_rad=_angles_from_openface(angles),
        position_dm=position * np.array([0.01, -0.01, 0.01], np.float32),
        blink=np.clip(blink, 0, MAX_BLINK),
        success=success,
    )


def _openface_values(rows: Iterator[list[str]]) -> Float[np.ndarray, "t 144"]:
    """Position, angles, AU45, the landmarks' x and y, and success (1 if it is not there)."""
    header = [name.strip() for name in next(rows, [])]
    wanted = [f"pose_T{a}" for a in "xyz"] + [f"pose_R{a}" for a in "xyz"] + ["AU45_r"]
    wanted += [f"x_{i}" for i in range(68)] + [f"y_{i}" for i in range(68)]
    missing = [name for name in wanted if name not in header]
    if missing:
        raise ValueError(
            f"it lacks OpenFace's columns {', '.join(missing[:4])}"
            f"{' …' if len(missing) > 4 else ''}; run FeatureExtraction with -2Dfp -pose -aus"
        )
    columns = [header.index(name) for name in wanted]
    success = header.index("success") if "success" in header else None
    # Row by row: as texts, the numbers of an hour take gigabytes.
    values = []
    for row in filter(None, rows):
        if len(row) < len(header):
            raise ValueError(
                f"frame {len(values) + 1} has {len(row)} of {len(header)} columns: it is cut off; "
                "run FeatureExtraction again, or remove the line"
            )
        found = 1.0 if success is None else _number(row[success])
        values.append(np.array([*(_number(row[c]) for c in columns), found], np.float32))
    if not values:
        raise ValueError("it has no frames, only a header")
    table = np.stack(values)
    return np.where(np.isfinite(table), table, np.float32("nan"))


def _number(text: str) -> float:
    """A number as C's and C++'s libraries print it: Windows' write `-nan(ind)` or `1.#QNAN`."""
    if _NO_NUMBER.fullmatch(text.strip()):
        return float("nan")
    return float(text)


def _angles_from_openface(angles: np.ndarray) -> np.ndarray:
    """Angles of R = Rz·Ry·Rx, y up and z back, from those of Rx·Ry·Rz, y down and z forward."""
    # Of few lengths: each is compiled anew.
    padded = np.pad(angles, ((0, -len(angles) % _ROWS_AT_ONCE), (0, 0)))
    # (Rx(a)·Ry(b)·Rz(c))ᵀ = Rz(−c)·Ry(−b)·Rx(−a)
    rotation = rotation_from_euler(-jnp.asarray(padded, jnp.float32)).mT
    turn = jnp.array([1.0, -1.0, -1.0])
    ours = euler_from_rotation(rotation * (turn[:, None] * turn[None])[None])
    return np.asarray(ours)[: len(angles)]


def read_deep3d(path: str | os.PathLike) -> tuple[Attributes, Identity]:
    """Deep3DFaceRecon's coefficients: a .mat file, a folder of them, or an .npz (`face`).

    A .mat file is of the TensorFlow version (`coeff`), or of the PyTorch version (`id`, `exp`,
    `tex`, `angle`, `gamma`, `trans`).

    The files of a folder are the frames, in the order of the numbers that are their names. The
    camera is `pinhole_camera`'s. Blinks are zero: take them from OpenFace.

    Returns:
        Attributes of t frames; identity, texture and light as the mean over them
        (`read_frame_identity` keeps every frame's).

    Raises:
        FileNotFoundError: there is no such file, or no .mat file in the folder.
        ValueError: there are no 257 columns of finite numbers.
    """
    parts = np.split(_deep3d_rows(path), _DEEP3D_SPLIT, axis=1)
    identity, expression, texture, angles, light, translation = parts
    pose = np.concatenate([angles, translation], axis=1)
    return (
        Attributes(
            expression=expression,
            pose=pose,
            blink=np.zeros(len(pose), np.float32),
        ),
        _identity(identity, texture, light),
    )


def read_frame_identity(path: str | os.PathLike) -> Float[np.ndarray, "t 80"]:
    """Every frame's identity coefficients, as single frames were reconstructed: for PGFace.

    Args:
        path: Deep3DFaceRecon's coefficients, as `read_deep3d` takes them, or FACIAL's
            *_posenew.npz. They go into `Clip.frame_identity`.

    Raises:
        FileNotFoundError: there is no such file, or no .mat file in the folder.
        ValueError: there are no 257 or 258 columns of finite numbers.
        ImportError: a .mat file is to be read without scipy.
    """
    path = _existing(path)
    if path.is_file() and path.suffix == ".npz":
        rows = _npz_rows(path, "face")
        if rows.ndim == 2 and rows.shape[1] == POSENEW_COLUMNS:
            _check_rows(path, rows, POSENEW_COLUMNS)
            return np.split(rows, _POSENEW_SPLIT, axis=1)[3]
    return np.split(_deep3d_rows(path), _DEEP3D_SPLIT, axis=1)[0]


def read_posenew(
    path: str | os.PathLike,
    *,
    blink: Float[np.ndarray, "t"] | None = None,
    size: tuple[int, int] = PUBLISHED_SIZE,
) -> tuple[Attributes, Identity]:
    """FACIAL's *_posenew.npz: `face`, (t, 258), weak-perspective poses with their identity.

    Args:
        path: the file.
        blink: AU45 intensities from OpenFace, (t,); zero if not given. (The file has the
            translation along z, which has no effect in it, where FACIAL-GAN's vectors have AU45.)
        size: (height, width) of the frames that it was made from.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there is no (t, 258) array of finite numbers, or the blink is of another length.
    """
    path = _existing(path)
    rows = _npz_rows(path, "face")
    _check_rows(path, rows, POSENEW_COLUMNS)
    pose, _, expression, identity, texture, light = np.split(rows, _POSENEW_SPLIT, axis=1)
    blink = np.zeros(len(rows), np.float32) if blink is None else np.asarray(blink, np.float32)
    if blink.shape != (len(rows),):
        raise ValueError(f"blink: expected one for each of {len(rows)} frames, got {blink.shape}")
    attributes = Attributes(
        expression=expression, pose=_pinhole_pose(pose, size), blink=np.clip(blink, 0, MAX_BLINK)
    )
    return attributes, _identity(identity, texture, light)


def read_published_attributes(
    path: str | os.PathLike,
    *,
    key: str | None = None,
    size: tuple[int, int] = PUBLISHED_SIZE,
) -> Attributes:
    """FACIAL-GAN's (t, 71) results in an .npz: pose (degrees, scale, x, y), AU45, expression.

    Args:
        path: the file.
        key: the array's name; by default the only one with 71 columns.
        size: (height, width) of the frames that the pose is given for.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there is no such array, or it is not (t, 71) finite numbers in these units.
    """
    path = _existing(path)
    rows = _npz_rows(path, key, ATTRIBUTE_SIZE)
    _check_rows(path, rows, ATTRIBUTE_SIZE)
    pose, blink, expression = rows[:, :6], rows[:, 6], rows[:, 7:]
    if (pose[:, 3] <= 0).any():
        raise ValueError(
            f"{path}: expected a positive scale in pixels per decimetre in column 3, got "
            f"{pose[:, 3].min():.3f}; are the vectors still standardised?"
        )
    return Attributes(
        expression=expression,
        pose=_pinhole_pose(pose, size),
        blink=np.clip(blink, 0, MAX_BLINK),
    )


def _deep3d_rows(path: str | os.PathLike) -> Float[np.ndarray, "t 257"]:
    """The coefficients of all frames; raises as `read_deep3d` does."""
    path = _existing(path)
    if path.is_dir():
        files = sorted(path.glob("[!.]*.mat"), key=lambda p: (len(p.stem), p.stem))
        if not files:
            raise FileNotFoundError(f"there is no .mat file in {path}")
        rows = np.concatenate([_mat_coefficients(file) for file in files])
    elif path.suffix == ".mat":
        rows = _mat_coefficients(path)
    else:
        rows = _npz_rows(path, "face")
    _check_rows(path, rows, DEEP3D_COLUMNS)
    return rows


def _pinhole_pose(pose: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Radians and decimetres before `pinhole_camera(size)` from a weak-perspective pose (t, 6)."""
    camera: Camera = pinhole_camera(size)
    angles_rad, weak = weak_perspective_pose(jnp.asarray(pose), size)
    translation = pinhole_translation(camera, weak)
    return np.concatenate([np.asarray(angles_rad), np.asarray(translation)], axis=1)


def _identity(identity: np.ndarray, texture: np.ndarray, light: np.ndarray) -> Identity:
    return Identity(
        identity=identity.mean(axis=0),
        texture=texture.mean(axis=0),
        illumination=light.mean(axis=0).reshape(3, 9),
    )


def _existing(path: str | os.PathLike) -> Path:
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    return path


def _mat_coefficients(path: Path) -> np.ndarray:
    stored = read_mat(path, ["coeff", *_DEEP3D_PARTS])
    if "coeff" in stored:
        return stored["coeff"].astype(np.float32)
    missing = [name for name in _DEEP3D_PARTS if name not in stored]
    if not missing:
        return _joined_parts(path, stored)
    raise ValueError(
        f"{path} has neither an array named coeff nor all of {', '.join(_DEEP3D_PARTS)} (it lacks "
        f"{', '.join(missing)}): is it of Deep3DFaceRecon?"
    )


def _joined_parts(path: Path, stored: dict) -> np.ndarray:
    """The rows that the PyTorch version's arrays, (t, n) each, make up."""
    parts = {name: stored[name].astype(np.float32) for name in _DEEP3D_PARTS}
    count = len(parts["id"])
    for name, columns in _DEEP3D_PARTS.items():
        if parts[name].shape != (count, columns):
            raise ValueError(
                f"{name} of {path.name} should be {(count, columns)}, is {parts[name].shape}"
            )
    return np.concatenate(list(parts.values()), axis=1)


def _npz_rows(path: Path, key: str | None, columns: int | None = None) -> np.ndarray:
    stored = read_npz(path, None if key is None else (key,))
    if key is None:
        fits = [n for n, x in stored.items() if x.ndim == 2 and x.shape[1] == columns]
        if len(fits) != 1:
            raise ValueError(
                f"{path}: expected one array with {columns} columns, found {len(fits)} among "
                f"{', '.join(stored)}; give its name as key"
            )
        key = fits[0]
    if key not in stored:
        raise ValueError(f"{path} has no array named {key}, only {', '.join(npz_names(path))}")
    if stored[key].dtype.kind == "U":
        raise ValueError(f"{path}: expected numbers in {key}, got texts")
    return stored[key].astype(np.float32)


def _check_rows(path: Path, rows: np.ndarray, columns: int) -> None:
    if rows.ndim != 2 or rows.shape[1] != columns or not len(rows):
        raise ValueError(f"{path}: expected an array of shape (t, {columns}), got {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{path}: expected finite numbers, got NaN or infinity among them")
