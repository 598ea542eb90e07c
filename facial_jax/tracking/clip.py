"""From a tracked video to a clip on disk.

A clip's folder holds `video.mp4` (the crop that the clip's poses are for), `report.html` and
`report.txt`, and last `clip.npz` (see `facial_jax.data.tracked_clip`): if it is there, the clip is
whole.
"""

import dataclasses
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from facial_jax.audio.acoustic import acoustic_model_hash, load_acoustic_model
from facial_jax.audio.features import speech_features
from facial_jax.audio.waveform import AudioSource
from facial_jax.data.clips import SAMPLE_RATE, Clip
from facial_jax.data.tracked_clip import FILE_NAME, load_tracked_clip, save_tracked_clip
from facial_jax.face.procedural import procedural_face_model
from facial_jax.files import whole_or_nothing, write_text
from facial_jax.media.colors import bt709_frame, tag_bt709
from facial_jax.media.container import output_url
from facial_jax.tracking.frames import VideoFrames
from facial_jax.tracking.preflight import Preflight, preflight
from facial_jax.tracking.report import fitted_strip, report_html
from facial_jax.tracking.tracker import TrackedVideo


def check_sound(video: VideoFrames) -> None:
    """Refuses, before a video is tracked, what no speech can be learnt from; reads its sound once.

    Raises:
        ValueError: it has no sound, or more than half of it cannot be decoded.
    """
    if video.sound is None:
        raise ValueError(f"video: {video.path} has no sound; speech cannot be learnt of it")
    video.sound.check()


def clip_waveform(tracked: TrackedVideo) -> np.ndarray:
    """The sound of a clip's frames: mono int16 at 16 kHz, exactly as long as they are; silence, if
    there is none.
    """
    first = round(tracked.start / tracked.fps * SAMPLE_RATE)
    count = round(len(tracked) / tracked.fps * SAMPLE_RATE)
    if tracked.video.sound is None:
        return np.zeros(count, np.int16)
    blocks = tracked.video.sound.blocks(SAMPLE_RATE)
    samples = np.concatenate([block[:, 0] for block in blocks])
    samples = samples[first : first + count]
    samples = np.pad(samples, (0, count - len(samples)))
    return np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16)


def clip_speech_features(
    waveform: np.ndarray, fps: Fraction, count: int, acoustic_model: str
) -> np.ndarray:
    """Speech features of a clip's waveform, `count` rows."""
    source = AudioSource((waveform, SAMPLE_RATE))
    features = speech_features(source, load_acoustic_model(acoustic_model), fps)[:count]
    padded = np.pad(features, ((0, count - len(features)), (0, 0)), mode="edge")
    return padded.astype(np.float32)


def make_clip(tracked: TrackedVideo, *, name: str, subject: str, acoustic_model: str) -> Clip:
    """What the data set stores of a tracked video."""
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
        frame_identity=None if tracked.frame_identity is None else array(tracked.frame_identity),
        gaze=None if tracked.gaze is None else array(tracked.gaze),
    )


def write_crop(path: Path, tracked: TrackedVideo) -> None:
    """The crop's frames as H.264, without the sound, which is in clip.npz."""
    options = {"crf": "18", "preset": "veryfast"}
    reformatter = VideoReformatter()
    with whole_or_nothing(path) as partial, av.open(output_url(partial), "w") as container:
        stream = container.add_stream("libx264", rate=tracked.fps, options=options)
        stream.width = stream.height = tracked.size
        stream.pix_fmt = "yuv420p"
        tag_bt709(stream.codec_context)
        for image in tracked.frames():
            container.mux(stream.encode(bt709_frame(image, reformatter)))
        container.mux(stream.encode(None))


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
    write_text(folder / "report.txt", checked.text())
    strip = fitted_strip(tracked, procedural_face_model())
    write_text(folder / "report.html", report_html(tracked, checked, strip))
    clip = make_clip(tracked, name=name, subject=subject, acoustic_model=acoustic_model)
    write_crop(folder / "video.mp4", tracked)
    save_tracked_clip(output, clip, acoustic=acoustic_model_hash(acoustic_model))
    return checked


def clip_with_features(clip: Clip, acoustic_model: str) -> Clip:
    """The same clip with this acoustic model's features."""
    rows = clip_speech_features(clip.waveform, clip.frame_rate, len(clip), acoustic_model)
    return dataclasses.replace(clip, features=rows)


def listen_again(folder: Path, acoustic_model: str) -> Clip:
    """The tracked clip of a folder; it is given this acoustic model's features if it has others."""
    clip, acoustic = load_tracked_clip(folder / FILE_NAME)
    wanted = acoustic_model_hash(acoustic_model)
    if acoustic != wanted:
        clip = clip_with_features(clip, acoustic_model)
        save_tracked_clip(folder.parent, clip, acoustic=wanted)
    return clip
