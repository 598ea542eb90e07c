"""A person from one video: python -m experiments.personalize --subject NAME --video FILE.

The second step of the paper's training (FACIAL, Sec. 5.1), in stages:

    track               the head in every frame: attributes, identity, crop
    facial_gan          the general FACIAL-GAN is fine-tuned on the clip
    rendering_to_video  learns the person's pictures
    evaluate            the last fifth of the clip, which neither was trained on, is made again
    report              subject folder with report.html, and a sentence spoken by the person

What a stage made is kept in the work folder with the settings that it depends on, and used again
where they are the same; a run that was stopped goes on from its last checkpoint. `--preset demo` is
for two CPU cores, `--preset paper` for a GPU. Then

    python -m experiments.synthesize --subject runs/subjects/NAME --audio FILE

With `--data FOLDER` in place of a video the person's clips are those of a data set; these have no
frames, so the subject gets no rendering-to-video network but that of `--rendering-to-video`.
"""

import dataclasses
import functools
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import jax
import jax.numpy as jnp
import numpy as np
import tyro
from tqdm.auto import tqdm

import facial_jax
from data_specs.clips import Clip, ClipSource, clip_entry, clip_to_example, open_clips
from data_specs.splits import TRAIN, VALIDATION
from data_specs.windows import MIN_FRAMES, subject_statistics
from experiments import evaluate_rendering_to_video as evaluation
from experiments import train_rendering_to_video as video_script
from experiments.contact_sheet import contact_sheet, read_frames
from experiments.facial_gan_training import (
    DISCRIMINATOR_FILE,
    PERSONALIZATION,
    Networks,
    TrainingConfig,
    learn_habits,
    train_facial_gan,
)
from experiments.personalization_report import report_page, side_by_side
from experiments.prepare import listen_again, write_tracked
from facial_jax.attributes import Identity
from facial_jax.audio.acoustic import (
    acoustic_model_hash,
    default_acoustic_model,
    load_acoustic_model,
)
from facial_jax.calibration import calibrate_movement
from facial_jax.face.procedural import procedural_face_model
from facial_jax.full_frame import save_full_frame_reference
from facial_jax.generation import (
    FacialGan,
    generate_attributes,
    load_facial_gan,
    save_facial_gan,
)
from facial_jax.networks.facial_gan import SMALL_DISCRIMINATOR, FacialDiscriminator
from facial_jax.networks.parameters import load_variables, module_from_config
from facial_jax.subject import (
    BUNDLED_SUBJECTS,
    FACE_MODELS,
    FACIAL_GAN,
    RENDERING_TO_VIDEO,
    Subject,
    load_rendering_to_video,
    load_subject,
    save_subject,
)
from facial_jax.tracking import track
from facial_jax.tracking.landmarker import LandmarkerMissingError
from facial_jax.tracking.texture import texture_frames, video_texture
from facial_jax.tracking.tracker import resize

HELD_OUT = 0.2
"""The last part of the clip that is only measured."""
DONE = "done.json"
TRACKED_SIZE = 512
SPOKEN = "spoken.mp4"
Skippable = Literal["facial_gan", "rendering_to_video", "evaluate"]


@dataclass(frozen=True)
class Config:
    """Who is learnt, from what, and how."""

    subject: str
    """The person's name."""
    video: Path | None = None
    """A video of the person talking, one face seen from the front; 20 seconds or more are best."""
    data: Path | None = None
    """The folder of a data set that the person is in, in place of a video."""
    preset: Literal["demo", "paper"] = "demo"
    """What the options below are by default: for two CPU cores, or as published for a GPU."""
    size: int = 192
    """Height and width of the frames; with `--data`, that of the reference video."""
    skip: tuple[Skippable, ...] = ()
    """Stages to leave out: the general FACIAL-GAN as it is, no pictures, no numbers."""
    general: Path = BUNDLED_SUBJECTS / "demo" / FACIAL_GAN
    """The FACIAL-GAN to begin from, as general_train wrote it; its discriminator is taken from
    beside it, or begins anew where there is none."""
    rendering_to_video: Path | None = None
    """A network that train_rendering_to_video wrote, in place of training one."""
    acoustic_model: str = field(default_factory=default_acoustic_model)
    """What `general` listens with, and the subject: phonemes, bundled, deepspeech, or a file."""
    face_model: Literal["procedural", "bfm"] = "procedural"
    """What a data set's coefficients are of; a video is tracked with the procedural one."""
    prefix: str = ""
    """Before a data set's splits: `new_speakers_` for people whom the general network never
    heard."""
    output: Path | None = None
    """The subject's folder; by default runs/subjects/ and the name."""
    work_dir: Path | None = None
    """The run's folder; by default runs/personalize/ and the name."""
    training: TrainingConfig = field(default_factory=lambda: PERSONALIZATION)
    """Of FACIAL-GAN."""
    video_training: video_script.VideoTrainingConfig = field(
        default_factory=lambda: video_script.PRESETS["demo"]
    )
    """Of rendering-to-video; its held-out share is the clip's last fifth in any case."""

    @property
    def folder(self) -> Path:
        """The subject's."""
        return self.output or Path("runs/subjects") / self.subject

    @property
    def work(self) -> Path:
        """The run's."""
        return self.work_dir or Path("runs/personalize") / self.subject


