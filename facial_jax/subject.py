"""A subject: who speaks. What training leaves behind, saved and loaded as one folder."""

import dataclasses
import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from facial_jax.appearance import Appearance, appearance_arrays, appearance_from_arrays
from facial_jax.attributes import Identity
from facial_jax.audio.acoustic import BUNDLED, acoustic_model_hash
from facial_jax.face.bfm import user_bfm
from facial_jax.face.model import FaceModel, person_face_model
from facial_jax.face.procedural import procedural_face_model
from facial_jax.files import copy_file, whole_or_nothing, write_text
from facial_jax.formats import NewerFormatError, check_format
from facial_jax.frame_rate import parse_frame_rate
from facial_jax.full_frame import FILE_NAME as FULL_FRAME
from facial_jax.full_frame import (
    FullFrameReference,
    load_full_frame_reference,
)
from facial_jax.models.facial_gan.generation import FacialGan, load_facial_gan, save_facial_gan
from facial_jax.models.layers.parameters import (
    load_variables,
    module_config,
    module_from_config,
    save_variables,
)
from facial_jax.models.pgface.generation import PgFace, load_pgface, save_pgface
from facial_jax.models.pose_gan.generation import PoseGan, load_pose_gan, save_pose_gan
from facial_jax.models.rendering_to_video.conditioning import Scene, make_scene
from facial_jax.models.rendering_to_video.network import GlobalGenerator, LocalEnhancer
from facial_jax.pose_limits import (
    PoseLimits,
    pose_limits_arrays,
    pose_limits_from_arrays,
)
from facial_jax.readers.json_object import json_object

BUNDLED_SUBJECTS = Path(__file__).parent / "assets" / "subjects"
FACE_MODELS = {"procedural": procedural_face_model, "bfm": user_bfm}
DESCRIPTION = "subject.json"
FORMAT = 1
"""Of a subject's folder; one that names none is of the first."""
FACIAL_GAN = "facial_gan.safetensors"
RENDERING_TO_VIDEO = "rendering_to_video.safetensors"
MAX_SIZE = 4096
"""Of the frames, in pixels."""
_MAX_WINDOW_HALF = 64
POSE_GAN = "pose_gan.safetensors"
PGFACE = "pgface.safetensors"
GENERATORS = {"GlobalGenerator": GlobalGenerator, "LocalEnhancer": LocalEnhancer}


@dataclass(frozen=True, repr=False)
class Subject:
    """A person who can be made to speak."""

    name: str
    # what the subject is called
    fps: Fraction
    # frames per second at which the person was learnt
    size: int
    # height and width of the frames in pixels
    identity: Identity
    # face shape, texture and light
    face_model: FaceModel
    # what the coefficients are of
    facial_gan: FacialGan
    # speech to attributes
    rendering_to_video: nn.Module | None = None
    # rendered faces to frames; None: not trained yet, only attributes can be made
    rendering_to_video_params: dict[str, Any] | None = None
    # its parameters
    window_half: int = 1
    # N_w: a frame is made from the 2 * N_w rendered faces around it
    appearance: Appearance = dataclasses.field(default_factory=Appearance)
    # what the network has seen rendered beside the coefficients
    pose_limits: PoseLimits | None = None
    # between which poses the network has seen faces; None: not known
    acoustic_model: str = BUNDLED
    # what listens to the speech: a name of `load_acoustic_model`, or "given": the user's features
    acoustic_sha256: str | None = None
    # its `acoustic_model_hash` when the subject was trained with it; None: not remembered
    full_frame: FullFrameReference | None = None
    # whole frames of the reference video, in which the head can be shown
    pose_gan: PoseGan | None = None
    # speech to head poses; None: not trained
    pgface: PgFace | None = None
    # speech and poses to the face's shape; None: not trained

    def __repr__(self) -> str:
        shows = "attributes only" if self.rendering_to_video is None else f"{self.size}×{self.size}"
        return (
            f"Subject({self.name!r}, {shows} at {float(self.fps):g} per second, listens with "
            f"{self.acoustic_model})"
        )

    def rendered_face(self) -> tuple[FaceModel, Identity]:
        """The face model in the person's own colours, and whose face it is."""
        return person_face_model(self.face_model, self.identity, self.appearance.vertex_texture)

    def scene(self) -> Scene:
        """What the rendering-to-video network has seen rendered.

        Raises ValueError if the texture is another face model's, or the background of another
        size.
        """
        size = (self.size, self.size)
        return make_scene(self.face_model, self.identity, size, self.appearance)

    def check_renders(self) -> None:
        """Raises ValueError if the subject has no rendering-to-video network."""
        if self.rendering_to_video is None:
            raise ValueError(
                f"subject: {self.name} has no rendering-to-video network yet, so its attributes "
                "can be made but not its frames; train one with "
                "experiments.train_rendering_to_video, --network <the subject's folder>/"
                f"{RENDERING_TO_VIDEO}"
            )

    def check_acoustic_model(self) -> None:
        """Raises ValueError if its acoustic model is not the one that it was trained with."""
        if self.acoustic_sha256 is None:
            return
        here = acoustic_model_hash(self.acoustic_model)
        if here != self.acoustic_sha256:
            raise ValueError(
                f"subject: {self.name} was trained to listen with another acoustic model than "
                f"{self.acoustic_model} is here (SHA-256 {self.acoustic_sha256[:8]}…, here "
                f"{here[:8]}…); get the one that it was trained with, or make the subject again"
            )

    def check_full_frame(self) -> None:
        """Raises ValueError if the subject has no full frames."""
        if self.full_frame is None:
            raise ValueError(
                f"full_frame: subject {self.name} has no {FULL_FRAME} in its folder, so only its "
                "head can be shown; make the subject with experiments.personalize from a video, "
                "which writes one, or leave full_frame out"
            )

    def check_pose_gan(self) -> None:
        """Raises ValueError if the subject has no PoseGAN or no PGFace."""
        for model, file, script in (
            (self.pose_gan, POSE_GAN, "experiments.train_pose_gan"),
            (self.pgface, PGFACE, "experiments.train_pgface"),
        ):
            if model is None:
                raise ValueError(
                    f"method: subject {self.name} has no {file} in its folder, which pose_gan "
                    f"needs; train one with {script} on clips of the person and put it there, or "
                    "use the method facial"
                )


