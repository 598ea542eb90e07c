"""PoseGAN's losses by hand, and whole trainings on clips of noise."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.models.layers.parameters import load_variables
from facial_jax.models.pose_gan.batch import PoseBatch
from facial_jax.models.pose_gan.config import PoseGanTrainingConfig
from facial_jax.models.pose_gan.generation import load_pose_gan
from facial_jax.models.pose_gan.losses import PoseWeights, motion_loss, pose_loss, regression_losses
from facial_jax.models.pose_gan.network import PoseDiscriminator, PoseGenerator
from facial_jax.models.pose_gan.task import PoseGanTask, train_pose_gan
from facial_jax.training.parallel import data_mesh
from tests.random_clips import clip_source, random_clip

GENERATOR = PoseGenerator(encoder_features=(1, 1, 2, 2), unet_features=(2, 2), fusion_features=(3,))
DISCRIMINATOR = PoseDiscriminator(features=(2, 3), speech_features=2)
CONFIG = PoseGanTrainingConfig(
    batch=2, stride=16, epochs=100.0, max_steps=4, learning_rate=1e-2, validations=2
)


def clips():
    return clip_source(
        random_clip("a0", "a", 280, features=5), random_clip("b0", "b", 290, seed=1, features=5)
    )


def make_task(folder, **weights):
    config = dataclasses.replace(CONFIG, weights=PoseWeights(**weights))
    return PoseGanTask(config, GENERATOR, DISCRIMINATOR, clips(), clips(), folder)


def make_batch(task):
    (step_batch,) = task.batches(jax.sharding.Mesh(jax.local_devices()[:1], ("data",))).between(
        0, 1
    )
    return step_batch.batch


def test_losses_by_hand():
    real = jnp.array([[[1.0] * 6, [2.0] * 6]])
    fake = jnp.array([[[1.0] * 6, [4.0] * 6]])
    initial = jnp.zeros((1, 6))
    assert float(pose_loss(real, fake)) == pytest.approx(2.0)  # (0 + 4) / 2
    # The changes are 1, 1 and 1, 3.
    assert float(motion_loss(real, fake, initial)) == pytest.approx(2.0)
    # From another initial pose both first changes are others: their difference is not.
    assert float(motion_loss(real, fake, initial + 5)) == pytest.approx(2.0)
    found = regression_losses(real, fake, initial, PoseWeights(pose=1.0, motion=10.0))
    assert float(found.regression) == pytest.approx(22.0)


def test_a_window_that_starts_elsewhere_costs_motion():
    real, initial = jnp.zeros((1, 4, 6)), jnp.zeros((1, 6))
    assert float(motion_loss(real, real + 2.0, initial)) == pytest.approx(1.0)  # 2² in one of four


@pytest.mark.parametrize("frames", [32, 64])
def test_shapes_of_both_networks(frames):
    rows, initial = jnp.ones((3, frames, 5)), jnp.zeros((3, 6))
    poses, _ = GENERATOR.init_with_output(jax.random.key(0), rows, initial)
    assert poses.shape == (3, frames, 6)
    logits, _ = DISCRIMINATOR.init_with_output(jax.random.key(0), poses, rows, initial)
    assert logits.shape == (3, frames // 2)


def test_the_initial_pose_moves_first_and_last_poses_and_the_ablation_ignores_it():
    rows = jnp.ones((1, 32, 5))

    def change(generator):
        variables = generator.begin(jax.random.key(0), rows, jnp.zeros((1, 6)))
        a, b = (generator.apply(variables, rows, jnp.full((1, 6), x)) for x in (0.0, 1.0))
        return np.abs(np.asarray(a - b))[0].max(axis=1)

    assert (change(GENERATOR) > 1e-4).all()
    assert (change(GENERATOR.clone(with_initial_pose=False)) == 0).all()


def test_the_discriminator_hears_the_speech_and_sees_the_motion():
    key, rows, poses = jax.random.key(0), jnp.ones((1, 32, 5)), jnp.zeros((1, 32, 6))
    initial = jnp.zeros((1, 6))
    variables = DISCRIMINATOR.init(key, poses, rows, initial)

    def judge(poses, rows):
        return np.asarray(DISCRIMINATOR.apply(variables, poses, rows, initial))

    shaken = poses.at[:, ::2].set(0.01)
    assert np.abs(judge(poses, rows) - judge(poses, -rows)).max() > 1e-4
    assert np.abs(judge(poses, rows) - judge(shaken, rows)).max() > 1e-4


def test_gradients_of_both_objectives_are_finite_and_reach_every_layer(tmp_path):
    task = make_task(tmp_path, gan=0.1)
    batch = make_batch(task)
    row = jax.tree.map(lambda x: x[:1], batch)
    variables = task.init(jax.random.key(0), row)
    mesh = data_mesh(jax.local_devices()[:1])
    spec = jax.sharding.PartitionSpec()

    @jax.jit
    def gradients(variables, batch):
        def objective(name):
            def of(params):
                changed = {**variables, name: {**variables[name], "params": params}}
                return task.losses(changed, batch).objectives[name]

            return jax.grad(of)(variables[name]["params"])

        whole = lambda v: {name: objective(name) for name in v}  # noqa: E731
        return jax.shard_map(whole, mesh=mesh, in_specs=(spec,), out_specs=spec, check_vma=False)(
            variables
        )

    found = gradients(variables, batch)
    for name in ("generator", "discriminator"):
        for path, leaf in jax.tree_util.tree_leaves_with_path(found[name]):
            assert np.isfinite(leaf).all(), path
    biggest = [float(np.abs(x).max()) for x in jax.tree.leaves(found["discriminator"])]
    assert min(biggest) > 0


def test_padded_frames_cost_nothing(tmp_path):
    task = make_task(tmp_path, gan=0.0)
    short = clip_source(random_clip("a", "a", 100, features=5))
    task = PoseGanTask(task.config, GENERATOR, DISCRIMINATOR, short, short, tmp_path)
    batch = make_batch(task)
    assert isinstance(batch, PoseBatch)
    assert np.asarray(batch.valid).sum(axis=1).max() == 99
    numbers = task._evaluate(
        task.init(jax.random.key(0), jax.tree.map(lambda x: x[:1], batch))["generator"]
    )
    assert np.isfinite(numbers["regression"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return train(folder), folder


def train(folder, stop_after=None, **weights):
    config = dataclasses.replace(CONFIG, weights=PoseWeights(**{"gan": 0.1} | weights))
    cpu = jax.local_devices(backend="cpu")[:1]
    validation = clip_source(random_clip("a1", "a", 270, seed=2, features=5))
    with jax.default_device(cpu[0]):
        return train_pose_gan(
            config,
            GENERATOR,
            DISCRIMINATOR,
            clips(),
            validation,
            folder,
            devices=cpu,
            stop_after=stop_after,
            progress=False,
        )


def test_a_run_keeps_the_generator_that_did_best(whole):
    model, folder = whole
    assert {path.name for path in folder.iterdir()} >= {"pose_gan.safetensors", "curves.html"}
    best, found = load_variables(folder / "best.safetensors")
    assert found["step"] in (2, 4)
    loaded = load_pose_gan(folder / "pose_gan.safetensors")
    for a, b in zip(jax.tree.leaves(best), jax.tree.leaves(loaded.variables), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
    assert model.speech_features == 5


def test_a_stopped_run_ends_with_the_same_network(whole, tmp_path):
    assert train(tmp_path, stop_after=3) is None
    resumed = train(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, resumed.variables, whole[0].variables)


def test_without_the_adversarial_term_there_is_no_discriminator(tmp_path):
    assert set(make_task(tmp_path, gan=0.0).optimizers()) == {"generator"}
    with pytest.raises(ValueError, match=r"weights\.gan"):
        train(make_other(tmp_path))


def make_other(folder):
    train(folder, stop_after=2, gan=0.2)
    return folder
