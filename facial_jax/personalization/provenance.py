"""What each stage of personalization depends on: settings, and hashes of what it reads."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

from facial_jax.audio.acoustic import acoustic_model_hash
from facial_jax.data.clips import Clip, ClipSource, clips_hash, clips_in_memory
from facial_jax.models.facial_gan.initialization import DISCRIMINATOR_FILE
from facial_jax.models.rendering_to_video.config import RenderingToVideoTrainingConfig
from facial_jax.models.rendering_to_video.reference import load_reference
from facial_jax.personalization.clip import CROP, part_of, tracked_size
from facial_jax.personalization.config import PersonalizationConfig
from facial_jax.provenance import Provenance, file_hash, prefixed, settings, tree_hash
from facial_jax.subject import DESCRIPTION, FACIAL_GAN, RENDERING_TO_VIDEO
from facial_jax.version import __version__


def track(video: Path, config: PersonalizationConfig) -> Provenance:
    """Of the tracked clip: neither the person's name nor the speech features, which are given to
    it anew."""
    return {
        "video": file_hash(video),
        "size": tracked_size(config),
        "mediapipe": _version("mediapipe"),
        "facial_jax": __version__,
    }


def track_further(video: Path, config: PersonalizationConfig, first: Clip) -> Provenance:
    """Of a clip that is tracked with the first one's identity, at its frame rate."""
    own = {"identity": tree_hash(first.identity), "fps": first.fps}
    return track(video, config) | own


def facial_gan(
    config: PersonalizationConfig, clip: Clip, first: int, further: Sequence[Clip] = ()
) -> Provenance:
    """Of the network that is fine-tuned on the frames before `first` and on further clips."""
    own = {"clip": clips_hash(part_of(clip, 0, len(clip))), "first_held_out": first}
    if further:
        own["further"] = clips_hash(clips_in_memory(*further))
    return _fine_tuning(config) | own


def facial_gan_of_clips(
    config: PersonalizationConfig, clips: ClipSource, validation: ClipSource
) -> Provenance:
    """Of the network that is fine-tuned on a data set's clips."""
    own = {"clips": clips_hash(clips), "validation": clips_hash(validation)}
    return _fine_tuning(config) | own


def _fine_tuning(config: PersonalizationConfig) -> Provenance:
    discriminator = config.general.with_name(DISCRIMINATOR_FILE)
    return {
        "general": file_hash(config.general),
        "discriminator": file_hash(discriminator) if discriminator.is_file() else None,
        "acoustic_model": acoustic_model_hash(config.acoustic_model),
        **prefixed("training", settings(config.training, without=("checkpoint_steps",))),
        "facial_jax": __version__,
    }


def frames(config: PersonalizationConfig, clip: Clip, first: int, tracked: Path) -> Provenance:
    """Of the frames that rendering-to-video is trained on, whatever the person says in them."""
    names = ("expression", "pose", "blink", "valid", "identity", "texture", "illumination", "gaze")
    return {
        "clip": tree_hash({name: getattr(clip, name) for name in names}),
        "crop": file_hash(tracked / CROP),
        "size": config.size,
        "first_held_out": first,
        "facial_jax": __version__,
    }


def rendering_to_video(
    training: RenderingToVideoTrainingConfig, frames: Path, further: Sequence[Path] = ()
) -> Provenance:
    """Of the network that is trained on the frames in a folder, and in further ones."""
    reference = tree_hash(load_reference(frames)._asdict())
    own = {"reference": reference}
    if further:
        own["further"] = [tree_hash(load_reference(folder)._asdict()) for folder in further]
    return own | prefixed("training", settings(training))


def evaluation(
    video: Path, config: PersonalizationConfig, clip: Clip, first: int, frames: Path
) -> Provenance:
    """Of the report on the subject in its folder."""
    files = (DESCRIPTION, FACIAL_GAN, RENDERING_TO_VIDEO)
    return {
        "video": video.name,
        **{f"subject.{name}": file_hash(config.folder / name) for name in files},
        "reference": tree_hash(load_reference(frames)._asdict()),
        "valid": tree_hash(clip.valid),
        "first_held_out": first,
        "mediapipe": _version("mediapipe"),
        "facial_jax": __version__,
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
