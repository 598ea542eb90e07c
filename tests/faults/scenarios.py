"""What is killed: small runs that write a folder, and what must be true of it afterwards.

Of each, `run` does the whole work, or goes on with what it finds; `check` is what holds at any
moment; `result` is what must be the same at the end, however often it was killed.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import av
import jax
import jax.numpy as jnp
import numpy as np

from data_specs.talking_head import prepare
from data_specs.talking_head.videos import Video
from facial_jax import synthesis
from facial_jax.attributes import Attributes, Identity
from facial_jax.audio.acoustic import BUNDLED
from facial_jax.data.tracked_clip import FILE_NAME, load_tracked_clip
from facial_jax.models.layers.parameters import load_variables
from facial_jax.personalization import pipeline
from facial_jax.personalization.config import PersonalizationConfig
from facial_jax.provenance import file_hash, tree_hash
from facial_jax.stages import RECORD
from facial_jax.subject import FACIAL_GAN, load_subject
from facial_jax.tracking import report
from facial_jax.tracking.frames import open_frames
from facial_jax.tracking.tracker import Crop, TrackedVideo
from facial_jax.training.fit import fit
from tests.subject_folders import KEPT
from tests.training.toy_task import ToyTask

FRAMES, SIZE = 30, 64


class Scenario(NamedTuple):
    """A run that may be killed."""

    run: Callable[[Path], object]
    check: Callable[[Path], object]
    result: Callable[[Path], str]


class ShortTask(ToyTask):
    """So short that its saving takes longer than its training."""

    steps, validate_every = 4, 2


def train(folder: Path):
    cpu = jax.local_devices(backend="cpu")[:1]
    fit(ShortTask(), folder=folder / "run", provenance={"seed": 0}, devices=cpu, progress=False)


def check_training(folder: Path):
    exported = folder / "run" / "line.safetensors"
    if exported.exists():
        load_variables(exported)


def trained(folder: Path) -> str:
    return tree_hash(load_variables(folder / "run" / "line.safetensors")[0])


def video_with_sound(path: Path) -> Path:
    """Its pictures are as random as its sound."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = SIZE
        sound = container.add_stream("aac", rate=16000, layout="mono")
        for _ in range(FRAMES):
            image = rng.integers(0, 255, (SIZE, SIZE, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))
        samples = rng.uniform(-0.3, 0.3, (1, 16000 * FRAMES // 25)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def tracked(frames, *_, size: int, **__) -> TrackedVideo:
    """In the tracker's place: a head that stands still."""
    rng = np.random.default_rng(0)
    points = rng.uniform(10, 50, (FRAMES, 68, 2)).astype(np.float32)
    pose = np.tile(np.float32([0, 0, 0, 0, -0.1, 0]), (FRAMES, 1))
    pose += 0.01 * rng.normal(size=pose.shape).astype(np.float32)
    return TrackedVideo(
        attributes=Attributes(
            expression=0.1 * rng.normal(size=(FRAMES, 64)).astype(np.float32),
            pose=pose,
            blink=np.zeros(FRAMES, np.float32),
        ),
        identity=Identity(
            identity=jnp.zeros(80), texture=jnp.zeros(80), illumination=jnp.ones((3, 9))
        ),
        valid=np.ones(FRAMES, bool),
        seen=np.ones(FRAMES, bool),
        landmarks=points,
        fitted_landmarks=points,
        irises=np.full((FRAMES, 2, 2), np.nan, np.float32),
        fit_error=np.full(FRAMES, 0.02, np.float32),
        photometric_error=(0.2, 0.1),
        video=frames,
        start=0,
        crop=Crop(0, 0, SIZE),
        size=size,
        frame_count=FRAMES,
        cuts=(),
        face_count=1,
        other_face_share=0.0,
        changes=np.full(FRAMES - 1, 0.02, np.float32),
        border_changes=np.full(FRAMES - 1, 0.001, np.float32),
    )


def prepare_one(folder: Path):
    video = folder / "a.mp4"
    if not video.exists():
        video_with_sound(folder / "b.mp4").rename(video)
    (folder / "clips").mkdir(exist_ok=True)
    how = prepare.Preparation(output=folder / "clips", size=SIZE, acoustic_model=BUNDLED)
    with (
        mock.patch.object(prepare, "track", tracked),
        mock.patch.object(report, "STRIP_SIZE", 48),
    ):
        left_out = prepare.prepare_videos(
            [Video(video, "a", "a")], how, workers=1, beam="", say=lambda line: None
        )
    assert left_out == [], left_out


def check_clip(folder: Path):
    clip = folder / "clips" / "a" / FILE_NAME
    if clip.exists():
        load_tracked_clip(clip)
        frames = open_frames(clip.with_name("video.mp4"))
        assert sum(1 for _ in frames.read()) == FRAMES


def prepared(folder: Path) -> str:
    clip, acoustic = load_tracked_clip(folder / "clips" / "a" / FILE_NAME)
    crop = file_hash(folder / "clips" / "a" / "video.mp4")
    return tree_hash({**dataclasses.asdict(clip), "acoustic": acoustic, "crop": crop})


def personalize(folder: Path):
    """All stages, with stand-ins for what is slow in them."""
    # Computes when it is imported, after which no process can be forked.
    from tests.personalization.test_stages_of_personalization import Makers

    video = folder / "a.mp4"
    if not video.exists():
        video.write_bytes(b"a video;")
    config = PersonalizationConfig(
        subject="a",
        size=SIZE,
        general=KEPT / "format_1" / FACIAL_GAN,
        acoustic_model=BUNDLED,
        output=folder / "subject",
        work_dir=folder / "run",
    )
    makers = {name: getattr(Makers, name) for name in vars(Makers) if not name.startswith("_")}
    with mock.patch.multiple(pipeline, **makers):
        pipeline.personalize_video(video, config, progress=False)


STAGE_FILES = {
    "tracked/clip": ("clip.npz", "video.mp4"),
    "facial_gan": ("personal/facial_gan.safetensors",),
    "frames": ("frames.npy", "attributes.npz"),
    "video": ("rendering_to_video.safetensors",),
    "evaluation": ("report.html", "spoken.mp4"),
}


def check_personalization(folder: Path):
    for stage, files in STAGE_FILES.items():
        record = folder / "run" / stage / RECORD
        if record.exists() and json.loads(record.read_text())["seconds"] is not None:
            assert all((record.parent / name).is_file() for name in files)
    if (folder / "subject" / "subject.json").exists():
        load_subject(folder / "subject")


def personalized(folder: Path) -> str:
    names = sorted(p.name for p in (folder / "subject").iterdir() if p.name != ".lock")
    hashes = {name: file_hash(folder / "subject" / name) for name in names}
    stages = {name: (folder / "run" / name / RECORD).exists() for name in STAGE_FILES}
    return json.dumps([hashes, stages])


def synthesize(folder: Path):
    sound = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    synthesis.synthesize(
        (sound, 16000),
        subject=KEPT / "format_1",
        output=folder / "talk.mp4",
        chunk_frames=4,
        progress=False,
    )


def check_video(folder: Path):
    if (folder / "talk.mp4").exists():
        synthesized(folder)


def synthesized(folder: Path) -> str:
    digest = hashlib.sha256()
    with av.open(str(folder / "talk.mp4")) as container:
        count = 0
        for frame in container.decode(video=0):
            digest.update(frame.to_ndarray(format="rgb24").tobytes())
            count += 1
    assert count == 12
    with av.open(str(folder / "talk.mp4")) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 8000
    return digest.hexdigest()


SCENARIOS = {
    "training": Scenario(train, check_training, trained),
    "prepare": Scenario(prepare_one, check_clip, prepared),
    "personalize": Scenario(personalize, check_personalization, personalized),
    "synthesize": Scenario(synthesize, check_video, synthesized),
}
