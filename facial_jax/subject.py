"""A subject: who speaks. What training leaves behind, saved and loaded as one folder."""

import dataclasses
import json
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.attributes import Identity
from facial_jax.audio.acoustic import BUNDLED, acoustic_model_hash
from facial_jax.face.bfm import user_bfm
from facial_jax.face.model import FaceModel
from facial_jax.face.procedural import procedural_face_model
from facial_jax.files import write_text
from facial_jax.frame_rate import parse_frame_rate
from facial_jax.full_frame import (
    FILE_NAME,
    FullFrameReference,
    copy_full_frame_reference,
    load_full_frame_reference,
)
from facial_jax.models.facial_gan.generation import FacialGan, load_facial_gan, save_facial_gan
from facial_jax.models.layers.parameters import (
    load_variables,
    module_config,
    module_from_config,
    save_variables,
)
from facial_jax.models.rendering_to_video.conditioning import Scene, make_scene
from facial_jax.models.rendering_to_video.network import GlobalGenerator, LocalEnhancer
from facial_jax.rendering.surroundings import (
    Surroundings,
    surroundings_arrays,
    surroundings_from_arrays,
)

BUNDLED_SUBJECTS = Path(__file__).parent / "assets" / "subjects"
FACE_MODELS = {"procedural": procedural_face_model, "bfm": user_bfm}
DESCRIPTION = "subject.json"
FACIAL_GAN = "facial_gan.safetensors"
RENDERING_TO_VIDEO = "rendering_to_video.safetensors"
GENERATORS = {"GlobalGenerator": GlobalGenerator, "LocalEnhancer": LocalEnhancer}


@dataclass(frozen=True)
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
    vertex_texture: Float[Array | np.ndarray, "n 3"] | None = None
    # albedo of the rendered faces, in place of the statistical texture
    surroundings: Surroundings | None = None
    # what is around the rendered faces; None: nothing, they are on black
    acoustic_model: str = BUNDLED
    # what listens to the speech: a name of `load_acoustic_model`, or "given" where the user does
    acoustic_sha256: str | None = None
    # its `acoustic_model_hash` when the subject was trained with it; None: not remembered
    full_frame: FullFrameReference | None = None
    # whole frames of the reference video, in which the head can be shown

    def scene(self) -> Scene:
        """What the rendering-to-video network has seen rendered.

        Raises ValueError where the texture is another face model's, or the background of another
        size.
        """
        return make_scene(
            self.face_model,
            self.identity,
            (self.size, self.size),
            vertex_texture=self.vertex_texture,
            surroundings=self.surroundings,
        )

    def check_renders(self) -> None:
        """Raises ValueError where the subject has no rendering-to-video network."""
        if self.rendering_to_video is None:
            raise ValueError(
                f"subject: {self.name} has no rendering-to-video network yet, so its attributes "
                "can be made but not its frames; train one with "
                "experiments.train_rendering_to_video, --network <the subject's folder>/"
                f"{RENDERING_TO_VIDEO}"
            )

    def check_acoustic_model(self) -> None:
        """Raises ValueError where its acoustic model is not the one that it was trained with."""
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
        """Raises ValueError where the subject has no full frames."""
        if self.full_frame is None:
            raise ValueError(
                f"full_frame: subject {self.name} has no {FILE_NAME} in its folder, so only its "
                "head can be shown; make the subject with experiments.personalize from a video, "
                "which writes one, or leave full_frame out"
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
    vertex_texture: Float[Array | np.ndarray, "n 3"] | None,
    surroundings: Surroundings | None = None,
) -> None:
    """Writes a rendering-to-video network, with the texture of the faces and what is around them.

    The network has seen both, and makes sense with them only.
    """
    seen = {} if vertex_texture is None else {"face": {"texture": vertex_texture}}
    if surroundings is not None:
        seen["surroundings"] = surroundings_arrays(surroundings)
    description = {
        "class": type(generator).__name__,
        "module": module_config(generator),
        "window_half": window_half,
    }
    save_variables(Path(path), {"params": params, **seen}, description, half_precision=True)


