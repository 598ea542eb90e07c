"""Videos of people in, tracked clips out: python -m experiments.prepare VIDEO… --output DIR.

For each video a folder of its name: `video.mp4` (the crop that the clip's poses are for),
`report.html` and `report.txt`, and last `clip.npz` (see `data_specs.talking_head.tracked_clip`):
where it is, the clip is whole. Videos that cannot be used are listed with the reason in
`left_out.tsv`. Started again after a stop, it does what is missing.

Folders of thousands of videos are spread over processes by Apache Beam, on this machine or, with
Beam's options, on any of its runners; videos and output must be where all workers see them:

    python -m experiments.prepare FOLDER --output DIR --workers 16 --data-set runs/data
    python -m experiments.prepare FOLDER --output DIR --beam="--runner=FlinkRunner …"
"""

import dataclasses
import functools
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import tyro
from tqdm import tqdm

import facial_jax
from data_specs.clips import SAMPLE_RATE, Clip
from data_specs.talking_head.tracked_clip import (
    FILE_NAME,
    left_out_videos,
    load_tracked_clip,
    save_reason,
    save_tracked_clip,
)
from data_specs.talking_head.videos import Video, find_videos
from facial_jax.audio.acoustic import (
    acoustic_model_hash,
    default_acoustic_model,
    load_acoustic_model,
)
from facial_jax.audio.features import speech_features
from facial_jax.tracking import TrackedVideo, track
from facial_jax.tracking.landmarker import LandmarkerMissingError
from facial_jax.tracking.preflight import Preflight, preflight
from facial_jax.tracking.report import fitted_strip, report_html

LEFT_OUT_TABLE = "left_out.tsv"


@dataclass(frozen=True)
class Config:
    """Tracks the person in each video."""

    videos: tyro.conf.Positional[tuple[Path, ...]]
    """The videos, and folders of them; in a folder, FOLDER/PERSON/… are of one person."""
    output: Path
    """The folder for the clips' folders."""
    fps: str | None = None
    """Frames per second to track at, like 25 or 30000/1001; each video's own if not given."""
    size: int = 512
    """Height and width of the crop in pixels."""
    subject: str | None = None
    """Who is in the videos; each its own name, or its folder's, if not given."""
    acoustic_model: str = field(default_factory=default_acoustic_model)
    """Where the speech features come from: phonemes, bundled, deepspeech, or a file. Clips that are
    done already get this one's without being tracked again."""
    again: bool = False
    """Track videos again that are done already."""
    workers: int = 1
    """How many videos are tracked at once; more than one needs Apache Beam."""
    beam: str = ""
    """Options of Apache Beam for another runner than this machine's processes."""
    data_set: Path | None = None
    """Where data sets are, to make one of all clips in the output folder."""


def clip_waveform(tracked: TrackedVideo) -> np.ndarray:
    """The sound of a clip's frames: mono int16 at 16 kHz, exactly as long as they are."""
    source = facial_jax.AudioSource(tracked.video.path)
    samples = np.concatenate([block[:, 0] for block in source.blocks(SAMPLE_RATE)])
    first = round(tracked.start / tracked.fps * SAMPLE_RATE)
    count = round(len(tracked) / tracked.fps * SAMPLE_RATE)
    samples = samples[first : first + count]
    samples = np.pad(samples, (0, count - len(samples)))
    return np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16)


def clip_speech_features(
    waveform: np.ndarray, fps: Fraction, count: int, acoustic_model: str
) -> np.ndarray:
    """Speech features of a clip's waveform, `count` rows."""
    source = facial_jax.AudioSource((waveform, SAMPLE_RATE))
    features = speech_features(source, load_acoustic_model(acoustic_model), fps)[:count]
    padded = np.pad(features, ((0, count - len(features)), (0, 0)), mode="edge")
    return padded.astype(np.float32)


def make_clip(tracked: TrackedVideo, *, name: str, subject: str, acoustic_model: str) -> Clip:
    """What the data set stores of a tracked video.

    Raises:
        ValueError: it has no sound.
    """
    if not tracked.video.has_sound:
        raise ValueError(f"video: {tracked.video.path} has no sound; speech cannot be learnt of it")
    waveform = clip_waveform(tracked)
    a, i = tracked.attributes, tracked.identity

    def array(values):
        return np.asarray(values, np.float32)

    return Clip(
        clip=name,
        subject=subject,
        fps=str(tracked.fps),
        waveform=waveform,
        features=clip_speech_features(waveform, tracked.fps, len(tracked), acoustic_model),
        expression=array(a.expression),
        pose=array(a.pose),
        blink=array(a.blink),
        valid=tracked.valid,
        identity=array(i.identity),
        texture=array(i.texture),
        illumination=array(i.illumination),
    )


def write_crop(path: Path, tracked: TrackedVideo) -> None:
    """The crop's frames as H.264, without the sound, which is in clip.npz."""
    partial = path.with_name("video.partial.mp4")
    options = {"crf": "18", "preset": "veryfast"}
    with av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=tracked.fps, options=options)
        stream.width = stream.height = tracked.size
        stream.pix_fmt = "yuv420p"
        for image in tracked.frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    partial.replace(path)


def prepare(video: Video, config: Config, *, progress: Callable[..., Iterable] = iter) -> Preflight:
    """Tracks one video and writes its folder; returns the report on it.

    Raises:
        ValueError: the video cannot be used; what is known of it is in its report.
    """
    (config.output / video.clip / FILE_NAME).unlink(missing_ok=True)
    model = facial_jax.procedural_face_model()
    tracked = track(video.path, model, fps=config.fps, size=config.size, progress=progress)
    subject = config.subject or video.subject
    return write_tracked(
        config.output,
        tracked,
        name=video.clip,
        subject=subject,
        acoustic_model=config.acoustic_model,
    )


