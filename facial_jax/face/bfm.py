"""The Basel Face Model 2009 with the FaceWarehouse expressions, read from the user's own files.

Both are licensed to persons and not distributed here. Two sources give the same model of 35,709
vertices and 70,789 triangles, the one of Deep3DFaceRecon:

- `BFM_model_front.mat`, which Deep3DFaceRecon's scripts write;
- a folder with the files that it is made from: `01_MorphableModel.mat` (Basel), `Exp_Pca.bin`
  (the expressions of Guo et al.), and, from Deep3DFaceRecon, `std_exp.txt`, `BFM_exp_idx.mat`,
  `BFM_front_idx.mat` and `facemodel_info.mat`.

Units become this project's: decimetres instead of micrometres, colours in [0, 1] instead of
[0, 255], indices from 0. The mean shape is centred: its mean over the vertices is zero.
"""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from facial_jax.cache import cache_directory
from facial_jax.face.model import FaceModel, face_model_from_arrays
from facial_jax.readers.matlab import read_mat

BASEL_VERTICES = 53_490
EXPRESSION_VERTICES = 53_215  # the Basel mesh without some of the inner mouth
BASEL_COMPONENTS = 199
IDENTITY_SIZE, EXPRESSION_SIZE, TEXTURE_SIZE = 80, 64, 80
MICROMETRES_PER_DECIMETRE = 1e5

FRONT_MODEL = "BFM_model_front.mat"
BASEL = "01_MorphableModel.mat"
EXPRESSIONS = "Exp_Pca.bin"
DEVIATIONS = "std_exp.txt"
EXPRESSION_INDEX = "BFM_exp_idx.mat"
FRONT_INDEX = "BFM_front_idx.mat"
TOPOLOGY = "facemodel_info.mat"
_DEEP3D = (
    "github.com/sicxu/Deep3DFaceRecon_pytorch (or microsoft/Deep3DFaceReconstruction), folder BFM"
)
SOURCES = {
    FRONT_MODEL: f"it is made from the original files by the scripts of {_DEEP3D}",
    BASEL: "ask the University of Basel for the Basel Face Model 2009: faces.dmi.unibas.ch/bfm",
    EXPRESSIONS: "CoarseData of Guo et al., linked from github.com/Juyong/3DFace",
    DEVIATIONS: _DEEP3D,
    EXPRESSION_INDEX: _DEEP3D,
    FRONT_INDEX: _DEEP3D,
    TOPOLOGY: _DEEP3D,
}


def bfm_path() -> Path:
    """Where subjects made with this model look for it: `FACIAL_JAX_BFM`, or `bfm` in the cache."""
    chosen = os.environ.get("FACIAL_JAX_BFM")
    return Path(chosen).expanduser() if chosen else cache_directory() / "bfm"


def user_bfm() -> FaceModel:
    """The model at `bfm_path()`.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: see `load_bfm`.
    """
    if not bfm_path().exists():
        raise FileNotFoundError(
            f"the Basel Face Model is not at {bfm_path()}; put {FRONT_MODEL} or the original files "
            "into that folder, or let the environment variable FACIAL_JAX_BFM name another file or "
            f"folder. {BASEL}: {SOURCES[BASEL]}; {EXPRESSIONS}: {SOURCES[EXPRESSIONS]}"
        )
    return load_bfm(bfm_path())