def bundled_subjects() -> list[str]:
    """Names of the subjects that come with this package."""
    return sorted(p.parent.name for p in BUNDLED_SUBJECTS.glob("*/subject.json"))


def save_rendering_to_video(
    path: str | os.PathLike,
    generator: nn.Module,
    params: dict[str, Any],
    *,
    window_half: int,
    appearance: Appearance,
    pose_limits: PoseLimits | None = None,
) -> None:
    """Writes a rendering-to-video network, with what it has seen faces rendered with."""
    conditions = appearance_arrays(appearance)
    if pose_limits is not None:
        conditions["motion"] = pose_limits_arrays(pose_limits)
    description = {
        "class": type(generator).__name__,
        "module": module_config(generator),
        "window_half": window_half,
    }
    save_variables(Path(path), {"params": params, **conditions}, description, half_precision=True)


def load_rendering_to_video(path: str | os.PathLike) -> dict[str, Any]:
    """The fields of a `Subject` that `save_rendering_to_video` wrote.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is damaged, or holds another network.
    """
    variables, config = load_variables(Path(path))
    try:
        half = config["window_half"]
        if isinstance(half, bool) or not isinstance(half, int) or not 1 <= half <= _MAX_WINDOW_HALF:
            raise TypeError(f"window_half: {half!r}")
        limits = variables.get("motion")
        return dict(
            rendering_to_video=module_from_config(GENERATORS[config["class"]], config["module"]),
            rendering_to_video_params=variables["params"],
            window_half=half,
            appearance=appearance_from_arrays(variables),
            pose_limits=None if limits is None else pose_limits_from_arrays(limits),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path}: expected a rendering-to-video network, as train_rendering_to_video writes "
            f"it, got weights of something else ({error!r})"
        ) from error


