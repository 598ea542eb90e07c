"""Curves out: what the face does under ARKit's 52 blend-shape names, which 3D programs take.

The built-in face's expressions are fitted by ARKit's shapes: of each frame, the weights from 0 to 1
whose displacements of the vertices come nearest in least squares. `SHAPES` says which of our named
expressions an ARKit shape is; shapes of one side are ours, faded at the middle line. Left and right
are the person's in ARKit, the picture's in `EXPRESSION_NAMES`. The blink goes to both eyes, and so
does the gaze, where the attributes have one: `FULL_LOOK_RAD` is a curve of 1. `NOT_DRIVEN` are
always 0: the built-in face has nothing like them. An identity of each frame (PGFace) is not in the
curves.
"""

import csv
import functools
import io
import json
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float

from facial_jax.attributes import MAX_BLINK, Attributes
from facial_jax.face.model import FaceModel
from facial_jax.face.procedural import EXPRESSION_NAMES, is_built_in, procedural_face_model
from facial_jax.face.procedural.geometry import smoothstep
from facial_jax.files import write_text

EYES = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
ARKIT_NAMES = (
    *(f"eye{what}{side}" for side in ("Left", "Right") for what in EYES),
    *("jawForward", "jawLeft", "jawRight", "jawOpen"),
    *("mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft", "browDownRight"),
    *("browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff"),
    *("cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut"),
)
"""In Apple's order."""
SHAPES = {
    "jawForward": "jaw_forward",
    "jawLeft": "jaw_right",
    "jawOpen": "jaw_open",
    "mouthClose": "mouth_close",
    "mouthFunnel": "lip_funnel",
    "mouthPucker": "lip_round",
    "mouthLeft": "mouth_right",
    "mouthSmileLeft": "mouth_corner_up_right",
    "mouthSmileRight": "mouth_corner_up_left",
    "mouthFrown": "mouth_corners_down",
    "mouthDimpleLeft": "dimple_right",
    "mouthDimpleRight": "dimple_left",
    "mouthStretch": "lip_spread",
    "mouthRollLower": "lower_lip_roll_in",
    "mouthRollUpper": "upper_lip_roll_in",
    "mouthShrugLower": "chin_raise",
    "mouthPress": "lip_press",
    "mouthLowerDown": "lower_lip_depress",
    "mouthUpperUp": "upper_lip_raise",
    "browDownLeft": "brow_lower_right",
    "browDownRight": "brow_lower_left",
    "browInnerUp": "brow_inner_raise",
    "browOuterUp": "brow_outer_raise",
    "cheekPuff": "cheek_puff",
    "cheekSquint": "cheek_raise",
    "noseSneer": "nose_wrinkle",
}
"""Of an ARKit shape, or of its two sides, our expression."""
OPPOSITES = {"jawLeft": "jawRight", "mouthLeft": "mouthRight"}
"""Of a shape, the one that is its negative."""
NOT_DRIVEN = (
    *(f"eye{what}{side}" for side in ("Left", "Right") for what in ("Squint", "Wide")),
    "mouthShrugUpper",
    "tongueOut",
)
FULL_LOOK_RAD = np.pi / 6
"""How far an eye turns at a curve of 1; ARKit does not say it."""
HEAD_COLUMNS = (
    *("head_pitch_rad", "head_yaw_rad", "head_roll_rad"),
    *("head_x_m", "head_y_m", "head_z_m"),
)
"""The head's rotation Rz·Ry·Rx, x to the picture's right, y up, z to the viewer; its translation is
from its mean place."""
ENDINGS = (".csv", ".json")
_FADE_DM = 0.06  # half the width of the seam between shapes of one side
_RIDGE = 1e-5  # share of the mean squared displacement: settles what shapes share
_ITERATIONS, _SETTLED = 400, 1e-4  # sweeps at most, and the largest step of a last one
_METRES_PER_DECIMETRE = 0.1


def arkit_curves(attributes: Attributes) -> dict[str, Float[np.ndarray, "t"]]:
    """The 52 curves of (t) frames of the built-in face, each within [0, 1], in Apple's order."""
    expression = np.asarray(attributes.expression, np.float64)
    names, gram, from_expression = _fit_tables()
    lowest = np.array([-1.0 if name in OPPOSITES else 0.0 for name in names])
    fitted = _bounded_least_squares(gram, from_expression @ expression.T, lowest)
    curves = dict(zip(names, fitted, strict=True))
    for name, opposite in OPPOSITES.items():
        curves |= {name: np.maximum(curves[name], 0), opposite: np.maximum(-curves[name], 0)}
    blink = np.clip(np.asarray(attributes.blink, np.float64) / MAX_BLINK, 0.0, 1.0)
    curves |= {"eyeBlinkLeft": blink, "eyeBlinkRight": blink}
    if attributes.gaze is not None:
        curves |= _gaze_curves(np.asarray(attributes.gaze, np.float64))
    still = np.zeros(len(blink))
    return {name: curves.get(name, still) for name in ARKIT_NAMES}


