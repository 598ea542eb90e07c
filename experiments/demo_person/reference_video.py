"""Draws the reference video of the built-in subject `demo`: an invented person, speaking made-up
speech.

Into the output folder go `attributes.npz` (expression, pose, blink, gaze, identity, texture,
vertex_texture, illumination, fps, clip_starts, where irises are drawn, and the speech as audio at
audio_rate, silent under the clips without speech), `frames.npy` (uint8, frame, height, width, RGB),
and what the person looks like in them, as it is learnt of anybody. Some clips speak; others sweep
through poses, mouth shapes, blinks and gazes, so that whatever a talking head does has been seen.
"""

import multiprocessing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d
from tqdm import tqdm

from facial_jax.files import whole_or_nothing


@dataclass
class ReferenceVideo:
    """What the demo person's reference video is made of, and where it goes."""

    output: Path = Path("runs/demo")
    """Folder to write."""

    speech_clips: int = 4
    """How many clips speak."""

    speech_seconds: float = 20.0
    """Length of each."""

    sweep_clips: int = 4
    """How many clips sweep through poses and mouth shapes."""

    sweep_seconds: float = 10.0
    """Length of each."""

    size: int = 256
    """Height and width of the frames."""

    fps: float = 25.0
    """Frames per second."""

    workers: int = 2
    """Processes that draw."""


def smooth_walk(rng: np.random.Generator, count: int, channels: int, sigma: float) -> np.ndarray:
    """(count, channels) smooth random curves that fill [-1, 1] evenly."""
    width = int(4 * sigma)
    kernel = gaussian_filter1d(np.eye(2 * width + 1)[width], sigma, radius=width)
    white = rng.standard_normal((count + 2 * width, channels))
    curves = gaussian_filter1d(white, sigma, axis=0, radius=width)[width : width + count]
    curves /= np.sqrt((kernel**2).sum())
    return np.tanh(0.9 * curves) / np.tanh(1.8)


def sweep(seed: int, count: int) -> dict[str, np.ndarray]:
    """Attributes that wander through everything the demo person may do; pose around zero."""
    from data_specs.synthetic_talking_head.animation import POSE_LIMITS

    rng = np.random.default_rng(seed)
    limits = np.array([np.radians(12), np.radians(20), np.radians(8), 0.3, 0.3, 0.3])
    limits = np.maximum(limits, POSE_LIMITS)
    pose = np.clip(smooth_walk(rng, count, 6, 14.0), -1, 1) * limits
    expression = np.zeros((count, 64))
    mouth = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 21, 31])
    reach = np.array([0.75, 0.9, 0.8, 0.8, 0.7, 0.7, 0.7, 0.4, 0.8, 0.8, 0.5, 0.6, 0.6, 0.5])
    shapes = np.clip(smooth_walk(rng, count, len(mouth), 4.0), 0, 1) ** 1.5
    # few at a time: the three strongest stay
    weaker = np.sort(shapes, axis=1)[:, -3:-2]
    expression[:, mouth] = np.where(shapes >= weaker, shapes, 0.3 * shapes) * reach
    expression[:, 31] = np.minimum(expression[:, 31], 0.8 * expression[:, 0])
    brows = [12, 13, 14, 15, 24, 25]
    expression[:, brows] = np.clip(smooth_walk(rng, count, len(brows), 9.0), 0, 1) * 0.7
    expression[:, 32:] = 0.15 * smooth_walk(rng, count, 32, 9.0)
    blink = np.zeros(count)
    at = 6
    while at < count:
        length = rng.integers(3, 9)
        shape = np.sin(np.pi * np.clip(np.arange(-1, length + 2) / length, 0, 1))
        piece = blink[at : at + len(shape)]
        piece[:] = np.maximum(piece, (rng.uniform(2.5, 5.5) * shape)[: len(piece)])
        at += int(rng.integers(14, 34))
    gaze = smooth_walk(rng, count, 2, 6.0) * np.radians([10, 22])
    return {"pose": pose, "expression": expression, "blink": np.clip(blink, 0, 5), "gaze": gaze}