PRESETS = {
    "demo": Config(
        subject="",
        # One clip has few windows: more epochs make about 200 steps of it.
        training=dataclasses.replace(PERSONALIZATION, epochs=40.0),
        video_training=dataclasses.replace(
            video_script.PRESETS["demo"],
            # After 2000 steps against the discriminator pictures are as sharp as the video; more
            # only add specks.
            steps=3300,
            reconstruction_steps=1200,
        ),
    ),
    "paper": Config(
        subject="",
        preset="paper",
        size=512,
        training=PERSONALIZATION,
        video_training=video_script.PRESETS["paper"],
    ),
}
"""For two CPU cores within half an hour, and as published."""


@dataclass(frozen=True)
class _Preset:
    preset: Literal["demo", "paper"] = "demo"


def parse(arguments: Sequence[str] | None = None) -> Config:
    """The configuration of a command line: the preset's, with what else is given."""
    chosen, _ = tyro.cli(_Preset, args=arguments, return_unknown_args=True, add_help=False)
    default = dataclasses.replace(PRESETS[chosen.preset], subject=tyro.MISSING)
    return tyro.cli(Config, args=arguments, default=default, description=__doc__)


def main(config: Config) -> None:
    """Makes the subject, or ends with one line that says what is wrong."""
    facial_jax.enable_compilation_cache()
    if (config.video is None) == (config.data is None):
        got = "neither" if config.video is None else "both"
        sys.exit(f"error: video, data: expected one of them, got {got}")
    try:
        if config.video is not None:
            folder = personalize_video(config)
        else:
            training = open_clips(config.data, config.prefix + TRAIN).of_subject(config.subject)
            validation = open_clips(config.data, config.prefix + VALIDATION)
            folder = personalize(config, training, validation.of_subject(config.subject))
    except (ValueError, OSError, ImportError, LandmarkerMissingError) as error:
        sys.exit(f"error: {error}")
    print(f"{folder}: python -m experiments.synthesize --subject {folder} --audio FILE")


def personalize(config: Config, clips: ClipSource, validation: ClipSource) -> Path:
    """The folder of the subject that was learnt from a data set's clips."""
    rates = {clips[i].frame_rate for i in range(len(clips))}
    if len(rates) > 1:
        raise ValueError(
            f"data: expected all clips of {config.subject} at one frame rate, got "
            f"{', '.join(map(str, sorted(rates)))}"
        )
    model = fine_tune(config, clips, validation, validation, config.work)
    return write_subject(
        config, model, mean_identity(clips), rates.pop(), config.rendering_to_video
    )


def personalize_video(config: Config) -> Path:
    """The folder of the subject that was learnt from a video, each stage made where it is missing.

    Raises:
        FileNotFoundError: there is no such video.
        ValueError: there is no face in it, or it is too short.
        ImportError, LandmarkerMissingError: it cannot be tracked here.
    """
    if not config.video.is_file():
        raise FileNotFoundError(f"video: {config.video} does not exist")
    model = load_facial_gan(config.general)
    check_acoustic_model(config.acoustic_model, model)
    work, seconds = config.work, {}
    tracked_folder = work / "tracked" / "clip"
    settings = {"video": video_identity(config.video), "subject": config.subject}
    seconds["track"] = stage(tracked_folder, settings, lambda: track_video(config, work))
    clip = listen_again(tracked_folder, config.acoustic_model)
    first = first_held_out(clip)

    if "facial_gan" not in config.skip:
        folder = work / "facial_gan"
        settings |= {
            "facial_gan": dataclasses.asdict(config.training),
            "general": config.general,
            "acoustic_model": acoustic_model_hash(config.acoustic_model),
        }
        seconds["facial_gan"] = stage(
            folder, settings, lambda: save_fine_tuned(config, clip, first, folder)
        )
        model = load_facial_gan(folder / "personal" / FACIAL_GAN)

    network, folder = config.rendering_to_video, work / "video"
    if network is None and "rendering_to_video" not in config.skip:
        training = held_out_config(config, clip, first)
        settings |= {"rendering_to_video": dataclasses.asdict(training), "size": config.size}
        seconds["rendering_to_video"] = stage(
            folder, settings, lambda: train_video(config, clip, first, training, folder)
        )
        network = folder / RENDERING_TO_VIDEO
    write_subject(config, model, clip.face, clip.frame_rate, network)
    if (full_frame := tracked_folder / "full_frame.mp4").is_file():
        shutil.copyfile(full_frame, config.folder / full_frame.name)

    if network is not None and "evaluate" not in config.skip:
        write_frames(config, clip, first, folder)  # where the network was given
        settings |= {"network": video_identity(network)}
        seconds["evaluate"] = stage(
            work / "evaluation", settings, lambda: evaluate(config, clip, first, folder, seconds)
        )
        shutil.copyfile(work / "evaluation" / "report.html", config.folder / "report.html")
    return config.folder


