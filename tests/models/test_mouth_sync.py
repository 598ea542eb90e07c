"""MouthSync: its training on clips of noise, its measure by hand, and the bundled network."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

from data_specs.synthetic_talking_head.animation import animate
from facial_jax.audio.waveform import AudioSource
from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.metrics.mouth_sync import shifted, sound_delay
from facial_jax.models.sync.losses import shift_loss, shift_scores
from facial_jax.models.sync.motion import CHANNELS, mouth_distances, mouth_motion
from facial_jax.models.sync.network import CONTEXT, MouthSyncNetwork
from facial_jax.models.sync.speech import speech_rows
from facial_jax.models.sync.task import MouthSyncTrainingConfig, train_mouth_sync
from facial_jax.models.sync.use import load_mouth_sync, measure_mouth_sync
from facial_jax.speech.espeak import speak
from tests.one_device import quickly_compiled
from tests.random_clips import clip_source, random_clip

TEXT = "Papa may bring a map of the farm. We want to move both of these boats before five."


def test_a_sound_shifted_by_k_frames_is_reported_as_shifted_by_k():
    utterance = speak(TEXT)
    # In halves of the published rate of 25: any rate is measured at 25.
    expression = animate(utterance, fps=50.0).expression
    source = AudioSource((utterance.samples, utterance.sample_rate))
    samples = np.concatenate([block[:, 0] for block in source.blocks(16000)])
    model = procedural_face_model()
    for k in range(-5, 6):
        found = sound_delay(expression, Fraction(50), shifted(samples, k / 25), model)
        assert found.sound_delay_frames == k
        assert found.confidence > 0.2


def test_a_still_mouth_is_refused():
    still = mouth_distances(procedural_face_model(), np.zeros((50, 64), np.float32))
    with pytest.raises(ValueError, match="lips that move"):
        mouth_motion(still, 25.0)


def test_distances_follow_the_jaw_and_the_corners():
    expression = np.zeros((3, 64), np.float32)
    expression[1, EXPRESSION_NAMES.index("jaw_open")] = 1
    found = mouth_distances(procedural_face_model(), expression)
    assert found.shape == (3, len(CHANNELS))
    np.testing.assert_allclose(found[0], found[2])
    inner, outer, _, chin = (found[1] - found[0]).tolist()
    assert min(inner, outer, chin) > 0.02  # decimetres


def test_sound_is_shifted_into_silence():
    x = np.arange(1, 5, dtype=np.float32)
    np.testing.assert_array_equal(shifted(x, 1 / 16000), [0, 1, 2, 3])
    np.testing.assert_array_equal(shifted(x, -2 / 16000), [3, 4, 0, 0])
    np.testing.assert_array_equal(shifted(x, 0.0), x)


def test_scores_of_shifts_are_mean_cosines():
    mouth = np.array([[[1.0, 0.0], [0.0, 1.0]]], np.float32)
    speech = np.array([[[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]], np.float32)
    scores = shift_scores(jnp.asarray(speech), jnp.asarray(mouth))
    np.testing.assert_allclose(scores, [[0, 1, 0.5]])
    # −ln(e^2 / (e^0 + e^2 + e^1)) with a scale of 2.
    loss = shift_loss(scores, jnp.float32(2.0))
    assert float(loss) == pytest.approx(-np.log(np.e**2 / (1 + np.e**2 + np.e)), rel=1e-5)


def test_mel_bands_are_without_the_recordings_level():
    rng = np.random.default_rng(0)
    samples = (0.05 * rng.standard_normal(16000)).astype(np.float32)
    features = rng.uniform(0, 1, (25, 3)).astype(np.float32)
    rows, louder = (speech_rows(features, [x]) for x in (samples, 4 * samples))
    assert rows.shape == (25, 29)
    np.testing.assert_array_equal(rows[:, :3], features)
    np.testing.assert_allclose(rows, louder, atol=1e-3)
    np.testing.assert_allclose(rows[:, 3:].mean(axis=0), 0, atol=1e-4)


def test_a_training_writes_what_is_loaded_and_measured(tmp_path):
    config = MouthSyncTrainingConfig(steps=2, batch=2, frames=8)
    clips = clip_source(random_clip("a0", "a", 80), random_clip("b0", "b", 90, seed=1))
    path = tmp_path / "network.safetensors"
    said = []
    with quickly_compiled():
        train_mouth_sync(
            config, clips, clips, tmp_path, network=path, progress=False, say=said.append
        )
    assert any("validation" in line for line in said)
    model = load_mouth_sync(path)
    assert model.network == MouthSyncNetwork()
    clip = clips[0]
    motion = mouth_motion(mouth_distances(procedural_face_model(), clip.expression), 25.0)
    rows = speech_rows(clip.features, [clip.waveform.astype(np.float32) / 32768])
    assert abs(measure_mouth_sync(model, motion, rows).sound_delay_frames) <= 15
    with pytest.raises(ValueError, match="more than 15"):
        measure_mouth_sync(model, motion[:15], rows[:15])


def test_the_bundled_network_hears_phones_and_mel_bands():
    model = load_mouth_sync()
    assert len(model.mean) == 58 + 26
    assert CONTEXT == 4