def all_attributes(config: ReferenceVideo) -> dict[str, np.ndarray]:
    """Attributes of all clips, one after the other, and what is heard."""
    from data_specs.synthetic_talking_head.animation import demo_attributes
    from experiments.demo_person.eyes import demo_habits, drawn_gaze, iris_offset
    from experiments.demo_person.person import REST_POSE, demo_identity
    from facial_jax.gaze import make_gaze
    from facial_jax.rendering.camera import pinhole_camera

    clips, audio, starts, rate = [], [], [], 16000
    frames, habits, fps = 0, demo_habits(), Fraction(config.fps)
    for clip in range(config.speech_clips):
        attributes, speech = demo_attributes(100 + clip, config.speech_seconds, fps=config.fps)
        rows = {k: np.asarray(getattr(attributes, k)) for k in ("pose", "expression", "blink")}
        rows["gaze"] = make_gaze(habits, rows["pose"], rows["blink"], fps, seed=clip)
        clips.append(rows)
        rate = speech.sample_rate
        audio.append(np.asarray(speech.samples, np.float32))
    for clip in range(config.sweep_clips):
        clips.append(sweep(200 + clip, round(config.sweep_seconds * config.fps)))
        audio.append(np.zeros(round(config.sweep_seconds * rate), np.float32))
    sound = []
    for clip, samples in zip(clips, audio, strict=True):
        starts.append(frames)
        count = len(clip["blink"])
        frames += count
        wanted = round(count / config.fps * rate)
        sound.append(np.pad(samples[:wanted], (0, max(0, wanted - len(samples)))))
    merged = {k: np.concatenate([c[k] for c in clips]).astype(np.float32) for k in clips[0]}
    merged["pose"] += REST_POSE
    merged["iris_offset"] = iris_offset(merged.pop("gaze"))
    camera = pinhole_camera((config.size, config.size))
    places = (merged[k] for k in ("iris_offset", "pose", "blink"))
    merged["eyes_gaze"] = drawn_gaze(*places, camera)
    person = demo_identity()
    return merged | {
        "identity": np.asarray(person.identity),
        "texture": np.asarray(person.texture),
        "illumination": np.asarray(person.illumination),
        "fps": np.float32(config.fps),
        "clip_starts": np.array(starts, np.int32),
        "audio": np.concatenate(sound),
        "audio_rate": np.int32(rate),
    }


def draw_frames(folder: str, size: int, jobs, done) -> None:
    """Draws the ranges of frames that `jobs` names, until it names none."""
    import jax.numpy as jnp

    from experiments.demo_person.draw import make_drawer

    draw = make_drawer(size)
    attributes = np.load(Path(folder) / "attributes.npz")
    rows = [attributes[k] for k in ("pose", "expression", "blink", "iris_offset")]
    frames = np.load(Path(folder) / "frames.npy", mmap_mode="r+")
    while (job := jobs.get()) is not None:
        for t in range(*job):
            picture = draw(*(jnp.asarray(x[t]) for x in rows))
            frames[t] = np.asarray(jnp.round(picture * 255.0)).astype(np.uint8)
        frames.flush()
        done.put(job[1] - job[0])


def add_appearance(folder: Path) -> None:
    """Adds what the frames show of the person, learnt as that of anybody in a video.

    But her teeth and tongue are the face model's: their geometry is known, only colours are learnt.
    Of the last tenth no frame is looked at: training holds part of it out.
    """
    from experiments.demo_person.eyes import demo_habits
    from facial_jax.data.clips import Clip
    from facial_jax.models.rendering_to_video.reference import save_parts
    from facial_jax.personalization.appearance import learn_appearance, telling_frames

    with np.load(folder / "attributes.npz") as stored:
        arrays = dict(stored)
    frames = np.load(folder / "frames.npy", mmap_mode="r")
    names = "expression", "pose", "blink", "identity", "texture", "illumination"
    clip = Clip(
        clip="reference",
        subject="demo",
        fps=str(Fraction(float(arrays["fps"]))),
        waveform=np.zeros(0, np.int16),
        features=np.zeros((len(frames), 0), np.float32),
        valid=np.ones(len(frames), bool),
        gaze=arrays["eyes_gaze"],
        **{name: arrays[name] for name in names},
    )
    trained = np.arange(round(0.9 * len(frames)))
    telling = frames[telling_frames(clip, trained)]
    appearance = learn_appearance(clip, trained, frames[: len(trained)], telling, own_mouth=True)
    # The sweeps look everywhere.
    appearance = appearance.replace(eyes=appearance.eyes.replace(habits=demo_habits()))
    save_parts(folder, appearance)
    arrays |= {"gaze": clip.attributes.gaze, "vertex_texture": appearance.vertex_texture}
    with whole_or_nothing(folder / "attributes.npz") as partial:
        np.savez(partial, **arrays)


def make_reference_video(config: ReferenceVideo) -> None:
    """Makes the attributes, then draws the frames in parallel."""
    config.output.mkdir(parents=True, exist_ok=True)
    attributes = all_attributes(config)
    with whole_or_nothing(config.output / "attributes.npz") as partial:
        np.savez(partial, **attributes)
    count = len(attributes["blink"])
    shape = (count, config.size, config.size, 3)
    np.lib.format.open_memmap(config.output / "frames.npy", "w+", np.uint8, shape).flush()
    context = multiprocessing.get_context("spawn")
    jobs, done = context.Queue(), context.Queue()
    for start in range(0, count, 50):
        jobs.put((start, min(start + 50, count)))
    workers = []
    for _ in range(config.workers):
        jobs.put(None)
        arguments = (str(config.output), config.size, jobs, done)
        workers.append(context.Process(target=draw_frames, args=arguments, daemon=True))
        workers[-1].start()
    drawn = 0
    with tqdm(total=count, unit="frame") as bar:
        while drawn < count:
            try:
                step = done.get(timeout=5.0)
            except Exception as error:
                if not any(worker.is_alive() for worker in workers):
                    raise RuntimeError("the drawing processes ended early") from error
                continue
            drawn += step
            bar.update(step)
    for worker in workers:
        worker.join()
    add_appearance(config.output)
