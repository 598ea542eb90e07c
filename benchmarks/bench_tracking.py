"""How well and how fast videos are tracked: python -m benchmarks.bench_tracking VIDEO…

With `--truth attributes.npz` (expression, pose, blink; as `experiments.make_demo_video` writes it)
the result of one video is compared with what it was drawn from: the mean absolute error of each
angle after a constant offset is taken away, and correlations of mouth opening and blink.

With `--corpus FOLDER` the same is done for speakers of a synthetic corpus: each is drawn with the
demo person's hair and clothes, saying a clip of the test split, and encoded as H.264 with sound.

With `--loops 1 10` the first video is tracked in loops of these lengths in minutes, each in its
own process, to see that memory does not grow with the length.
"""

import dataclasses
import json
import multiprocessing
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import av
import jax.numpy as jnp
import numpy as np
import tyro

from data_specs.clips import open_clips
from data_specs.synthetic_talking_head.visemes import mouth_opening as opening_of_expression
from experiments.demo_person.draw import make_drawer
from experiments.demo_person.person import REST_POSE
from facial_jax import enable_compilation_cache, procedural_face_model
from facial_jax.data.clips import SAMPLE_RATE, Clip
from facial_jax.pictures import encode_png
from facial_jax.tracking import TrackedVideo, track
from facial_jax.tracking.frames import open_frames
from facial_jax.tracking.preflight import preflight
from facial_jax.tracking.report import fitted_strip
from facial_jax.tracking.speech_sync import mouth_opening

LOOP_SIDE = 320  # pixels of the frames of `--loops`
COLUMNS = {
    "pitch_error_deg": "pitch °",
    "yaw_error_deg": "yaw °",
    "roll_error_deg": "roll °",
    "mouth_correlation": "mouth r",
    "blink_correlation": "blink r",
    "landmark_error_percent": "fit %",
}


@dataclass(frozen=True)
class Arguments:
    """What is measured."""

    videos: tyro.conf.Positional[tuple[Path, ...]] = ()
    """The videos."""
    truth: Path | None = None
    """What the video was drawn from; for one video."""
    strips: Path | None = None
    """A folder for pictures of the fitted faces."""
    corpus: Path | None = None
    """A corpus as from experiments.make_corpus."""
    speakers: int = 5
    """How many of its speakers are drawn."""
    seconds: float = 8.0
    """How long each speaks."""
    drawn: Path | None = None
    """A folder to keep the drawn videos in."""
    loops: tuple[int, ...] = ()
    """Minutes that the first video is repeated for."""


def measure(tracked: TrackedVideo, wall_s: float, cpu_s: float) -> dict[str, float]:
    """Speed and fit."""
    before, after = tracked.photometric_error
    detected, fitted = mouth_opening(tracked.landmarks), mouth_opening(tracked.fitted_landmarks)
    seen = tracked.seen
    return {
        "frames": len(tracked),
        "frames_per_s": len(tracked) / wall_s,
        "cpu_ms_per_frame": 1000 * cpu_s / len(tracked),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "share_with_face": float(seen.mean()),
        "landmark_error_percent": 100 * float(np.nanmean(tracked.fit_error)),
        "landmark_error_95_percent": 100 * float(np.nanpercentile(tracked.fit_error, 95)),
        "photometric_error_landmarks_only": before,
        "photometric_error": after,
        "mouth_fitted_to_found_correlation": float(np.corrcoef(detected[seen], fitted[seen])[0, 1]),
    }


def compare(tracked: TrackedVideo, truth: dict[str, np.ndarray]) -> dict[str, float]:
    """With what the video was drawn from; both start at the video's first frame."""
    count = min(len(tracked), len(truth["blink"]))
    span = slice(tracked.start, tracked.start + count)
    own = tracked.attributes[:count]
    error = np.degrees(own.pose[:, :3] - truth["pose"][span, :3])
    error -= np.median(error, axis=0)
    report = {
        f"{name}_error_deg": float(np.abs(error[:, k]).mean())
        for k, name in enumerate(("pitch", "yaw", "roll"))
    }
    model = procedural_face_model()
    lips = np.asarray(model.landmarks)[[62, 66]]
    basis = np.asarray(model.expression_basis)[lips]

    def gap(expression, identity):
        rest = (
            np.asarray(model.mean_shape)[lips] + np.asarray(model.identity_basis)[lips] @ identity
        )
        points = rest + np.einsum("lck,tk->tlc", basis, expression)
        return np.linalg.norm(points[:, 0] - points[:, 1], axis=-1)

    fitted = gap(own.expression, tracked.identity.identity)
    drawn = truth["expression"][span]
    return report | {
        "mouth_correlation": float(np.corrcoef(fitted, gap(drawn, truth["identity"]))[0, 1]),
        "mouth_correlation_of_coefficients": float(
            np.corrcoef(opening_of_expression(own.expression), opening_of_expression(drawn))[0, 1]
        ),
        "blink_correlation": float(np.corrcoef(own.blink, truth["blink"][span])[0, 1]),
        "blink_error_au45": float(np.abs(own.blink - truth["blink"][span]).mean()),
    }