def load_bfm(path: str | os.PathLike) -> FaceModel:
    """The Basel Face Model with expressions, from `BFM_model_front.mat` or the original files.

    Args:
        path: a `.mat` file in the layout of `BFM_model_front.mat`, or a folder. In a folder,
            `BFM_model_front.mat` is taken if it is there, else the original files.

    Raises:
        FileNotFoundError: a file is missing; the message says which, and where to ask for it.
        ValueError: a file is damaged or of another layout; the message says what was expected.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"face model {path} does not exist; expected {FRONT_MODEL} or a folder with "
            f"{', '.join(name for name in SOURCES if name != FRONT_MODEL)}. "
            f"{BASEL}: {SOURCES[BASEL]}; {EXPRESSIONS}: {SOURCES[EXPRESSIONS]}"
        )
    if not path.is_dir():
        return read_front_model(path)
    if (path / FRONT_MODEL).is_file():
        return read_front_model(path / FRONT_MODEL)
    return read_original_files(path)


def read_front_model(path: Path) -> FaceModel:
    """The model from a file in the layout of `BFM_model_front.mat`, of any number of vertices."""
    names = ("meanshape", "meantex", "idBase", "exBase", "texBase", "tri", "keypoints")
    mat = _read_mat(path, names)
    size = mat["meanshape"].size
    if size % 3 or not size:
        raise ValueError(
            f"{path}: meanshape: expected 3·n numbers, got shape {mat['meanshape'].shape}"
        )
    n = size // 3

    def numbers(name, *shape):
        return _reshaped(path, name, mat[name], (size, *shape), (n, 3, *shape))

    return _centred_model(
        path,
        mean_shape=numbers("meanshape"),
        mean_texture=numbers("meantex"),
        identity_basis=numbers("idBase", IDENTITY_SIZE),
        expression_basis=numbers("exBase", EXPRESSION_SIZE),
        texture_basis=numbers("texBase", TEXTURE_SIZE),
        triangles=_indices(path, "tri", mat["tri"], n, columns=3),
        landmarks=_indices(path, "keypoints", mat["keypoints"].reshape(-1), n),
    )


def read_original_files(folder: Path) -> FaceModel:
    """The model from the original files: see this module's docstring.

    The Basel components and the expression components are unit vectors, to be multiplied with
    their standard deviations (`shapeEV`, `texEV`, `std_exp.txt`); the first 80, 64 and 80 are kept.
    """
    paths = {name: folder / name for name in SOURCES if name != FRONT_MODEL}
    missing = [name for name, path in paths.items() if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"the folder {folder} has no {FRONT_MODEL} and lacks of the original files: "
            + "; ".join(f"{name} ({SOURCES[name]})" for name in missing)
        )
    in_basel = _read_indices(paths[EXPRESSION_INDEX], "trimIndex", BASEL_VERTICES)
    if in_basel.shape != (EXPRESSION_VERTICES,):
        raise ValueError(
            f"{paths[EXPRESSION_INDEX]}: trimIndex: expected {EXPRESSION_VERTICES} indices, got "
            f"{in_basel.size}"
        )
    front = _read_indices(paths[FRONT_INDEX], "idx", EXPRESSION_VERTICES)
    n = front.size
    info = _read_mat(paths[TOPOLOGY], ("tri", "keypoints"))
    triangles = _indices(paths[TOPOLOGY], "tri", info["tri"], n, columns=3)
    landmarks = _indices(paths[TOPOLOGY], "keypoints", info["keypoints"].reshape(-1), n)
    expression = _read_expressions(paths[EXPRESSIONS], paths[DEVIATIONS])
    shape_mean, shape_basis, texture_mean, texture_basis = _read_basel(paths[BASEL])
    rows = in_basel[front]
    return _centred_model(
        folder,
        mean_shape=shape_mean[rows] / MICROMETRES_PER_DECIMETRE,
        mean_texture=texture_mean[rows],
        identity_basis=shape_basis[rows] / MICROMETRES_PER_DECIMETRE,
        expression_basis=expression[front] / MICROMETRES_PER_DECIMETRE,
        texture_basis=texture_basis[rows],
        triangles=triangles,
        landmarks=landmarks,
    )


def _read_basel(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean shape, shape basis, mean texture, texture basis of all vertices, in the file's units."""
    names = ("shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV")
    mat = _read_mat(path, names)
    parts = []
    for kind, count in (("shape", IDENTITY_SIZE), ("tex", TEXTURE_SIZE)):
        mean, basis, deviations = (mat[kind + part] for part in ("MU", "PC", "EV"))
        full = (3 * BASEL_VERTICES, BASEL_COMPONENTS)
        if basis.shape != full:
            raise ValueError(f"{path}: {kind}PC: expected shape {full}, got {basis.shape}")
        mean = _reshaped(path, kind + "MU", mean, full[:1], (BASEL_VERTICES, 3))
        deviations = _reshaped(path, kind + "EV", deviations, full[1:], full[1:])
        scaled = basis[:, :count].astype(np.float32) * deviations[:count]
        parts += [mean, scaled.reshape(BASEL_VERTICES, 3, count)]
    return tuple(parts)


