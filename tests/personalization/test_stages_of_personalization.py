"""Each input is changed in turn: whatever depends on it is made again, all else is kept."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from facial_jax.appearance import Appearance
from facial_jax.audio.acoustic import ACOUSTIC_WEIGHTS, BUNDLED
from facial_jax.data.tracked_clip import save_tracked_clip
from facial_jax.models.facial_gan.generation import load_facial_gan, save_facial_gan
from facial_jax.models.facial_gan.initialization import DISCRIMINATOR_FILE
from facial_jax.models.layers.parameters import load_variables, save_variables
from facial_jax.models.rendering_to_video.network import LocalEnhancer
from facial_jax.personalization import pipeline
from facial_jax.personalization import provenance as depends_on
from facial_jax.personalization.config import PersonalizationConfig
from facial_jax.personalization.facial_gan import PERSONAL
from facial_jax.provenance import file_hash, tree_hash
from facial_jax.stages import RECORD
from facial_jax.subject import FACIAL_GAN, load_subject, save_rendering_to_video
from tests.personalization.test_personalize import FEATURES, general  # noqa: F401  a fixture
from tests.random_clips import random_clip

FRAMES = 180
STAGES = {
    "track": "tracked/clip",
    "facial_gan": "facial_gan",
    "frames": "frames",
    "rendering_to_video": "video",
    "evaluate": "evaluation",
}
GENERATOR = LocalEnhancer(width=2, downsamplings=0, blocks=0, local_blocks=0, kernel_size=3)


def number_of(text):
    """A number that follows from a text, such as a hash."""
    return int(tree_hash(text)[:6], 16)


class Makers:
    """Stand-ins for what is slow. What they make follows from what they are given."""

    @staticmethod
    def track_video(video, config, *, say, progress):
        heard = video.read_bytes().split(b";")[0]  # the rest is of no account
        clip = random_clip("clip", config.subject, FRAMES, features=FEATURES)
        clip = dataclasses.replace(clip, pose=clip.pose + len(heard) / np.float32(100))
        save_tracked_clip(config.work / "tracked", clip, acoustic="0" * 64)
        crop = heard + str(depends_on.tracked_size(config)).encode()
        (config.work / "tracked" / "clip" / "video.mp4").write_bytes(crop)

    @staticmethod
    def track_further_video(video, config, name, first, *, say, progress):
        clip = random_clip(name, config.subject, FRAMES, features=FEATURES, fps=first.fps)
        clip = dataclasses.replace(clip, identity=first.identity)
        save_tracked_clip(config.work / "tracked", clip, acoustic="0" * 64)
        (config.work / "tracked" / name / "video.mp4").write_bytes(video.read_bytes())

    @staticmethod
    def save_fine_tuned(config, clip, first, folder, *, further, say, progress):
        model = load_facial_gan(config.general)
        number = number_of(json.dumps(depends_on.facial_gan(config, clip, first, further)))
        state = np.full_like(model.initial_state, number / 2**24)
        (folder / PERSONAL).mkdir()
        save_facial_gan(folder / PERSONAL / FACIAL_GAN, model.replace(initial_state=state))

    @staticmethod
    def write_frames(config, clip, first, data):
        crop = number_of(file_hash(config.work / "tracked" / clip.clip / "video.mp4")) % 256
        np.save(data / "frames.npy", np.full((FRAMES, config.size, 4, 3), crop, np.uint8))
        rows = {name: getattr(clip, name) for name in ("expression", "pose", "blink")}
        face = {name: getattr(clip, name) for name in ("identity", "texture", "illumination")}
        np.savez(data / "attributes.npz", **rows, **face)

    @staticmethod
    def train_rendering_to_video(training, data, folder, *, further, say, progress):
        number = number_of(json.dumps(depends_on.rendering_to_video(training, data, further)))
        params = {"kernel": np.full(1, number / 2**24, np.float32)}
        path = folder / "rendering_to_video.safetensors"
        save_rendering_to_video(path, GENERATOR, params, window_half=1, appearance=Appearance())

    @staticmethod
    def evaluate(video, config, clip, first, data, folder, seconds, pictures, *, say):
        (folder / "report.html").write_text(config.subject)
        (folder / "spoken.mp4").write_text(file_hash(config.folder / FACIAL_GAN))


@pytest.fixture
def makers(monkeypatch):
    for name in vars(Makers):
        if not name.startswith("_"):
            monkeypatch.setattr(pipeline, name, getattr(Makers, name))


@pytest.fixture
def config(general, tmp_path, makers):  # noqa: F811
    """A finished run, and the files that it has read."""
    (tmp_path / "files").mkdir()
    copied = shutil.copy(general, tmp_path / "files" / "general.safetensors")
    (tmp_path / "files" / "a.mp4").write_bytes(b"a video;")
    config = PersonalizationConfig(
        subject="a",
        size=64,
        general=Path(copied),
        acoustic_model=BUNDLED,
        output=tmp_path / "subject",
        work_dir=tmp_path / "run",
    )
    run(config)
    return config


def video_of(config):
    return config.general.with_name("a.mp4")


def run(config, video=None):
    return pipeline.personalize_video(video or video_of(config), config, progress=False)


def ends(config):
    return {
        name: (config.work / folder / RECORD).stat().st_mtime_ns for name, folder in STAGES.items()
    }


def made_again(before, config, video=None):
    run(config, video)
    after = ends(config)
    return [name for name in STAGES if after[name] != before[name]]


def replace_training(config, field, **changes):
    return dataclasses.replace(
        config, **{field: dataclasses.replace(getattr(config, field), **changes)}
    )


def other_general(config):
    model = load_facial_gan(config.general)
    params = jax.tree.map(lambda x: x + 1, model.variables["params"])
    save_facial_gan(config.general, model.replace(variables={**model.variables, "params": params}))
    return config


def other_acoustic_model(config):
    variables, fields = load_variables(ACOUSTIC_WEIGHTS)
    path = config.general.with_name("acoustic.safetensors")
    save_variables(path, jax.tree.map(lambda x: x * np.float32(1.5), variables), fields)
    return dataclasses.replace(config, acoustic_model=str(path))


def with_discriminator(config):
    save_variables(config.general.with_name(DISCRIMINATOR_FILE), {"x": np.ones(1)}, {})
    return config


def video_with(contents):
    def change(config):
        video_of(config).write_bytes(contents)
        return config

    return change


def given_network(config):
    path = config.general.with_name("given.safetensors")
    params = {"kernel": np.ones(1, np.float32)}
    save_rendering_to_video(path, GENERATOR, params, window_half=1, appearance=Appearance())
    return dataclasses.replace(config, rendering_to_video=path)


FROM_FACIAL_GAN = ["facial_gan", "evaluate"]
FROM_FRAMES = ["frames", "rendering_to_video", "evaluate"]
CHANGES = {
    "nothing": (lambda config: config, []),
    "video": (video_with(b"another video;"), list(STAGES)),
    "video in which the same is tracked": (video_with(b"a video; other bytes"), ["track"]),
    "subject": (lambda config: dataclasses.replace(config, subject="b"), ["evaluate"]),
    "general": (other_general, FROM_FACIAL_GAN),
    "discriminator": (with_discriminator, FROM_FACIAL_GAN),
    "acoustic model": (other_acoustic_model, FROM_FACIAL_GAN),
    "size": (lambda config: dataclasses.replace(config, size=96), FROM_FRAMES),
    "size above the crop's": (
        lambda config: dataclasses.replace(config, size=600),
        ["track", *FROM_FRAMES],
    ),
    "training": (
        lambda config: replace_training(config, "training", learning_rate=3e-4),
        FROM_FACIAL_GAN,
    ),
    "training's checkpoints": (
        lambda config: replace_training(config, "training", checkpoint_steps=7),
        [],
    ),
    "video training": (
        lambda config: replace_training(config, "video_training", window_half=2),
        ["rendering_to_video", "evaluate"],
    ),
    "given network": (given_network, ["evaluate"]),
    "output": (lambda config: dataclasses.replace(config, output=config.work / "other"), []),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_depends_on_a_changed_input_is_made_again_and_nothing_else(config, name):
    before, (change, expected) = ends(config), CHANGES[name]
    config = change(config)
    assert made_again(before, config) == expected
    assert (config.folder / "report.html").read_text() == config.subject
    said = (config.folder / "spoken.mp4").read_text()
    assert said == file_hash(config.folder / FACIAL_GAN)
    assert load_subject(config.folder).name == config.subject
    assert made_again(ends(config), config) == []


def test_a_video_of_the_same_bytes_in_another_folder_is_the_same(config, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    moved = Path(shutil.copy(video_of(config), tmp_path / "elsewhere"))
    assert made_again(ends(config), config, moved) == []
    renamed = moved.rename(moved.with_name("b.mp4"))
    assert made_again(ends(config), config, renamed) == ["evaluate"]  # the report names it


def test_a_report_on_another_network_does_not_stay_in_the_subjects_folder(config):
    skipping = dataclasses.replace(other_general(config), skip=("evaluate",))
    run(skipping)
    assert not (config.folder / "report.html").exists()
    assert not (config.folder / "spoken.mp4").exists()


def test_a_further_video_is_learnt_from_and_makes_nothing_of_the_first_again(config, tmp_path):
    before, further = ends(config), tmp_path / "files" / "b.mp4"
    further.write_bytes(b"another video")

    def run_with(*videos):
        pipeline.personalize_video(video_of(config), config, further=videos, progress=False)
        return ends(config)

    after = run_with(further)
    assert {name for name in before if after[name] != before[name]} == {
        "facial_gan",
        "rendering_to_video",
        "evaluate",
    }
    assert (config.work / "tracked" / "clip_2" / "clip.npz").is_file()
    assert len(np.load(config.work / "frames_2" / "frames.npy")) == FRAMES
    training = json.loads((config.work / "video" / RECORD).read_text())["provenance"]
    assert training["training.held_out_fraction"] == pytest.approx(FRAMES / 5 / (2 * FRAMES))
    assert run_with(further) == after
    further.write_bytes(b"another video, cut otherwise")
    assert {name for name, end in run_with(further).items() if end != after[name]} == {
        "rendering_to_video",
        "evaluate",
    }
    with pytest.raises(FileNotFoundError, match=r"video: c\.mp4 does not exist"):
        run_with(Path("c.mp4"))