def check_acoustic_model(name: str, model: FacialGan) -> None:
    """Raises ValueError where the acoustic model cannot be what this FACIAL-GAN was trained with.

    FileNotFoundError where there is no such acoustic model.
    """
    heard = load_acoustic_model(name).feature_count
    if heard != model.speech_features:
        raise ValueError(
            f"acoustic_model: {name} gives {heard} speech features a row, but the general "
            f"FACIAL-GAN was trained with {model.speech_features}; name the acoustic model that it "
            "was trained with, or give another FACIAL-GAN with --general"
        )


def stage(folder: Path, settings: dict, make: Callable[[], None]) -> float:
    """Makes a stage unless its folder holds the result of the same settings; returns its seconds.

    Those of the run that ended it, where it was stopped before.
    """
    settings = json.loads(json.dumps(settings, default=str))
    done = folder / DONE
    if done.is_file():
        found = json.loads(done.read_text())
        if found["settings"] == settings:
            tqdm.write(f"{folder}: done before")
            return found["seconds"]
        done.unlink()
    begin = time.monotonic()
    make()
    seconds = time.monotonic() - begin
    folder.mkdir(parents=True, exist_ok=True)
    partial = done.with_name("done.partial.json")
    partial.write_text(json.dumps({"settings": settings, "seconds": seconds}, indent=1) + "\n")
    partial.replace(done)
    tqdm.write(f"{folder}: {seconds:.0f} s")
    return seconds


def video_identity(path: Path) -> list:
    """What tells a file from another one at its place."""
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def track_video(config: Config, work: Path) -> None:
    """Finds the head in every frame; keeps clip, crop and whole frames."""
    output = work / "tracked"
    bar = functools.partial(tqdm, desc=config.video.name, unit="frame", mininterval=1.0)
    tracked = track(config.video, size=max(TRACKED_SIZE, config.size), progress=bar)
    checked = write_tracked(
        output,
        tracked,
        name="clip",
        subject=config.subject,
        acoustic_model=config.acoustic_model,
    )
    tqdm.write(checked.text())
    crop = tracked.crop
    save_full_frame_reference(
        output / "clip",
        tracked.video.read(start=tracked.start, stop=tracked.start + len(tracked)),
        fps=tracked.fps,
        crop=(crop.left, crop.top, crop.side),
        pose=tracked.attributes.pose,
    )


def first_held_out(clip: Clip) -> int:
    """Number of the first frame that is not trained on.

    Raises:
        ValueError: too few frames show a face.
    """
    first = round((1 - HELD_OUT) * len(clip))
    seen = int(clip.valid[first:].sum())
    if seen < MIN_FRAMES + 2 or not clip.valid[:first].any():
        least = (MIN_FRAMES + 2) / HELD_OUT / float(clip.frame_rate)
        raise ValueError(
            f"video: expected at least {least:.1f} s with a face, of which the last fifth is held "
            f"out, got {len(clip)} frames ({len(clip) / float(clip.frame_rate):.1f} s) with "
            f"{seen} that show a face in their last fifth; give a longer video"
        )
    return first


def part_of(clip: Clip, begin: int, end: int) -> ClipSource:
    """Some frames of a clip as a source of its own."""
    rate = len(clip.waveform) / len(clip)
    waveform = clip.waveform[round(begin * rate) : round(end * rate)]
    rows = {
        name: getattr(clip, name)[begin:end]
        for name in ("features", "expression", "pose", "blink", "valid")
    }
    part = dataclasses.replace(clip, waveform=waveform, **rows)
    example = clip_to_example(part)
    stored = {k: v.encode() if isinstance(v, str) else v for k, v in example.items()}
    return ClipSource((clip_entry(part),), [stored], {})


