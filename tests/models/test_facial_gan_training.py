"""A whole training on clips of noise: killed, resumed, and the same to the last bit."""

import dataclasses
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import jax
import numpy as np
import pytest

from facial_jax.attributes import pack_attributes
from facial_jax.data.clips import ClipSource, clip_entry, clip_to_example
from facial_jax.data.windows import Perturbation, subject_statistics
from facial_jax.models.facial_gan.generation import load_facial_gan
from facial_jax.models.facial_gan.network import FacialDiscriminator, FacialGenerator
from facial_jax.models.facial_gan.training import (
    Networks,
    TrainingConfig,
    mean_statistics,
    resting_state,
    train_facial_gan,
)
from tests.random_clips import random_clip

NETWORKS = Networks(
    FacialGenerator(
        temporal_features=(1, 1, 2, 2),
        unet_features=(2,),
        fusion_features=(2,),
        latent_size=2,
        local_features=(2,),
    ),
    FacialDiscriminator(features=(1, 2)),
)


@dataclass(frozen=True)
class Config:
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            batch=2,
            stride=16,
            max_steps=8,
            epochs=100.0,
            perturbation=Perturbation(),
            checkpoint_steps=1,
        )
    )


class Records:
    def __init__(self, clips):
        self.clips = clips

    def __getitem__(self, index):
        example = clip_to_example(self.clips[index])
        return {k: v.encode() if isinstance(v, str) else v for k, v in example.items()}


def source(*clips):
    return ClipSource(tuple(clip_entry(clip) for clip in clips), Records(clips), {})


def clips():
    return source(random_clip("a0", "a", 150), random_clip("b0", "b", 150, seed=1))


def train(output, config=None, data=None, devices=None):
    config, data = config or Config(), data or clips()
    # Bits are compared: GPUs sum in any order.
    cpu = jax.local_devices(backend="cpu")[:1]
    with jax.default_device(cpu[0]), jax.numpy_dtype_promotion("standard"):
        return train_facial_gan(
            config.training,
            NETWORKS,
            data,
            source(random_clip("a1", "a", 130, seed=2)),
            subject_statistics(data),
            Path(output),
            resolved_config=dataclasses.asdict(config),
            devices=devices or cpu,
        )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return train(folder), folder


def test_a_run_leaves_networks_curves_and_a_log(whole):
    model, folder = whole
    names = {path.name for path in folder.iterdir()}
    assert names >= {"facial_gan.safetensors", "discriminator.safetensors", "curves_0.png"}
    assert list((folder / "tensorboard").iterdir())
    loaded = load_facial_gan(folder / "facial_gan.safetensors")
    np.testing.assert_allclose(loaded.statistics.mean, model.statistics.mean, rtol=1e-3, atol=1e-3)


def test_a_killed_run_ends_with_the_same_bits(whole, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import train; train({str(tmp_path)!r})"],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not (tmp_path / "checkpoints" / "3").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "facial_gan.safetensors").exists()
    resumed = train(tmp_path)
    for a, b in zip(
        jax.tree.leaves(whole[0].variables), jax.tree.leaves(resumed.variables), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_losses_that_are_not_finite_name_the_clips(tmp_path):
    bad = random_clip("bad", "a", 150)
    bad.features[:] = np.nan
    config = Config()
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, max_steps=1))
    with pytest.raises(FloatingPointError, match=r"step 1: .*nan.*the batch: bad from frame \d+"):
        train(tmp_path, config, source(bad))


def test_a_new_face_rests_as_the_clips_begin():
    still = random_clip("a0", "a", 40)
    still.expression[:], still.pose[:] = 0.25, 0.1
    still.blink[:] = np.where(np.arange(40) % 10 == 5, 5, 0)
    data = source(still)
    found = resting_state(data, subject_statistics(data))
    np.testing.assert_allclose(found, np.asarray(pack_attributes(still.attributes))[0], atol=1e-5)
    assert mean_statistics(subject_statistics(data)).mean.dtype == np.float32
