"""Face shapes that PGFace generates: any length, chunks that cannot be seen, and its file."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.audio.features import feature_windows
from facial_jax.models.pgface import generation
from facial_jax.models.pgface.generation import (
    CHUNK_FRAMES,
    face_of,
    generate_face,
    load_pgface,
    save_pgface,
)
from facial_jax.models.pgface.network import PgFaceGenerator
from tests.random_pgface import random_pgface

COUNT = 2 * CHUNK_FRAMES + 40


@pytest.fixture(scope="module")
def model():
    return random_pgface(speech_features=5)


def speech(count=COUNT, features=5):
    rng = np.random.default_rng(0)
    return (
        rng.standard_normal((count, features)).astype(np.float32),
        rng.standard_normal((count, 6)).astype(np.float32),
    )


def packed(face):
    return np.concatenate([face.identity, face.expression], axis=1)


def test_chunks_cannot_be_seen(model):
    features, pose = speech()
    whole = packed(generate_face(model, features, pose))
    rows = np.pad(features, ((8, 7), (0, 0)))[None]
    expected = face_of(model, jnp.asarray(rows), jnp.asarray(pose[None]))[0]
    np.testing.assert_allclose(whole, expected, atol=2e-6)


@pytest.mark.parametrize("count", [1, 3, CHUNK_FRAMES, CHUNK_FRAMES + 1])
def test_speech_of_any_length_has_as_many_faces(model, count):
    face = generate_face(model, *speech(count))
    assert face.identity.shape == (count, 80)
    assert face.expression.shape == (count, 64)


def test_all_lengths_share_one_compilation(model, monkeypatch):
    compiled = []

    def counted(function, **options):
        del options

        def traced(*arguments):
            compiled.append(1)
            return function(*arguments)

        return jax.jit(traced)

    monkeypatch.setattr(generation, "jit", counted)
    generation._generate_chunk.cache_clear()
    for count in (1, 30, CHUNK_FRAMES + 2):
        generate_face(model, *speech(count))
    generation._generate_chunk.cache_clear()
    assert len(compiled) == 1


def test_a_frame_hears_eight_rows_before_it_and_seven_after_and_its_own_pose():
    model = random_pgface(speech_features=5, features=(16, 16))
    features, pose = speech(60)
    plain = packed(generate_face(model, features, pose))
    heard = features.copy()
    heard[30] += 1.0
    changed = np.abs(packed(generate_face(model, heard, pose)) - plain).max(axis=1) > 1e-6
    assert np.flatnonzero(changed).tolist() == list(range(23, 39))
    turned = pose.copy()
    turned[30, 0] += 1.0
    changed = np.abs(packed(generate_face(model, features, turned)) - plain).max(axis=1) > 1e-6
    assert np.flatnonzero(changed).tolist() == [30]


def test_the_network_takes_any_batch_axes():
    generator = PgFaceGenerator(features=(2,), hidden_features=(3,))
    rng = np.random.default_rng(0)
    windows, pose = rng.standard_normal((2, 3, 16, 4)), rng.standard_normal((2, 3, 6))
    windows, pose = jnp.asarray(windows, jnp.float32), jnp.asarray(pose, jnp.float32)
    variables = generator.init(jax.random.key(0), windows[0, 0], pose[0, 0])
    whole = generator.apply(variables, windows, pose)
    assert whole.shape == (2, 3, 144)
    for i, j in np.ndindex(2, 3):
        one = generator.apply(variables, windows[i, j], pose[i, j])
        np.testing.assert_allclose(whole[i, j], one, atol=1e-6)
    single = generator.apply(variables, windows[:1, 0], pose[:1, 0])
    np.testing.assert_allclose(single[0], whole[0, 0], atol=1e-6)


def test_windows_are_those_of_facial_gan(model):
    features, pose = speech(20)
    s = model.statistics
    windows = (feature_windows(features) - s.features.mean[None, None]) / s.features.std[None, None]
    told = (pose - s.pose.mean[None]) / s.pose.std[None]
    face = model.generator.apply(model.variables, windows, told)
    expected = face * s.face.std[None] + s.face.mean[None]
    got = packed(generate_face(model, features, pose))
    # Beyond the speech's ends there is nothing to hear: zeros, which are standardised too.
    np.testing.assert_allclose(got, expected, atol=2e-6)


def test_what_is_saved_comes_back(model, tmp_path):
    path = tmp_path / "pgface.safetensors"
    features, pose = speech(20)
    expected = packed(generate_face(model, features, pose))
    save_pgface(path, model, half_precision=False)
    loaded = load_pgface(path)
    assert loaded.generator == model.generator
    assert loaded.speech_features == 5
    np.testing.assert_array_equal(packed(generate_face(loaded, features, pose)), expected)
    save_pgface(path, model)
    half = load_pgface(path)
    np.testing.assert_allclose(packed(generate_face(half, features, pose)), expected, atol=5e-3)
    assert not np.array_equal(packed(generate_face(half, features, pose)), expected)


def test_other_files_are_refused(model, tmp_path):
    path = tmp_path / "pgface.safetensors"
    with pytest.raises(FileNotFoundError, match="No weights file"):
        load_pgface(path)
    statistics = dataclasses.replace(model.statistics, pose=model.statistics.features)
    save_pgface(path, model.replace(statistics=statistics))
    with pytest.raises(ValueError, match="pose"):
        load_pgface(path)
    generation.save_variables(path, dict(model.variables), {"features": [3, 4]})
    with pytest.raises(ValueError, match="no statistics of PGFace"):
        load_pgface(path)
    save_pgface(path, model.replace(generator=PgFaceGenerator(features=(3, 5))))
    with pytest.raises(ValueError, match="does not fit the network"):
        load_pgface(path)


@pytest.mark.parametrize(
    ("features", "pose", "message"),
    [
        (np.zeros((0, 5)), np.zeros((0, 6)), "at least one frame"),
        (np.zeros((4, 3)), np.zeros((4, 6)), "trained with 5 speech features a frame, got 3"),
        (np.zeros((4, 5)), np.zeros((3, 6)), r"for each of 4 frames, got shape \(3, 6\)"),
    ],
)
def test_wrong_inputs_are_named(model, features, pose, message):
    with pytest.raises(ValueError, match=message):
        generate_face(model, features.astype(np.float32), pose.astype(np.float32))
