"""A whole training of PGFace on clips of noise: stopped, resumed, and the same to the last bit."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.data.clips import clip_entry
from facial_jax.face.procedural import procedural_face_model
from facial_jax.metrics.face_shape import (
    constant_face,
    generated_errors,
    measure_methods,
    pgface_method,
    true_face,
    with_fixed_identity,
)
from facial_jax.models.pgface.batch import clip_frames, cut_runs, run_places
from facial_jax.models.pgface.config import PgFaceTrainingConfig
from facial_jax.models.pgface.generation import FaceShape, generate_face, load_pgface
from facial_jax.models.pgface.network import PgFaceGenerator
from facial_jax.models.pgface.statistics import face_coefficients, pgface_statistics
from facial_jax.models.pgface.task import FILE, PgFaceTask, train_pgface
from facial_jax.training.parallel import data_mesh
from tests.one_device import quickly_compiled
from tests.random_clips import clip_source, random_clip

GENERATOR = PgFaceGenerator(features=(2, 2), hidden_features=(3,))
CONFIG = PgFaceTrainingConfig(batch=4, max_steps=6, learning_rate=1e-2, checkpoint_steps=1)


def noise(name, seed=0, **options):
    options = dict(features=5, frame_identity=True) | options
    return random_clip(name, "a", 40, seed=seed, **options)


def clips():
    return clip_source(noise("a0"), noise("a1", seed=1))


def train(folder, config=CONFIG, data=None, **options):
    data = clips() if data is None else data
    # Bits are compared: GPUs sum in any order.
    cpu = jax.local_devices(backend="cpu")[:1]
    with jax.default_device(cpu[0]), quickly_compiled():
        return train_pgface(
            config,
            GENERATOR,
            procedural_face_model(),
            data,
            clip_source(noise("a2", seed=2)),
            pgface_statistics(data),
            folder,
            devices=cpu,
            progress=False,
            **options,
        )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    said = []
    return train(folder, say=said.append), folder, said


def test_a_run_leaves_a_network_that_generates_and_says_its_error_in_millimetres(whole):
    model, folder, said = whole
    clip = noise("a3", seed=3)
    loaded = load_pgface(folder / FILE)
    got = generate_face(loaded, clip.features, clip.pose)
    expected = generate_face(model, clip.features, clip.pose)
    np.testing.assert_allclose(got.identity, expected.identity, atol=2e-2)
    assert "validation in mm: weighed" in said[-1]


def test_a_stopped_run_ends_with_the_same_bits(whole, tmp_path):
    train(tmp_path, stop_after=3)
    assert not (tmp_path / FILE).exists()
    resumed = train(tmp_path)
    chex.assert_trees_all_equal(resumed.variables, whole[0].variables)


def test_a_finished_run_is_of_its_clips_and_weights(whole):
    _, folder, _ = whole
    weights = dataclasses.replace(CONFIG.weights, lower_face=1.0)
    with pytest.raises(ValueError, match=r"vertex_losses: .* there, .* here"):
        train(folder, dataclasses.replace(CONFIG, weights=weights))
    with pytest.raises(ValueError, match=r"clips: .* there, .* here"):
        train(folder, data=clip_source(noise("a0"), noise("a1", seed=7)))


def test_many_steps_learn_what_follows_from_the_pose():
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(80).astype(np.float32)

    def nodding(seed):
        clip = noise(f"n{seed}", seed=seed)
        identity = clip.identity * 0 + 5 * clip.pose[:, :1] * direction
        return dataclasses.replace(
            clip, frame_identity=identity, expression=np.zeros_like(clip.expression)
        )

    data, test = clip_source(*map(nodding, range(4))), clip_source(nodding(9))
    statistics, model = pgface_statistics(data), procedural_face_model()
    config = dataclasses.replace(CONFIG, max_steps=300, batch=16)
    task = PgFaceTask(config, GENERATOR, model, data, test, statistics)
    step = jax.jit(jax.value_and_grad(lambda v, b: _loss(task, v, b)))
    batches = task.batches(data_mesh(jax.local_devices(backend="cpu")[:1]))
    variables = task.init(jax.random.key(0), batches.row())["generator"]
    optimizer = task.optimizers()["generator"]
    state = optimizer.init(variables)
    for number in range(300):
        _, gradient = step(variables, batches[number].batch)
        with jax.numpy_dtype_promotion("standard"):
            change, state = optimizer.update(gradient, state)
        variables = jax.tree.map(jnp.add, variables, change)
    pgface = task.model({"generator": variables})
    rest = np.zeros((1, 80), np.float32)
    still = constant_face(FaceShape(identity=rest, expression=np.zeros((1, 64), np.float32)))
    generated = pgface_method(pgface)
    methods = {"still": still, "fixed": with_fixed_identity(generated, rest[0])}
    errors = measure_methods(methods, test, model)
    assert generated_errors(pgface, test, model).weighed < 0.3 * errors["still"].weighed
    assert errors["fixed"].weighed > 0.9 * errors["still"].weighed


def _loss(task, variables, batch):
    fixed = jax.tree.map(jnp.asarray, task.fixed)
    return task.losses({"generator": variables}, batch, fixed=fixed).objectives["generator"]


def test_a_face_that_never_changes_is_generated_as_it_is():
    still = noise("s", frame_identity=False)
    statistics = pgface_statistics(clip_source(still))
    np.testing.assert_array_equal(statistics.face.std[:80], 0.0)
    assert (statistics.face.std[80:] > 0).all()
    np.testing.assert_allclose(statistics.face.mean[:80], still.identity, rtol=1e-6)
    moving = pgface_statistics(clip_source(noise("m")), fixed_identity=True)
    np.testing.assert_array_equal(moving.face.std[:80], 0.0)


def test_runs_hold_what_their_clip_holds_and_nothing_is_heard_beyond_its_ends():
    valid = np.ones(40, bool)
    valid[20] = False
    source = clip_source(noise("a"), noise("b", seed=1, valid=valid))
    entries = [clip_entry(source[i]) for i in range(2)]
    places = run_places(entries, [40, 40], 2)
    assert len(places) == 39 + 19 + 18
    assert not {(1, 19), (1, 20)} & {(clip, first) for clip, first, _ in places.tolist()}
    chosen = places[[0, 38, 39, -1]]
    batch = cut_runs(clip_frames(source), chosen[:, 2], 2)
    for i, (clip, first) in enumerate(chosen[:, :2].tolist()):
        own = source[clip]
        padded = np.pad(own.features, ((8, 7), (0, 0)))
        np.testing.assert_array_equal(batch.rows[i], padded[first : first + 17])
        np.testing.assert_array_equal(batch.pose[i], own.pose[first : first + 2])
        np.testing.assert_array_equal(batch.face[i], face_coefficients(own)[first : first + 2])
    with pytest.raises(ValueError, match="expected 50 valid frames"):
        run_places(entries, [40, 40], 50)


def test_the_truth_has_no_error():
    data = clip_source(noise("a"))
    found = measure_methods({"truth": true_face}, data, procedural_face_model())["truth"]
    assert {float(error) for error in vars(found).values()} == {0.0}
