"""The second stage: the general FACIAL-GAN is fine-tuned on the person's clips.

Who is not heard speaking teaches it nothing but how the head moves and the eyes blink.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from facial_jax.attributes import POSE_SIZE, AttributeStatistics
from facial_jax.audio.acoustic import load_acoustic_model
from facial_jax.audio.features import speech_features
from facial_jax.audio.waveform import AudioSource
from facial_jax.data.clips import Clip, ClipSource, clip_part, clips_in_memory
from facial_jax.data.windows import subject_statistics
from facial_jax.face.procedural import procedural_face_model
from facial_jax.models.facial_gan.generation import (
    FacialGan,
    generate_attributes,
    load_facial_gan,
    save_facial_gan,
    with_statistics,
)
from facial_jax.models.facial_gan.habits import learn_habits
from facial_jax.models.facial_gan.initialization import load_networks
from facial_jax.models.facial_gan.task import train_facial_gan
from facial_jax.personalization.articulation import at_rest, is_heard, personal_articulation
from facial_jax.personalization.clip import part_of
from facial_jax.personalization.config import PersonalizationConfig
from facial_jax.subject import FACE_MODELS, FACIAL_GAN
from facial_jax.synthesis import SAMPLE_SPEECH

PERSONAL = "personal"
"""The folder of the fine-tuned network with the person's habits, in that of the run."""


def check_acoustic_model(name: str, model: FacialGan) -> None:
    """Raises ValueError if the acoustic model cannot be what this FACIAL-GAN was trained with.

    Raises FileNotFoundError if there is no such acoustic model.
    """
    count = load_acoustic_model(name).feature_count
    if count != model.speech_features:
        raise ValueError(
            f"acoustic_model: {name} gives {count} speech features a row, but the general "
            f"FACIAL-GAN was trained with {model.speech_features}; name the acoustic model that it "
            "was trained with, or give another FACIAL-GAN with --general"
        )


def fine_tune(
    config: PersonalizationConfig,
    clips: ClipSource,
    validation: ClipSource,
    speech: ClipSource,
    folder: Path,
    *,
    progress: bool = True,
) -> None:
    """The person's FACIAL-GAN, `personal/facial_gan.safetensors` in the run's folder; for this
    speech the head moves as far as in the clips."""
    statistics = subject_statistics(clips)
    model = train_facial_gan(
        config.training,
        load_networks(config.general),
        clips,
        validation,
        statistics,
        folder,
        face_model=FACE_MODELS[config.face_model](),
        progress=progress,
    )
    rows = [clip.features for clip in speech]
    _save_personal(learn_habits(model, clips, rows), folder)


def _save_personal(model: FacialGan, folder: Path) -> None:
    (folder / PERSONAL).mkdir(parents=True, exist_ok=True)
    save_facial_gan(folder / PERSONAL / FACIAL_GAN, model, half_precision=True)


def save_fine_tuned(
    config: PersonalizationConfig,
    clip: Clip,
    first: int,
    folder: Path,
    *,
    further: Sequence[Clip] = (),
    say: Callable[[str], None],
    progress: bool,
) -> None:
    """Fine-tunes on the frames before `first` and on the further clips, as `fine_tune`.

    If hardly any speech is heard in them, the general network speaks around the person's face at
    rest: a network that is standardised by how lips stay still would tear them apart.
    """
    taught = clips_in_memory(clip_part(clip, 0, first), *further)
    sentence = speech_features(
        AudioSource(SAMPLE_SPEECH), load_acoustic_model(config.acoustic_model), clip.frame_rate
    )
    general = load_facial_gan(config.general)
    spoken_sentence = _expressions(general, sentence)
    if (model := _of_unheard(general, taught, spoken_sentence)) is not None:
        say("hardly any speech is heard: the person will speak as the general FACIAL-GAN does")
        _save_personal(learn_habits(model, taught, [sentence]), folder)
        return
    spoken, *further_spoken = with_general_mouth(general, clip, first, spoken_sentence, further)
    clips = clips_in_memory(clip_part(spoken, 0, first), *further_spoken)
    validation = part_of(spoken, first, len(clip))
    # A fifth of one clip is too short to tell how far the head moves: all of its speech is heard.
    speech = clips_in_memory(clip, *further)
    fine_tune(config, clips, validation, speech, folder, progress=progress)


def _of_unheard(
    general: FacialGan, clips: ClipSource, sentence: Float[np.ndarray, "s 64"]
) -> FacialGan | None:
    """The general network with the face at rest, the pose and the blinks of a person who is not
    heard in these clips; None if they are. `sentence`: its expressions for one."""
    face_model = procedural_face_model()
    still = np.concatenate([_expressions(general, one.features)[one.valid] for one in clips])
    if is_heard(face_model, still, sentence):
        return None
    tracked = np.concatenate([one.expression[one.valid] for one in clips])
    (own,) = subject_statistics(clips).values()
    mean, std, expression = np.array(own.mean), np.array(own.std), slice(POSE_SIZE + 1, None)
    usual, rest = general.statistics, at_rest(face_model, tracked, still, sentence)
    mean[expression], std[expression] = usual.mean[expression] + rest, usual.std[expression]
    return with_statistics(general, AttributeStatistics(mean=mean, std=std))


def with_general_mouth(
    general: FacialGan,
    clip: Clip,
    first: int,
    sentence: Float[np.ndarray, "s 64"],
    further: Sequence[Clip] = (),
) -> list[Clip]:
    """The clip and the further ones with the expressions that the general network makes of their
    speech, as the person makes them (`personal_articulation`) in the frames before `first` and in
    the further clips. `sentence`: its expressions for one.

    A network that learns from what a tracker sees when lips move, forgets much of what it knew of
    articulation.
    """
    clips = [clip, *further]
    taught = clips_in_memory(clip_part(clip, 0, first), *further)
    (statistics,) = subject_statistics(taught).values()
    own = general.replace(statistics=statistics, initial_state=statistics.mean)

    def made(model):
        return np.concatenate([_expressions(model, one.features) for one in clips])

    expressions = personal_articulation(
        procedural_face_model(),
        np.concatenate([one.expression for one in clips]),
        made(general),
        made(own),
        np.concatenate([clip.valid & (np.arange(len(clip)) < first), *(x.valid for x in further)]),
        sentence,
    )
    parts = np.split(expressions, np.cumsum([len(one) for one in clips])[:-1])
    return [dataclasses.replace(c, expression=e) for c, e in zip(clips, parts, strict=True)]


def _expressions(model: FacialGan, features: Float[np.ndarray, "t n"]) -> Float[np.ndarray, "t 64"]:
    return np.asarray(generate_attributes(model, features).expression)
