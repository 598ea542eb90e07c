"""A subject out of a video, or out of clips: all stages of personalization, one after another.

    track               the head in every frame: attributes, identity, crop
    facial_gan          the general FACIAL-GAN is fine-tuned on the clip
    frames              the frames that rendering-to-video is trained on
    rendering_to_video  learns the person's pictures
    evaluate            the last fifth of the clip, which neither was trained on, is made again
    report              subject folder with report.html, and a sentence spoken by the person

What a stage made is kept in the work folder with its provenance: hashes of all that it depends on,
results of earlier stages among them. Whatever has changed is made again, what has not is kept; a
run that was stopped goes on from its last checkpoint.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from facial_jax.attributes import Identity
from facial_jax.audio.acoustic import acoustic_model_hash
from facial_jax.data.clips import Clip, ClipSource
from facial_jax.files import alone_in, copy_file, remove_remnants
from facial_jax.full_frame import load_full_frame_reference
from facial_jax.models.facial_gan.generation import FacialGan, load_facial_gan
from facial_jax.models.rendering_to_video.reference import load_reference
from facial_jax.models.rendering_to_video.task import train_rendering_to_video
from facial_jax.personalization import provenance as depends_on
from facial_jax.personalization.clip import (
    FIRST,
    first_held_out,
    track_further_video,
    track_video,
)
from facial_jax.personalization.config import PersonalizationConfig
from facial_jax.personalization.evaluation import REPORT, SPOKEN, evaluate
from facial_jax.personalization.facial_gan import (
    PERSONAL,
    check_acoustic_model,
    fine_tune,
    save_fine_tuned,
)
from facial_jax.personalization.rendering_to_video import held_out_config, write_frames
from facial_jax.stages import stage
from facial_jax.subject import (
    FACE_MODELS,
    FACIAL_GAN,
    RENDERING_TO_VIDEO,
    Subject,
    load_rendering_to_video,
    save_subject,
)
from facial_jax.tracking.clip import listen_again
from facial_jax.training.progress import silent


def personalize_video(
    video: Path,
    config: PersonalizationConfig,
    *,
    further: Sequence[Path] = (),
    say: Callable[[str], None] = silent,
    progress: bool = True,
) -> Path:
    """The folder of the subject that was learnt from a video, each stage made if it is missing.

    Args:
        video: of the person, where they will be seen. Its last fifth is held out.
        config: how.
        further: more videos of the person. What is said in them teaches how the person speaks, and
            what they show, before their own rooms and in their own light, how the person looks.
        say: is given a line of text on each stage.
        progress: show progress bars.

    Raises:
        FileNotFoundError: there is no such video.
        ValueError: there is no face in it, or it is too short.
        BlockingIOError: another process is at work in the run's folder or the subject's.
        ImportError, ModelMissingError: it cannot be tracked here.
    """
    for path in (video, *further):
        if not path.is_file():
            raise FileNotFoundError(f"video: {path} does not exist")
    model = load_facial_gan(config.general)
    check_acoustic_model(config.acoustic_model, model)
    with _alone(config):
        return _make_stages(video, further, config, model, say=say, progress=progress)


@contextmanager
def _alone(config: PersonalizationConfig) -> Iterator[None]:
    """No other run in the run's folder and the subject's, and nothing half-written."""
    with alone_in(config.work), alone_in(config.folder):
        for folder in (config.work, config.folder):
            remove_remnants(folder)
        yield


def _make_stages(
    video: Path,
    further: Sequence[Path],
    config: PersonalizationConfig,
    model: FacialGan,
    *,
    say: Callable[[str], None],
    progress: bool,
) -> Path:
    work, seconds, pictures = config.work, {}, {}
    tracked = work / "tracked" / FIRST
    seconds["track"] = stage(
        tracked,
        depends_on.track(video, config),
        lambda: track_video(video, config, say=say, progress=progress),
        say=say,
    )
    clip = listen_again(tracked, config.acoustic_model)
    clip = dataclasses.replace(clip, subject=config.subject)
    first = first_held_out(clip)
    others = [
        _further_clip(path, f"{FIRST}_{number}", config, clip, say=say, progress=progress)
        for number, path in enumerate(further, start=2)
    ]

    if "facial_gan" not in config.skip:
        folder = work / "facial_gan"
        seconds["facial_gan"] = stage(
            folder,
            depends_on.facial_gan(config, clip, first, others),
            lambda: save_fine_tuned(
                config, clip, first, folder, further=others, say=say, progress=progress
            ),
            say=say,
        )
        model = load_facial_gan(folder / PERSONAL / FACIAL_GAN)
        pictures["held-out speech: generated and real attributes"] = folder / "curves_0.png"

    network, frames = config.rendering_to_video, work / "frames"
    trains = network is None and "rendering_to_video" not in config.skip
    evaluates = (network is not None or trains) and "evaluate" not in config.skip
    if trains or evaluates:
        stage(
            frames,
            depends_on.frames(config, clip, first, tracked),
            lambda: write_frames(config, clip, first, frames),
            say=say,
        )
    if trains:
        folders = [_further_frames(config, other, say=say) for other in others]
        count = sum(len(load_reference(folder).frames) for folder in folders)
        training, folder = held_out_config(config, clip, first, count), work / "video"
        seconds["rendering_to_video"] = stage(
            folder,
            depends_on.rendering_to_video(training, frames, folders),
            lambda: train_rendering_to_video(
                training, frames, folder, further=folders, say=say, progress=progress
            ),
            say=say,
        )
        network = folder / RENDERING_TO_VIDEO
        if previews := sorted(folder.glob("preview_*.png")):
            title = "held out at the end of training: rendered, generated, real"
            pictures[title] = previews[-1]
    write_subject(config, model, clip.face, clip.frame_rate, network, reference=tracked)

    if evaluates:
        folder = work / "evaluation"
        seconds["evaluate"] = stage(
            folder,
            depends_on.evaluation(video, config, clip, first, frames),
            lambda: evaluate(
                video, config, clip, first, frames, folder, seconds, pictures, say=say
            ),
            say=say,
        )
    for name in (REPORT, SPOKEN):
        if evaluates:
            copy_file(work / "evaluation" / name, config.folder / name)
        else:
            (config.folder / name).unlink(missing_ok=True)  # of another network
    return config.folder


def _further_clip(
    video: Path,
    name: str,
    config: PersonalizationConfig,
    first: Clip,
    *,
    say: Callable[[str], None],
    progress: bool,
) -> Clip:
    """A further video's clip of the person whom the first one shows."""
    tracked = config.work / "tracked" / name
    stage(
        tracked,
        depends_on.track_further(video, config, first),
        lambda: track_further_video(video, config, name, first, say=say, progress=progress),
        say=say,
    )
    clip = listen_again(tracked, config.acoustic_model)
    return dataclasses.replace(clip, subject=config.subject)


