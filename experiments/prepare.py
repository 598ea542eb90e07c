"""Videos of people in, tracked clips out: python -m experiments.prepare VIDEO… --output DIR.

For each video a folder of its name: `clip.npz` (see `data_specs.talking_head.tracked_clip`),
`video.mp4` (the crop that the clip's poses are for), `report.html` and `report.txt`. Videos that
cannot be used are listed with the reason in `left_out.tsv`; those already done are skipped.
"""

import hashlib
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import tyro
from tqdm import tqdm

import facial_jax
from data_specs.clips import SAMPLE_RATE, Clip
from data_specs.talking_head.tracked_clip import FILE_NAME, save_tracked_clip
from facial_jax.audio.acoustic import ACOUSTIC_WEIGHTS, load_acoustic_model
from facial_jax.audio.features import speech_features
from facial_jax.tracking import TrackedVideo, track
from facial_jax.tracking.preflight import preflight
from facial_jax.tracking.report import fitted_strip, report_html

LEFT_OUT_TABLE = "left_out.tsv"


@dataclass(frozen=True)
class Config:
    """Tracks the person in each video."""

    videos: tyro.conf.Positional[tuple[Path, ...]]
    """The videos."""
    output: Path
    """The folder for the clips' folders."""
    fps: str | None = None
    """Frames per second to track at, like 25 or 30000/1001; each video's own if not given."""
    size: int = 512
    """Height and width of the crop in pixels."""
    subject: str | None = None
    """Who is in the videos; each its own name if not given."""
    again: bool = False
    """Track videos again that are done already."""


def clip_waveform(tracked: TrackedVideo) -> np.ndarray:
    """The sound of a clip's frames: mono int16 at 16 kHz, exactly as long as they are."""
    source = facial_jax.AudioSource(tracked.video.path)
    samples = np.concatenate([block[:, 0] for block in source.blocks(SAMPLE_RATE)])
    first = round(tracked.start / tracked.fps * SAMPLE_RATE)
    count = round(len(tracked) / tracked.fps * SAMPLE_RATE)
    samples = samples[first : first + count]
    samples = np.pad(samples, (0, count - len(samples)))
    return np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16)


def make_clip(tracked: TrackedVideo, *, name: str, subject: str) -> Clip:
    """What the data set stores of a tracked video.

    Raises:
        ValueError: it has no sound.
    """
    if not tracked.video.has_sound:
        raise ValueError(f"video: {tracked.video.path} has no sound; speech cannot be learnt of it")
    waveform = clip_waveform(tracked)
    source = facial_jax.AudioSource((waveform, SAMPLE_RATE))
    features = speech_features(source, load_acoustic_model(), tracked.fps)
    t = len(tracked)
    features = np.pad(features[:t], ((0, t - len(features[:t])), (0, 0)), mode="edge")
    a, i = tracked.attributes, tracked.identity

    def array(values):
        return np.asarray(values, np.float32)

    return Clip(
        clip=name,
        subject=subject,
        fps=str(tracked.fps),
        waveform=waveform,
        features=array(features),
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


def prepare(video: Path, config: Config) -> tuple[str, ...]:
    """Tracks one video and writes its folder; returns what is wrong with the clip.

    Raises:
        ValueError: the video cannot be used; what is known of it is in its report.
    """
    model = facial_jax.procedural_face_model()

    def progress(frames):
        return tqdm(frames, desc=video.name, unit="frame", leave=False, mininterval=1.0)

    tracked = track(video, model, fps=config.fps, size=config.size, progress=progress)
    folder = config.output / video.stem
    folder.mkdir(parents=True, exist_ok=True)
    checked = preflight(tracked)
    (folder / "report.txt").write_text(checked.text())
    page = report_html(tracked, checked, fitted_strip(tracked, model))
    (folder / "report.html").write_text(page)
    clip = make_clip(tracked, name=video.stem, subject=config.subject or video.stem)
    write_crop(folder / "video.mp4", tracked)
    acoustic = hashlib.sha256(Path(ACOUSTIC_WEIGHTS).read_bytes()).hexdigest()
    save_tracked_clip(config.output, clip, acoustic=acoustic)
    tqdm.write(f"{folder}: {len(clip)} frames\n{checked.text()}")
    return checked.problems


def main(config: Config) -> None:
    """Prepares all videos; ends with 1 if one was left out."""
    facial_jax.enable_compilation_cache()
    names = [video.stem for video in config.videos]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        sys.exit(f"error: two videos would make the same clip: {', '.join(twice)}; rename one")
    config.output.mkdir(parents=True, exist_ok=True)
    left_out = []
    for video in config.videos:
        if (config.output / video.stem / FILE_NAME).exists() and not config.again:
            tqdm.write(f"{video}: done before")
            continue
        try:
            prepare(video, config)
        except ImportError as error:
            sys.exit(f"error: {error}")
        except (ValueError, OSError, RuntimeError) as error:
            left_out.append((video, " ".join(str(error).split())))
        except Exception as error:  # one strange file must not stop the others
            traceback.print_exc()
            left_out.append((video, f"{type(error).__name__}: {error}"))
    table = config.output / LEFT_OUT_TABLE
    lines = "".join(f"{video}\t{reason}\n" for video, reason in left_out)
    table.write_text("video\treason\n" + lines)
    for video, reason in left_out:
        tqdm.write(f"left out {video}: {reason}")
    if left_out:
        sys.exit(1)


if __name__ == "__main__":
    main(tyro.cli(Config))