def _read_expressions(path: Path, deviations_path: Path) -> Float[np.ndarray, "m 3 64"]:
    """Expression components in micrometres. The file: int32 count, float32 mean, float32 basis."""
    deviations = np.array(_read_floats(deviations_path), np.float32)
    data = path.read_bytes()
    count = int.from_bytes(data[:4], "little", signed=True)
    numbers = 3 * EXPRESSION_VERTICES
    expected = 4 + 4 * numbers * (1 + count)
    if not EXPRESSION_SIZE <= count <= 1000 or len(data) != expected:
        raise ValueError(
            f"{path}: expected a component count (int32, 79), then a mean and that many components "
            f"of {numbers} float32 each; got the count {count} and {len(data)} bytes"
        )
    if deviations.size != count:
        raise ValueError(
            f"{deviations_path}: expected a standard deviation for each of the {count} components "
            f"of {path.name}, got {deviations.size} numbers"
        )
    basis = np.frombuffer(data, "<f4", offset=4 + 4 * numbers).reshape(count, numbers)
    scaled = basis[:EXPRESSION_SIZE] * deviations[:EXPRESSION_SIZE, None]
    return scaled.T.reshape(EXPRESSION_VERTICES, 3, EXPRESSION_SIZE)


def _centred_model(
    path: Path,
    *,
    mean_shape: np.ndarray,
    mean_texture: np.ndarray,
    texture_basis: np.ndarray,
    **rest,
) -> FaceModel:
    """The face model of arrays in decimetres and colours of [0, 255]; the path for messages."""
    try:
        return face_model_from_arrays(
            mean_shape=mean_shape - mean_shape.mean(axis=0, dtype=np.float64),
            mean_texture=mean_texture / 255,
            texture_basis=texture_basis / 255,
            **rest,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read_mat(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The named arrays of a MATLAB file."""
    try:
        mat = read_mat(path, names)
    except ValueError as error:
        raise ValueError(
            f"{path}: expected a MATLAB file of version 5 to 7 ({error}); get it again: "
            f"{SOURCES.get(path.name, SOURCES[FRONT_MODEL])}"
        ) from error
    missing = [name for name in names if name not in mat]
    if missing:
        raise ValueError(
            f"{path}: expected the arrays {', '.join(names)}; lacks {', '.join(missing)}; get it "
            f"again: {SOURCES.get(path.name, SOURCES[FRONT_MODEL])}"
        )
    return mat


def _read_floats(path: Path) -> list[float]:
    try:
        return [float(word) for word in path.read_text().split()]
    except ValueError as error:
        raise ValueError(f"{path}: expected numbers separated by spaces: {error}") from error


def _read_indices(path: Path, name: str, below: int) -> Int[np.ndarray, "k"]:
    return _indices(path, name, _read_mat(path, (name,))[name].reshape(-1), below)


def _indices(
    path: Path, name: str, array: np.ndarray, below: int, *, columns: int | None = None
) -> Int[np.ndarray, "..."]:
    """Indices from 0 of MATLAB's from 1, which the files store as floats."""
    if columns and (array.ndim != 2 or array.shape[1] != columns):
        raise ValueError(f"{path}: {name}: expected {columns} columns, got shape {array.shape}")
    if not array.size or array.min() < 1 or array.max() > below or (array != array.round()).any():
        raise ValueError(
            f"{path}: {name}: expected whole numbers from 1 to {below}, got "
            + (f"{array.min()} to {array.max()}" if array.size else "none")
        )
    return array.astype(np.int32) - 1


def _reshaped(
    path: Path, name: str, array: np.ndarray, expected: tuple[int, ...], shape: tuple[int, ...]
) -> np.ndarray:
    if array.size != int(np.prod(expected)) or (len(expected) > 1 and array.shape != expected):
        raise ValueError(f"{path}: {name}: expected shape {expected}, got {array.shape}")
    return array.astype(np.float32).reshape(shape)