def _further_frames(
    config: PersonalizationConfig, clip: Clip, *, say: Callable[[str], None]
) -> Path:
    """The folder of a further clip's frames, all of which are trained on."""
    frames = config.work / clip.clip.replace(FIRST, "frames")
    stage(
        frames,
        depends_on.frames(config, clip, len(clip), config.work / "tracked" / clip.clip),
        lambda: write_frames(config, clip, len(clip), frames),
        say=say,
    )
    return frames


def personalize_clips(
    config: PersonalizationConfig,
    clips: ClipSource,
    validation: ClipSource,
    *,
    say: Callable[[str], None] = silent,
    progress: bool = True,
) -> Path:
    """The folder of the subject that was learnt from clips of one person, which have no frames.

    Raises:
        ValueError: the clips have several frame rates.
        BlockingIOError: another process is at work in the run's folder or the subject's.
    """
    rates = {clips[i].frame_rate for i in range(len(clips))}
    if len(rates) > 1:
        raise ValueError(
            f"clips: expected all clips of {config.subject} at one frame rate, got "
            f"{', '.join(map(str, sorted(rates)))}"
        )
    folder = config.work / "facial_gan"
    with _alone(config):
        stage(
            folder,
            depends_on.facial_gan_of_clips(config, clips, validation),
            lambda: fine_tune(config, clips, validation, validation, folder, progress=progress),
            say=say,
        )
        model = load_facial_gan(folder / PERSONAL / FACIAL_GAN)
        return write_subject(
            config, model, mean_identity(clips), rates.pop(), config.rendering_to_video
        )


def write_subject(
    config: PersonalizationConfig,
    model: FacialGan,
    identity: Identity,
    fps: Fraction,
    network: Path | None,
    *,
    reference: Path | None = None,
) -> Path:
    """Writes the subject's folder, with a rendering-to-video network if there is one.

    `reference`: a folder whose full frames it gets, if there are any.
    """
    video = {} if network is None else load_rendering_to_video(network)
    subject = Subject(
        name=config.subject,
        fps=fps,
        size=config.size,
        identity=identity,
        face_model=FACE_MODELS[config.face_model](),
        facial_gan=jax.tree.map(jnp.asarray, model),
        acoustic_model=config.acoustic_model,
        acoustic_sha256=acoustic_model_hash(config.acoustic_model),
        full_frame=None if reference is None else load_full_frame_reference(reference),
        **video,
    )
    save_subject(config.folder, subject, face_model=config.face_model)
    return config.folder


def mean_identity(clips: ClipSource) -> Identity:
    """Shape, texture and light, averaged over the clips."""
    faces = [clips[i].face for i in range(len(clips))]
    return jax.tree.map(lambda *x: jnp.asarray(np.mean(x, axis=0, dtype=np.float32)), *faces)