def fine_tune(
    config: Config, clips: ClipSource, validation: ClipSource, speech: ClipSource, work: Path
) -> FacialGan:
    """The person's FACIAL-GAN; for this speech the head moves as far as in the clips."""
    model = train_facial_gan(
        config.training,
        load_networks(config.general),
        clips,
        validation,
        subject_statistics(clips),
        work,
        resolved_config=dataclasses.asdict(config.training),
    )
    return learn_habits(model, clips, speech)


def save_fine_tuned(config: Config, clip: Clip, first: int, folder: Path) -> None:
    """Fine-tunes on the frames before `first`; the result is `personal/facial_gan.safetensors`."""
    clips, validation = part_of(clip, 0, first), part_of(clip, first, len(clip))
    clips = part_of(with_general_mouth(config, clips), 0, first)
    # A fifth of one clip is too short to tell how far the head moves: all of its speech is heard.
    model = fine_tune(config, clips, validation, part_of(clip, 0, len(clip)), folder)
    (folder / "personal").mkdir(parents=True, exist_ok=True)
    save_facial_gan(folder / "personal" / FACIAL_GAN, model, half_precision=True)


def with_general_mouth(config: Config, clips: ClipSource) -> Clip:
    """The clip with the expressions that the general network makes of its speech.

    What a tracker sees of lips is noisy: seconds of it tell how far a person's mouth moves, but a
    network that learns from it when, forgets much of what it knew of articulation. So the mouth
    keeps the general network's articulation, moved as far as the person's.
    """
    (statistics,) = subject_statistics(clips).values()
    model = load_facial_gan(config.general)
    model = model.replace(statistics=statistics, initial_state=statistics.mean)
    model = calibrate_movement(model, [clips[0].features])
    made = generate_attributes(model, clips[0].features)
    return dataclasses.replace(clips[0], expression=np.asarray(made.expression))


def shown_frames(clip: Clip) -> np.ndarray:
    """Numbers of the frames with a face: the others are not shown to the network."""
    return np.flatnonzero(clip.valid)


def held_out_config(config: Config, clip: Clip, first: int) -> video_script.VideoTrainingConfig:
    """The training's, its held-out part beginning at frame `first`."""
    shown = shown_frames(clip)
    share = float((shown >= first).sum() / len(shown))
    return dataclasses.replace(config.video_training, held_out_fraction=share)


def write_frames(config: Config, clip: Clip, first: int, folder: Path) -> None:
    """The folder `data` that rendering-to-video is trained on, unless it is there."""
    data, shown = folder / "data", shown_frames(clip)
    if (data / "attributes.npz").is_file() and _frame_size(data) == config.size:
        return
    data.mkdir(parents=True, exist_ok=True)
    for path in (*data.glob("*"), folder / "pictures.npy", folder / "regions.npy"):
        path.unlink(missing_ok=True)
    telling = set(shown[texture_frames(clip.blink[shown[shown < first]])].tolist())
    whole, place = [], {number: i for i, number in enumerate(shown.tolist())}
    frames = np.lib.format.open_memmap(
        data / "frames.npy", "w+", np.uint8, (len(shown), config.size, config.size, 3)
    )
    with av.open(str(config.work / "tracked" / "clip" / "video.mp4")) as container:
        for number, decoded in enumerate(container.decode(video=0)):
            frame = decoded.to_ndarray(format="rgb24")
            if number in place:
                frames[place[number]] = resize(frame, config.size)
            if number in telling:
                whole.append(frame)
    frames.flush()
    identity = jax.tree.map(jnp.asarray, clip.face)
    texture = video_texture(
        procedural_face_model(), identity, clip.attributes[sorted(telling)], np.stack(whole)
    )
    starts = np.flatnonzero(np.diff(shown, prepend=-2) != 1).astype(np.int32)
    rows = {name: getattr(clip, name)[shown] for name in ("expression", "pose", "blink")}
    face = {name: getattr(clip, name) for name in ("identity", "texture", "illumination")}
    partial = data / "partial.npz"
    np.savez(partial, clip_starts=starts, vertex_texture=texture, **rows, **face)
    partial.replace(data / "attributes.npz")


def _frame_size(data: Path) -> int:
    return np.load(data / "frames.npy", mmap_mode="r").shape[1]


