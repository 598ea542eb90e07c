import dataclasses
import functools

import jax
import numpy as np
import pytest

from facial_jax.audio import acoustic
from facial_jax.audio.acoustic import AcousticModel, BundledAcousticModel, load_acoustic_model
from facial_jax.audio.mfcc import log_mel
from facial_jax.models.acoustic.network import (
    BLANK,
    CHARACTERS,
    AcousticConfig,
    AcousticNetwork,
    normalise_log_mel,
)
from facial_jax.models.layers.parameters import save_variables
from facial_jax.synthesis import sample_speech

SMALL = AcousticConfig(width=16, dilations=(1, 2), outputs=7)


@functools.cache
def variables_of(config):
    rows = np.zeros((1, 2 * config.context + 2, 26), np.float32)
    variables = jax.jit(AcousticNetwork(config).init)(jax.random.key(0), rows)
    return jax.tree.map(lambda x: np.asarray(x) + np.float32(0.01), variables)


def energies(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(9.0, 3.0, (count, 27)).astype(np.float32)


def test_there_are_28_characters_and_the_blank_in_deepspeechs_order():
    assert CHARACTERS[0] == " "
    assert CHARACTERS[1:27] == "abcdefghijklmnopqrstuvwxyz"
    assert CHARACTERS[27] == "'"
    assert BLANK == 28


@pytest.mark.parametrize("count", [1, 2, 15, 64, 201])
@pytest.mark.parametrize("chunk_rows", [2, 16, 64])
def test_chunks_give_what_the_whole_gives(count, chunk_rows):
    variables = variables_of(SMALL)
    rows = energies(count)
    whole = BundledAcousticModel(variables, SMALL, chunk_rows=512).from_log_mel(rows)
    chunked = BundledAcousticModel(variables, SMALL, chunk_rows=chunk_rows).from_log_mel(rows)
    assert whole.shape == (count, 7)
    np.testing.assert_allclose(chunked, whole, atol=1e-5)


def test_a_logit_sees_only_its_context():
    network, variables = AcousticNetwork(SMALL), variables_of(SMALL)
    middle = 40
    rows = energies(100)[None, :, :26] / 10

    def logit(rows):
        return network.apply(variables, rows)[0, middle - SMALL.context].sum()

    seen = np.flatnonzero(np.abs(jax.grad(logit)(rows)[0]).max(axis=-1))
    assert seen.min() >= middle - SMALL.context
    assert seen.max() <= middle + SMALL.context + 1


def test_level_and_colour_do_not_matter():
    rows = energies(300)
    colour = np.linspace(-2, 2, 27, dtype=np.float32) + 3
    np.testing.assert_allclose(
        normalise_log_mel(rows), normalise_log_mel(rows + np.float32(2.0)), atol=1e-4
    )
    coloured = normalise_log_mel(rows + colour)
    assert np.abs(coloured - normalise_log_mel(rows)).mean() < 0.25


def test_silence_stays_far_below_speech():
    silent = normalise_log_mel(log_mel([np.zeros(16000, np.float32)]))
    assert np.isfinite(silent).all()
    mixed = energies(200)
    mixed[100:] = -36.0
    speech = normalise_log_mel(mixed)
    assert speech[100:].max() < -2.5
    assert abs(speech[:100].mean()) < 1.0
    assert silent.max() < -2.5


def test_the_bundled_network_is_an_acoustic_model_and_hears_speech():
    from facial_jax.audio.waveform import AudioSource

    model = load_acoustic_model()
    assert isinstance(model, AcousticModel)
    assert model.feature_count == 128
    sound = log_mel(AudioSource(sample_speech()).blocks())
    features = model.from_log_mel(sound)
    assert features.shape == (len(sound), 128)
    assert len(set(np.argmax(features[:, : BLANK + 1], axis=1))) > 8
    nothing = model([np.zeros(32000, np.float32)])[:, : BLANK + 1]
    assert (np.argmax(nothing, axis=1) == BLANK).mean() > 0.95


def test_saved_networks_load_again(tmp_path):
    path = tmp_path / "acoustic.safetensors"
    save_variables(path, variables_of(SMALL), dataclasses.asdict(SMALL))
    model = load_acoustic_model(path)
    assert model.feature_count == 7
    expected = BundledAcousticModel(variables_of(SMALL), SMALL).from_log_mel(energies(30))
    np.testing.assert_allclose(model.from_log_mel(energies(30)), expected, atol=1e-6)


def test_bad_weights_are_refused_with_their_file(tmp_path):
    path = tmp_path / "acoustic.safetensors"
    with pytest.raises(FileNotFoundError, match=r"acoustic\.safetensors"):
        load_acoustic_model(path)
    path.write_bytes(acoustic.ACOUSTIC_WEIGHTS.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"acoustic\.safetensors"):
        load_acoustic_model(path)
    save_variables(path, variables_of(SMALL), {"width": 99})
    with pytest.raises(ValueError, match=r"acoustic\.safetensors"):
        load_acoustic_model(path)


def test_weights_lie_on_the_device_so_that_no_chunk_sends_them_again():
    model = BundledAcousticModel(variables_of(SMALL), SMALL)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(model._variables))


def test_odd_chunks_are_refused():
    with pytest.raises(ValueError, match="even number"):
        BundledAcousticModel(variables_of(SMALL), SMALL, chunk_rows=3)
