"""A subject made of one person's clips, before there is a rendering-to-video network."""

from fractions import Fraction

import jax
import numpy as np
import pytest
from random_clips import random_clip
from test_general_train import NETWORKS, source

import facial_jax
from experiments import personalize
from experiments.facial_gan_training import TrainingConfig
from facial_jax.attributes import AttributeStatistics
from facial_jax.audio.acoustic import load_acoustic_model
from facial_jax.audio.waveform import AudioSource
from facial_jax.generation import FacialGan, save_facial_gan
from facial_jax.networks.facial_gan import SMALL_DISCRIMINATOR
from facial_jax.synthesis import attributes_from_speech

FEATURES = load_acoustic_model().feature_count


@pytest.fixture(scope="module")
def general(tmp_path_factory):
    """A general network of random numbers."""
    path = tmp_path_factory.mktemp("general") / "facial_gan.safetensors"
    shapes = jax.eval_shape(
        NETWORKS.generator.init,
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, 128, 16, FEATURES), np.float32),
        jax.ShapeDtypeStruct((1, 71), np.float32),
    )
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda x: rng.uniform(0.1, 0.3, x.shape).astype(np.float32), shapes)
    zeros, ones = np.zeros(71, np.float32), np.ones(71, np.float32)
    model = FacialGan(
        variables=variables,
        statistics=AttributeStatistics(mean=zeros, std=ones),
        initial_state=zeros,
        generator=NETWORKS.generator,
    )
    save_facial_gan(path, model)
    return path


@pytest.fixture(scope="module")
def subject(general, tmp_path_factory):
    folder = tmp_path_factory.mktemp("subject")
    clips = [random_clip(f"a{k}", "a", 150, seed=k, features=FEATURES) for k in range(3)]
    config = personalize.Config(
        subject="a",
        data=folder,
        general=general,
        output=folder / "subject",
        work_dir=folder / "run",
        training=TrainingConfig(batch=2, stride=16, max_steps=2, epochs=10),
    )
    with jax.numpy_dtype_promotion("standard"):
        made = personalize.personalize(config, source(*clips[:2]), source(clips[2]))
    return facial_jax.load_subject(made), clips


def test_the_subject_has_the_persons_face_and_statistics(subject):
    loaded, clips = subject
    assert loaded.name == "a"
    assert loaded.fps == 25
    expected = np.mean([clip.identity for clip in clips[:2]], axis=0)
    np.testing.assert_allclose(loaded.identity.identity, expected, atol=1e-5)
    poses = np.concatenate([clip.pose for clip in clips[:2]])
    np.testing.assert_allclose(loaded.facial_gan.statistics.mean[:6], poses.mean(0), atol=1e-3)
    np.testing.assert_allclose(loaded.facial_gan.statistics.std[:6], poses.std(0), atol=1e-3)


def test_training_went_on_from_the_general_network(subject, general):
    before = facial_jax.generation.load_facial_gan(general).variables["params"]
    after = subject[0].facial_gan.variables["params"]
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), before, after)
    assert 0 < max(jax.tree.leaves(moved)) < 0.01


def test_attributes_can_be_made_and_frames_say_what_is_missing(subject, tmp_path):
    speech = np.random.default_rng(0).standard_normal(8000).astype(np.float32) / 10
    source = AudioSource((speech, 16000))
    attributes = attributes_from_speech(source, subject[0], fps=Fraction(25))
    assert len(attributes) == 12
    assert np.isfinite(attributes.expression).all()
    with pytest.raises(ValueError, match="a has no rendering-to-video network yet"):
        facial_jax.synthesize((speech, 16000), subject=subject[0], output=tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="train_rendering_to_video"):
        next(iter(facial_jax.synthesize((speech, 16000), subject=subject[0])))


def test_a_discriminator_beside_the_generator_is_trained_on(general, tmp_path):
    networks = personalize.load_networks(general)
    assert networks.discriminator_variables is None
    assert networks.discriminator.features == SMALL_DISCRIMINATOR["features"]
    assert networks.generator == NETWORKS.generator


def test_clips_of_two_frame_rates_are_refused(tmp_path):
    clips = source(random_clip("a0", "a", 40), random_clip("a1", "a", 48, fps="30"))
    config = personalize.Config(subject="a", data=tmp_path)
    with pytest.raises(ValueError, match="one frame rate, got 25, 30"):
        personalize.personalize(config, clips, clips)