def draw_speaker(clip: Clip, path: Path) -> dict[str, np.ndarray]:
    """Writes a clip's video, 256 pixels wide and high, and returns what it was drawn from."""
    draw = make_drawer(256, clip.face)
    truth = {
        "pose": clip.pose + REST_POSE,
        "expression": clip.expression,
        "blink": clip.blink,
        "identity": clip.identity,
    }
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=clip.frame_rate, options={"crf": "20"})
        video.width, video.height, video.pix_fmt = 256, 256, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for t in range(len(clip)):
            picture = draw(*(jnp.asarray(truth[k][t]) for k in ("pose", "expression", "blink")))
            image = np.rint(np.asarray(picture) * 255).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(clip.waveform[None], format="s16", layout="mono")
        sound.sample_rate = SAMPLE_RATE
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    return truth


def beginning(clip: Clip, seconds: float) -> Clip:
    """The first part of a clip."""
    count = round(seconds * clip.frame_rate)
    per_frame = ("features", "expression", "pose", "blink", "valid")
    parts = {name: getattr(clip, name)[:count] for name in per_frame}
    samples = round(count / clip.frame_rate * SAMPLE_RATE)
    return dataclasses.replace(clip, waveform=clip.waveform[:samples], **parts)


def measure_speakers(arguments: Arguments, folder: Path) -> None:
    """Draws and tracks speakers of the corpus, and prints a line for each."""
    clips = open_clips(arguments.corpus, "test")
    print(f"{'':12}" + "".join(f"{name:>9}" for name in COLUMNS.values()))
    for subject in clips.subjects[: arguments.speakers]:
        path = folder / f"{subject}.mp4"
        truth = draw_speaker(beginning(clips.of_subject(subject)[0], arguments.seconds), path)
        tracked = track(path)
        report = measure(tracked, 1.0, 1.0) | compare(tracked, truth)
        print(f"{subject:12}" + "".join(f"{report[k]:9.3f}" for k in COLUMNS), flush=True)


def write_loop(video: Path, minutes: int, path: Path) -> None:
    """The video over and over, small, without sound."""
    source = open_frames(video)
    count = round(minutes * 60 * source.fps)
    height, width = next(source.read(max_side=LOOP_SIDE)).shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=source.fps, options={"preset": "ultrafast", "crf": "20"}
        )
        stream.width, stream.height, stream.pix_fmt = width // 2 * 2, height // 2 * 2, "yuv420p"
        written = 0
        while written < count:
            for image in source.read(max_side=LOOP_SIDE, stop=count - written):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
                written += 1
        container.mux(stream.encode(None))


def measure_loop(path: Path, minutes: int) -> None:
    """Tracks a loop and prints the process's peak memory."""
    enable_compilation_cache()
    start = time.perf_counter()
    report = measure(tracked := track(path), time.perf_counter() - start, 1.0)
    print(
        f"{minutes:3} minutes, {len(tracked)} frames: peak memory {report['peak_memory_mb']:.0f} "
        f"MiB, {report['frames_per_s']:.1f} frames per second",
        flush=True,
    )


def main(arguments: Arguments) -> None:
    """Prints a report for each video."""
    enable_compilation_cache()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments.corpus is not None:
            if arguments.drawn is not None:
                arguments.drawn.mkdir(parents=True, exist_ok=True)
            measure_speakers(arguments, arguments.drawn or folder)
        for minutes in arguments.loops:
            path = folder / f"{minutes}.mp4"
            write_loop(arguments.videos[0], minutes, path)
            context = multiprocessing.get_context("spawn")
            process = context.Process(target=measure_loop, args=(path, minutes))
            process.start()
            process.join()
    if arguments.loops:
        return
    for video in arguments.videos:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        tracked = track(video)
        report = measure(tracked, time.perf_counter() - wall_s, time.process_time() - cpu_s)
        if arguments.truth is not None:
            with np.load(arguments.truth) as truth:
                report |= compare(tracked, dict(truth))
        print(f"{video.name}: {json.dumps(report, indent=1)}")
        print(preflight(tracked).text())
        if arguments.strips is not None:
            arguments.strips.mkdir(parents=True, exist_ok=True)
            strip = fitted_strip(tracked, procedural_face_model())
            (arguments.strips / f"{video.stem}.png").write_bytes(encode_png(strip))


if __name__ == "__main__":
    main(tyro.cli(Arguments))
