"""Tables of how well PGFace does on clips that it never saw, and how its faces go with the pose.

    python -m experiments.evaluate_pgface --data FOLDER --models RUNS --expression-only RUNS

RUNS are the folders that train_pgface wrote, `--expression-only` with `--fixed-identity`. The first
table has root mean square errors of vertices in mm on the test clips, beside a fixed identity with
generated expression; the second how far the same speech's face is moved by tilting the head 18
degrees up and down (personalized pose dynamics, Fig. 7), which the picture shows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from data_specs.clips import PersonClips, open_people
from data_specs.synthetic_talking_head.soft_tissue import (
    USUAL_PITCH_RAD,
    softness,
    tissue_directions,
)
from facial_jax.cache import enable_compilation_cache
from facial_jax.metrics.face_shape import measure_methods, methods_beside, pgface_method
from facial_jax.metrics.pose_dependence import (
    PITCHES_RAD,
    displacement,
    likeness,
    tilted_faces,
)
from facial_jax.models.pgface.generation import load_pgface
from facial_jax.models.pgface.task import FILE
from facial_jax.pictures import save_png
from facial_jax.rendering.shape_difference import draw_tilted
from facial_jax.subject import FACE_MODELS


@dataclass(frozen=True)
class Arguments:
    """What is measured, and on what."""

    data: Path
    """What the networks were trained on: train_pgface's `--data`."""
    models: Path
    """The folder of the runs, each named as its person; people without one are left out."""
    expression_only: Path | None = None
    """The folder of the runs that learnt the expression alone, if any."""
    subject: str | None = None
    """Only this person."""
    face_model: Literal["procedural", "bfm"] = "procedural"
    """Face model of the clips' coefficients."""
    picture: Path | None = None
    """The .png file to write: a row for each person."""


def main(arguments: Arguments) -> None:
    """Prints both tables."""
    face_model = FACE_MODELS[arguments.face_model]()
    errors, moved, tilted = {}, {}, []
    for name, clips in open_people(arguments.data, arguments.subject):
        if not (arguments.models / name / FILE).is_file():
            continue
        model = load_pgface(arguments.models / name / FILE)
        methods = methods_beside(model)
        if arguments.expression_only is not None:
            only = load_pgface(arguments.expression_only / name / FILE)
            methods["expression learnt alone"] = pgface_method(only)
        for method, error in measure_methods(methods, clips.test, face_model).items():
            errors.setdefault(method, []).append(error)
        clip = clips.test[0]
        faces = tilted_faces(model, clip)
        for pitch, face in zip(PITCHES_RAD, faces, strict=True):
            if pitch:
                row = f"{name}, {np.degrees(pitch):+.0f} degrees"
                moved[row] = [displacement(face_model, face, faces[1])]
                if (truth := animators_change(name, clips, pitch)) is not None:
                    own = faces[1].replace(identity=faces[1].identity + truth)
                    moved[f"{row}, the animator's"] = [displacement(face_model, own, faces[1])]
                    shape = face.replace(expression=faces[1].expression)
                    cosine = likeness(face_model, shape, faces[1], truth)
                    moved[f"{row}, identity alone"] = [displacement(face_model, shape, faces[1])]
                    print(f"{row}: identity's change, cosine to the animator's {cosine:.3f}")
        tilted.append((clip, faces))
    print(f"errors of vertices on test clips, mm; mean of {len(tilted)} people")
    print(text_table(errors))
    print("\nfaces of the same speech, from the one at rest, mm")
    print(text_table(moved), flush=True)
    if arguments.picture is not None:
        rows = [draw_tilted(face_model, *one, PITCHES_RAD) for one in tilted]
        save_png(arguments.picture, np.concatenate(rows))


def animators_change(name: str, clips: PersonClips, pitch_rad: float) -> np.ndarray | None:
    """By how much such a pitch truly changes the identity coefficients, if that is known."""
    made_from = clips.train.metadata.get("made_from", {})
    if not made_from.get("soft_tissue"):
        return None
    size = softness(made_from["seed"], int(name.removeprefix("speaker")))
    return np.float32(size * pitch_rad / USUAL_PITCH_RAD) * tissue_directions()[0].astype("f")


def text_table(table: dict[str, list]) -> str:
    """One line for each row: means of dataclasses of numbers."""
    names = list(vars(next(iter(table.values()))[0]))
    lines = [f"{'':38s}" + "".join(f"{name:>10s}" for name in names)]
    for row, measures in table.items():
        means = [float(np.mean([getattr(one, name) for one in measures])) for name in names]
        lines.append(f"{row:38s}" + "".join(f"{mean:10.3f}" for mean in means))
    return "\n".join(lines)


if __name__ == "__main__":
    enable_compilation_cache()
    main(tyro.cli(Arguments))