def _gaze_curves(gaze: Float[np.ndarray, "t 2"]) -> dict[str, Float[np.ndarray, "t"]]:
    """Where both eyes look; positive angles are down and to the picture's right, the person's left.

    The person's left eye looks outwards then, and the right one towards the nose.
    """
    down, left = np.clip(gaze / FULL_LOOK_RAD, -1.0, 1.0).T
    curves = {}
    for side, outwards in (("Left", left), ("Right", -left)):
        for name, turn in (("Down", down), ("Up", -down), ("Out", outwards), ("In", -outwards)):
            curves[f"eyeLook{name}{side}"] = np.maximum(turn, 0.0)
    return curves


@functools.cache
def arkit_shapes() -> tuple[tuple[str, ...], Float[np.ndarray, "k n 3"]]:
    """The names of the ARKit shapes that are fitted, and their displacements in decimetres."""
    model = procedural_face_model()
    basis = np.moveaxis(np.asarray(model.expression_basis, np.float64), -1, 0)
    x = np.asarray(model.mean_shape)[:, 0]
    # The person's left is the picture's right.
    sides = {
        "Left": smoothstep(-_FADE_DM, _FADE_DM, x),
        "Right": smoothstep(-_FADE_DM, _FADE_DM, -x),
    }
    shapes = {}
    for name, own in SHAPES.items():
        whole = basis[EXPRESSION_NAMES.index(own)]
        if name in ARKIT_NAMES:
            shapes[name] = whole
        else:
            shapes |= {name + side: weight[:, None] * whole for side, weight in sides.items()}
    return tuple(shapes), np.stack(list(shapes.values()))


@functools.cache
def _fit_tables() -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """The shapes' names, their Gram matrix (k, k), and (k, 64) their products with our basis."""
    names, shapes = arkit_shapes()
    flat = shapes.reshape(len(names), -1)
    basis = np.asarray(procedural_face_model().expression_basis, np.float64).reshape(-1, 64)
    gram = flat @ flat.T
    gram += _RIDGE * np.diag(gram).mean() * np.eye(len(names))
    return names, gram, flat @ basis


def _bounded_least_squares(
    gram: Float[np.ndarray, "k k"],
    products: Float[np.ndarray, "k t"],
    lowest: Float[np.ndarray, "k"],
) -> Float[np.ndarray, "k t"]:
    """Of every column b, the x from `lowest` to 1 that minimizes xᵀGx/2 − bᵀx.

    Coordinate descent, of all columns together.
    """
    x, gradient = np.zeros_like(products), -products  # G x − b
    for _ in range(_ITERATIONS):
        largest = 0.0
        for k, row in enumerate(gram):
            new = np.clip(x[k] - gradient[k] / row[k], lowest[k], 1.0)
            step = new - x[k]
            x[k] = new
            gradient += row[:, None] * step
            largest = max(largest, float(np.abs(step).max(initial=0.0)))
        if largest < _SETTLED:
            break
    return x


def check_curves(path: str | os.PathLike, face_model: FaceModel) -> Path:
    """The path of curves to be written, checked before any work is done.

    Raises:
        ValueError: another ending than .csv and .json, or a face model whose expressions are not
            mapped to ARKit's.
        FileNotFoundError: its folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"export: expected the name of a .csv or .json file, got {str(path)!r}")
    if not is_built_in(face_model):
        raise ValueError(
            "export: only the built-in face's expressions are mapped to ARKit's blend shapes; this "
            "subject's are another face model's, such as the Basel Face Model's"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"export: the folder {path.parent} does not exist; make it first")
    return path


def write_curves(
    path: str | os.PathLike, attributes: Attributes, fps: Fraction, face_model: FaceModel
) -> Path:
    """Writes time, the 52 curves and the head's motion, a row or a list for each frame.

    A .csv has a header and the columns `time_s`, `ARKIT_NAMES` and `HEAD_COLUMNS`. A .json has them
    as lists under `curves`, and `frames_per_second` and `not_driven` beside them.

    Args:
        path: a .csv or .json file; written whole or not at all.
        attributes: (t) frames.
        fps: frames per second.
        face_model: the subject's.

    Raises:
        ValueError, FileNotFoundError: see `check_curves`.
    """
    path = check_curves(path, face_model)
    pose = np.asarray(attributes.pose, np.float64).copy()
    pose[:, 3:] = _METRES_PER_DECIMETRE * (pose[:, 3:] - pose[:, 3:].mean(axis=0))
    columns = {"time_s": np.arange(len(pose)) / float(fps), **arkit_curves(attributes)}
    columns |= dict(zip(HEAD_COLUMNS, pose.T, strict=True))
    columns = {name: np.round(values, 5).tolist() for name, values in columns.items()}
    if path.suffix.lower() == ".json":
        document = {"frames_per_second": str(fps), "not_driven": NOT_DRIVEN, "curves": columns}
        write_text(path, json.dumps(document) + "\n")
    else:
        table = io.StringIO(newline="")
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        write_text(path, table.getvalue())
    return path
