"""A whole training on clips of noise: killed, resumed, and the same to the last bit."""

import dataclasses
import signal
import subprocess
import sys
import time
from pathlib import Path

import chex
import jax
import numpy as np
import pytest

from facial_jax.attributes import pack_attributes
from facial_jax.data.windows import Perturbation, subject_statistics
from facial_jax.models.facial_gan.config import FacialGanTrainingConfig
from facial_jax.models.facial_gan.generation import load_facial_gan
from facial_jax.models.facial_gan.initialization import FacialGanNetworks
from facial_jax.models.facial_gan.losses import FacialWeights
from facial_jax.models.facial_gan.network import FacialDiscriminator, FacialGenerator
from facial_jax.models.facial_gan.statistics import mean_statistics, resting_state
from facial_jax.models.facial_gan.task import train_facial_gan
from tests.one_device import quickly_compiled
from tests.random_clips import clip_source, random_clip

NETWORKS = FacialGanNetworks(
    FacialGenerator(
        temporal_features=(1, 1, 2, 2),
        unet_features=(2,),
        fusion_features=(2,),
        latent_size=2,
        local_features=(2,),
    ),
    FacialDiscriminator(features=(1, 2)),
)


CONFIG = FacialGanTrainingConfig(
    batch=2,
    stride=16,
    max_steps=8,
    epochs=100.0,
    perturbation=Perturbation(),
    checkpoint_steps=1,
)


def clips():
    return clip_source(random_clip("a0", "a", 150), random_clip("b0", "b", 150, seed=1))


def train(folder, config=CONFIG, data=None, devices=None, networks=NETWORKS):
    data = clips() if data is None else data
    # Bits are compared: GPUs sum in any order.
    cpu = jax.local_devices(backend="cpu")[:1]
    with jax.default_device(cpu[0]), quickly_compiled():
        return train_facial_gan(
            config,
            networks,
            data,
            clip_source(random_clip("a1", "a", 130, seed=2)),
            subject_statistics(data),
            Path(folder),
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


def test_a_finished_run_is_of_its_clips_and_starting_weights(whole):
    model, folder = whole
    named = clip_source(random_clip("a2", "c", 150), random_clip("b2", "d", 150, seed=1))
    same = train(folder, data=named)  # called otherwise
    chex.assert_trees_all_equal(same.variables, model.variables)
    trained = dataclasses.replace(NETWORKS, generator_variables=model.variables)
    with pytest.raises(ValueError, match=r"generator\.start: None there"):
        train(folder, networks=trained)
    other = clip_source(random_clip("a0", "a", 150), random_clip("b0", "b", 150, seed=3))
    with pytest.raises(ValueError, match=r"clips: .* there, .* here"):
        train(folder, data=other)
    rarely = dataclasses.replace(CONFIG, checkpoint_steps=5)
    chex.assert_trees_all_equal(train(folder, rarely).variables, model.variables)


def test_losses_that_are_not_finite_name_the_clips(tmp_path):
    bad = random_clip("bad", "a", 150)
    bad.features[:] = np.nan
    config = dataclasses.replace(CONFIG, max_steps=1)
    with pytest.raises(FloatingPointError, match=r"step 1: .*nan.*the batch: bad from frame \d+"):
        train(tmp_path, config, clip_source(bad))


def test_a_new_face_rests_as_the_clips_begin():
    still = random_clip("a0", "a", 40)
    still.expression[:], still.pose[:] = 0.25, 0.1
    still.blink[:] = np.where(np.arange(40) % 10 == 5, 5, 0)
    data = clip_source(still)
    found = resting_state(data, subject_statistics(data))
    np.testing.assert_allclose(found, np.asarray(pack_attributes(still.attributes))[0], atol=1e-5)
    assert mean_statistics(subject_statistics(data)).mean.dtype == np.float32


def test_a_run_may_begin_from_an_earlier_ones_networks(whole):
    model, folder = whole
    networks = dataclasses.replace(
        NETWORKS, generator=NETWORKS.generator.clone(probabilities=(3, 7))
    ).begun_from(folder / "facial_gan.safetensors")
    assert networks.generator.probabilities == (3, 7)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6),
        dict(networks.generator_variables),
        dict(model.variables),
    )
    assert networks.discriminator_variables is not None


def test_the_lips_term_needs_the_face_model(tmp_path):
    config = dataclasses.replace(CONFIG, weights=FacialWeights(lips=400.0))
    with pytest.raises(ValueError, match="lip_places: the lips' weight is 400"):
        train(tmp_path, config)