def train_video(
    config: Config,
    clip: Clip,
    first: int,
    training: video_script.VideoTrainingConfig,
    folder: Path,
) -> None:
    """Trains rendering-to-video, from its last checkpoint where there is one."""
    write_frames(config, clip, first, folder)
    video_script.main(
        video_script.Arguments(data=folder / "data", work_dir=folder, config=training)
    )


def evaluate(config: Config, clip: Clip, first: int, folder: Path, seconds: dict) -> None:
    """Measures the held-out part, speaks a sentence, and writes both to the report."""
    output = config.work / "evaluation"
    output.mkdir(parents=True, exist_ok=True)
    subject = load_subject(config.folder)
    frames, attributes, *_ = video_script.load_reference(folder / "data")
    frames, first = np.asarray(frames), int((shown_frames(clip) < first).sum())
    held_out, real = attributes[first:], frames[first:]
    generated = evaluation.generate(subject, held_out)
    measured = evaluation.compare_pictures(generated, frames, attributes, first)
    tables = {"held-out frames, made again from their attributes": evaluation.means(measured)}
    curves = {
        "PSNR of the held-out frames, dB": {
            name: row["psnr_db"] for name, row in measured.items() if "psnr_db" in row
        },
        "blink that drives the held-out frames, AU45": {"blink": np.asarray(held_out.blink)},
    }
    tqdm.write(evaluation.table(evaluation.means(measured), evaluation.MEASURES))
    facial_jax.synthesize(
        facial_jax.sample_speech(), subject=subject, output=config.folder / SPOKEN, progress=False
    )
    spoken = read_frames(config.folder / SPOKEN)
    facts = {
        "video": str(config.video),
        "frames with a face": f"{len(frames)} of {len(clip)} at {float(subject.fps):g} per second",
        "held out": f"the last {len(real)}",
        "size": f"{subject.size}×{subject.size}",
    } | {f"{name}, seconds": f"{value:.0f}" for name, value in seconds.items()}
    try:
        eyes = evaluation.compare_eyes(subject, held_out, real, generated)
        tables["eyes by landmarks, and the blink that drives them"] = eyes
        jitter = evaluation.measure_jitter(config.folder / SPOKEN, frames, float(subject.fps))
        tables["trembling of the landmarks, of the eyes' distance"] = {"jitter": jitter}
    except (ImportError, LandmarkerMissingError, ValueError) as error:
        facts["eyes and trembling"] = f"not measured: {error}"
    for title, rows in list(tables.items())[1:]:
        columns = tuple(next(iter(rows.values())))
        tqdm.write(f"{title}\n{evaluation.table(rows, columns)}")
    pictures = {
        "held out: real above, generated below": side_by_side({"real": real, "made": generated}),
        "a sentence of another voice, spoken by the person": contact_sheet(
            spoken, columns=8, rows=3
        ),
    }
    previews = sorted(folder.glob("preview_*.png"))
    if previews:
        pictures["held out at the end of training: rendered, generated, real"] = previews[-1]
    if (figure := config.work / "facial_gan" / "curves_0.png").is_file():
        pictures["held-out speech: generated and real attributes"] = figure
    (output / "numbers.json").write_text(json.dumps(tables, indent=1) + "\n")
    page = report_page(config.subject, facts, tables, curves, pictures)
    (output / "report.html").write_text(page)


def write_subject(
    config: Config, model: FacialGan, identity: Identity, fps: Fraction, network: Path | None
) -> Path:
    """Writes the subject's folder, with a rendering-to-video network where there is one."""
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
        **video,
    )
    save_subject(config.folder, subject, face_model=config.face_model)
    return config.folder


def load_networks(path: Path) -> Networks:
    """The general FACIAL-GAN's generator, and its discriminator where that lies beside it."""
    model = load_facial_gan(path)
    beside = path.with_name(DISCRIMINATOR_FILE)
    if beside.is_file():
        variables, description = load_variables(beside)
        discriminator = module_from_config(FacialDiscriminator, description)
    else:
        variables = None
        small = model.generator != type(model.generator)()
        discriminator = FacialDiscriminator(**(SMALL_DISCRIMINATOR if small else {}))
    return Networks(model.generator, discriminator, model.variables, variables)


def mean_identity(clips: ClipSource) -> Identity:
    """Shape, texture and light, averaged over the clips."""
    faces = [clips[i].face for i in range(len(clips))]
    return jax.tree.map(lambda *x: jnp.asarray(np.mean(x, axis=0, dtype=np.float32)), *faces)


if __name__ == "__main__":
    main(parse())