def write_tracked(
    output: Path, tracked: TrackedVideo, *, name: str, subject: str, acoustic_model: str
) -> Preflight:
    """Writes the folder `name` of a tracked video, `clip.npz` last; returns the report on it.

    Raises:
        ValueError: the video cannot be used; what is known of it is in its report.
    """
    folder = output / name
    folder.mkdir(parents=True, exist_ok=True)
    checked = preflight(tracked)
    (folder / "report.txt").write_text(checked.text())
    strip = fitted_strip(tracked, facial_jax.procedural_face_model())
    (folder / "report.html").write_text(report_html(tracked, checked, strip))
    clip = make_clip(tracked, name=name, subject=subject, acoustic_model=acoustic_model)
    write_crop(folder / "video.mp4", tracked)
    save_tracked_clip(output, clip, acoustic=acoustic_model_hash(acoustic_model))
    return checked


def listen_again(folder: Path, acoustic_model: str) -> Clip:
    """The tracked clip of a folder; it is given this acoustic model's features if it has others."""
    clip, acoustic = load_tracked_clip(folder / FILE_NAME)
    wanted = acoustic_model_hash(acoustic_model)
    if acoustic != wanted:
        rows = clip_speech_features(clip.waveform, clip.frame_rate, len(clip), acoustic_model)
        clip = dataclasses.replace(clip, features=rows)
        save_tracked_clip(folder.parent, clip, acoustic=wanted)
    return clip


def done_before(video: Video, config: Config) -> bool:
    """Whether a sound clip of the video is there; it has the wanted acoustic model's features then.

    A damaged one is not.
    """
    folder = config.output / video.clip
    if not (folder / FILE_NAME).exists():
        return False
    try:
        listen_again(folder, config.acoustic_model)
    except ValueError as error:
        tqdm.write(f"{folder}: {error}")
        return False
    return True


def prepare_or_leave_out(
    job: tuple[Video, Config], *, progress: Callable[..., Iterable] = iter
) -> Preflight | None:
    """`prepare`; where the video cannot be used, the reason in its folder and None.

    Raises:
        ImportError, LandmarkerMissingError: no video can be tracked here.
    """
    video, config = job
    facial_jax.enable_compilation_cache()
    try:
        return prepare(video, config, progress=progress)
    except (ImportError, LandmarkerMissingError):
        raise
    except (ValueError, OSError, RuntimeError) as error:
        leave_out(job, str(error))
    except Exception as error:  # one strange file must not stop the others
        traceback.print_exc()
        leave_out(job, f"{type(error).__name__}: {error}")
    return None


def leave_out(job: tuple[Video, Config], reason: str) -> None:
    """Notes why there is no clip of a video."""
    video, config = job
    save_reason(config.output, video.clip, video=str(video.path), reason=reason)


def _one_by_one(jobs: list[tuple[Video, Config]]) -> None:
    for job in jobs:
        video, config = job
        bar = functools.partial(
            tqdm, desc=video.path.name, unit="frame", leave=False, mininterval=1.0
        )
        checked = prepare_or_leave_out(job, progress=bar)
        if checked is not None:
            tqdm.write(f"{config.output / video.clip}:\n{checked.text()}")


def _in_worker(job: tuple[Video, Config]) -> None:
    checked = prepare_or_leave_out(job)
    video, config = job
    folder = config.output / video.clip
    remarks = "left out" if checked is None else f"done, {len(checked.problems)} remarks in it"
    print(f"{folder}: {remarks}", flush=True)


def _at_once(jobs: list[tuple[Video, Config]], config: Config) -> None:
    try:
        from data_specs.talking_head.beam import for_each, local_options
    except ImportError as error:
        raise ImportError(
            f"workers, beam: tracking many videos at once needs Apache Beam ({error}); install it "
            "with pip install 'facial_jax[beam]', or leave these options out"
        ) from error
    options = shlex.split(config.beam) if config.beam else local_options(config.workers)
    for_each(_in_worker, leave_out, jobs, options)


def main(config: Config) -> None:
    """Prepares all videos; ends with 1 if one was left out."""
    try:
        videos = find_videos(config.videos)
        load_acoustic_model(config.acoustic_model)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    config.output.mkdir(parents=True, exist_ok=True)
    missing = [video for video in videos if config.again or not done_before(video, config)]
    if len(missing) < len(videos):
        tqdm.write(f"{len(videos) - len(missing)} of {len(videos)} videos were done before")
    jobs = [(video, config) for video in missing]
    try:
        if config.workers > 1 or config.beam:
            _at_once(jobs, config)
        else:
            _one_by_one(jobs)
    except (ImportError, LandmarkerMissingError) as error:
        sys.exit(f"error: {error}")
    left_out = left_out_videos(config.output)
    lines = "".join(f"{video}\t{reason}\n" for _, video, reason in left_out)
    (config.output / LEFT_OUT_TABLE).write_text("video\treason\n" + lines)
    for _, video, reason in left_out:
        tqdm.write(f"left out {video}: {reason}")
    if config.data_set is not None:
        from data_specs.talking_head.builder import build_talking_head

        try:
            print(build_talking_head(config.output, config.data_set)[0])
        except (FileNotFoundError, ValueError) as error:
            sys.exit(f"error: {error}")
    if {clip for clip, *_ in left_out} & {video.clip for video in videos}:
        sys.exit(1)


if __name__ == "__main__":
    # Other processes get these classes from the module of this name, not from `__main__`.
    from experiments import prepare as this

    this.main(tyro.cli(this.Config))