def load_rendering_to_video(path: str | os.PathLike) -> dict[str, Any]:
    """The fields of a `Subject` that `save_rendering_to_video` wrote.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is damaged, or holds another network.
    """
    variables, config = load_variables(Path(path))
    try:
        around = variables.get("surroundings")
        return dict(
            rendering_to_video=module_from_config(GENERATORS[config["class"]], config["module"]),
            rendering_to_video_params=variables["params"],
            window_half=config["window_half"],
            vertex_texture=variables.get("face", {}).get("texture"),
            surroundings=None if around is None else surroundings_from_arrays(around),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected a rendering-to-video network, as train_rendering_to_video writes "
            f"it, got weights of something else ({error!r})"
        ) from error


def save_subject(folder: str | os.PathLike, subject: Subject, *, face_model: str) -> None:
    """Writes a subject's folder; `face_model` names what `subject.face_model` is.

    "procedural" is the built-in model. "bfm" is the user's Basel Face Model, of which nothing is
    stored: whoever loads the subject must have it (see `facial_jax.face.bfm.bfm_path`).

    Full frames are copied; where the subject has none, those in the folder stay as they are. The
    description goes last, so that a folder with a description is whole.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_facial_gan(folder / FACIAL_GAN, subject.facial_gan, half_precision=True)
    renders = subject.rendering_to_video is not None
    if renders:
        save_rendering_to_video(
            folder / RENDERING_TO_VIDEO,
            subject.rendering_to_video,
            subject.rendering_to_video_params,
            window_half=subject.window_half,
            vertex_texture=subject.vertex_texture,
            surroundings=subject.surroundings,
        )
    if subject.full_frame is not None:
        copy_full_frame_reference(subject.full_frame, folder)
    coefficients = {
        field.name: np.asarray(getattr(subject.identity, field.name)).round(6).tolist()
        for field in dataclasses.fields(Identity)
    }
    fields = {
        "name": subject.name,
        "fps": str(subject.fps),
        "size": subject.size,
        "face_model": face_model,
        "acoustic_model": subject.acoustic_model,
        **({"acoustic_sha256": subject.acoustic_sha256} if subject.acoustic_sha256 else {}),
        **({} if renders else {"renders": False}),
        **coefficients,
    }
    write_text(folder / DESCRIPTION, json.dumps(fields, indent=1) + "\n")


def load_subject(name: str | os.PathLike) -> Subject:
    """A bundled subject by name, or one from its folder.

    Raises:
      FileNotFoundError: there is no such subject, or a file of its folder is missing, or the face
        model that it was made with.
      ValueError: a file of its folder is damaged.
    """
    folder = BUNDLED_SUBJECTS / name if str(name) in bundled_subjects() else Path(name)
    description = folder / DESCRIPTION
    if not description.is_file():
        raise FileNotFoundError(
            f"subject {str(name)!r} is not known; known are {', '.join(bundled_subjects())}, "
            "and any folder with a subject.json"
        )
    try:
        fields = json.loads(description.read_text())
        identity = Identity(
            **{
                key: jnp.asarray(fields[key], jnp.float32)
                for key in ("identity", "texture", "illumination")
            }
        )
        make_face_model = FACE_MODELS[fields["face_model"]]
        name, size, fps = fields["name"], int(fields["size"]), parse_frame_rate(fields["fps"])
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(
            f"the subject's description {description} is damaged ({error!r}); make the subject "
            "again, or reinstall facial_jax if it is a bundled one"
        ) from error
    video = {}
    if fields.get("renders", True) or (folder / RENDERING_TO_VIDEO).is_file():
        video = load_rendering_to_video(folder / RENDERING_TO_VIDEO)
    return Subject(
        name=name,
        fps=fps,
        size=size,
        identity=identity,
        face_model=make_face_model(),
        facial_gan=load_facial_gan(folder / FACIAL_GAN),
        acoustic_model=fields.get("acoustic_model", BUNDLED),
        acoustic_sha256=fields.get("acoustic_sha256"),
        full_frame=load_full_frame_reference(folder),
        **video,
    )