def save_subject(folder: str | os.PathLike, subject: Subject, *, face_model: str) -> None:
    """Writes a subject's folder; `face_model` names what `subject.face_model` is.

    "procedural" is the built-in model. "bfm" is the user's Basel Face Model, of which nothing is
    stored: whoever loads the subject must have it (see `facial_jax.face.bfm.bfm_path`).

    Of full frames, PoseGAN and PGFace, what the subject does not have stays in the folder as it is.

    A folder with a description is whole: an old one is removed before the other files are replaced,
    which happens once all the new ones are written, and the new description comes last. Of another
    person's folder nothing stays.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fields = describe(subject, face_model)
    with ExitStack() as stack:

        def partial(name: str) -> Path:
            return stack.enter_context(whole_or_nothing(folder / name))

        # The files take their names in the reverse order.
        write_text(partial(DESCRIPTION), json.dumps(fields, indent=1) + "\n")
        if subject.full_frame is not None:
            copy_file(subject.full_frame.path, partial(FULL_FRAME))
        if subject.pgface is not None:
            save_pgface(partial(PGFACE), subject.pgface)
        if subject.pose_gan is not None:
            save_pose_gan(partial(POSE_GAN), subject.pose_gan)
        if subject.rendering_to_video is not None:
            save_rendering_to_video(
                partial(RENDERING_TO_VIDEO),
                subject.rendering_to_video,
                subject.rendering_to_video_params,
                window_half=subject.window_half,
                appearance=subject.appearance,
                pose_limits=subject.pose_limits,
            )
        save_facial_gan(partial(FACIAL_GAN), subject.facial_gan, half_precision=True)
        others = (RENDERING_TO_VIDEO, FULL_FRAME, POSE_GAN, PGFACE)
        others = others if _is_of_another(folder, fields) else ()
        for name in (DESCRIPTION, *others):
            (folder / name).unlink(missing_ok=True)


def _is_of_another(folder: Path, fields: dict[str, Any]) -> bool:
    """Whether a folder holds a subject with another face."""
    try:
        there = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    names = [field.name for field in dataclasses.fields(Identity)]
    return [there.get(name) for name in names] != [fields[name] for name in names]


def describe(subject: Subject, face_model: str) -> dict[str, Any]:
    """What a subject's description holds; see `save_subject`."""
    renders = subject.rendering_to_video is not None
    coefficients = {
        field.name: np.asarray(getattr(subject.identity, field.name)).round(6).tolist()
        for field in dataclasses.fields(Identity)
    }
    return {
        "format": FORMAT,
        "name": subject.name,
        "fps": str(subject.fps),
        "size": subject.size,
        "face_model": face_model,
        "acoustic_model": subject.acoustic_model,
        **({"acoustic_sha256": subject.acoustic_sha256} if subject.acoustic_sha256 else {}),
        **({} if renders else {"renders": False}),
        **coefficients,
    }


def _identity(fields: dict[str, Any]) -> Identity:
    arrays = {}
    for name, shape in (("identity", (80,)), ("texture", (80,)), ("illumination", (3, 9))):
        array = np.asarray(fields[name], np.float32)
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers of shape {shape}")
        arrays[name] = jnp.asarray(array)
    return Identity(**arrays)


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SIZE:
        raise ValueError(f"size: expected a whole number from 1 to {MAX_SIZE}, got {value!r}")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    if not isinstance(fields[name], str):
        raise ValueError(f"{name}: expected a text, got {fields[name]!r}")
    return fields[name]


def load_subject(name: str | os.PathLike) -> Subject:
    """A bundled subject by name, or one from its folder.

    Raises:
      FileNotFoundError: there is no such subject, or a file of its folder is missing, or the face
        model that it was made with.
      ValueError: a file of its folder is damaged, or it was written by a newer version.
    """
    folder = BUNDLED_SUBJECTS / name if str(name) in bundled_subjects() else Path(name)
    description = folder / DESCRIPTION
    if not description.is_file():
        raise FileNotFoundError(
            f"subject {str(name)!r} is not known; known are {', '.join(bundled_subjects())}, "
            "and any folder with a subject.json"
        )
    try:
        fields = json_object(description.read_text(encoding="utf-8"))
        check_format(fields.get("format", 1), FORMAT, description)
        identity = _identity(fields)
        make_face_model = FACE_MODELS[fields["face_model"]]
        size, fps = _size(fields["size"]), parse_frame_rate(fields["fps"])
        texts = {"acoustic_model": BUNDLED, "acoustic_sha256": None} | {
            key: _text(fields, key)
            for key in ("name", "acoustic_model", "acoustic_sha256")
            if key == "name" or fields.get(key) is not None
        }
    except NewerFormatError:
        raise
    except (KeyError, ValueError, TypeError, OverflowError, OSError) as error:
        raise ValueError(
            f"the subject's description {description} is damaged ({error!r}); make the subject "
            "again, or reinstall facial_jax if it is a bundled one"
        ) from error
    video = {}
    if fields.get("renders", True) or (folder / RENDERING_TO_VIDEO).is_file():
        video = load_rendering_to_video(folder / RENDERING_TO_VIDEO)
    pose_gan, pgface = (
        load(folder / file) if (folder / file).is_file() else None
        for load, file in ((load_pose_gan, POSE_GAN), (load_pgface, PGFACE))
    )
    return Subject(
        fps=fps,
        size=size,
        identity=identity,
        face_model=make_face_model(),
        facial_gan=load_facial_gan(folder / FACIAL_GAN),
        full_frame=load_full_frame_reference(folder),
        pose_gan=pose_gan,
        pgface=pgface,
        **texts,
        **video,
    )
