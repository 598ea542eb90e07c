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
from tests.one_device import quickly_compiled
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


@pytest.mark.parametrize("frames", [32, 64, 256])
def test_shapes_of_both_networks(frames):
    def both(rows, initial):
        poses, _ = PoseGenerator().init_with_output(jax.random.key(0), rows, initial)
        return poses, PoseDiscriminator().init_with_output(jax.random.key(0), poses, rows, initial)[
            0
        ]

    shapes = (
        jax.ShapeDtypeStruct((3, frames, 5), jnp.float32),
        jax.ShapeDtypeStruct((3, 6), jnp.float32),
    )
    poses, logits = jax.eval_shape(both, *shapes)
    assert poses.shape == (3, frames, 6)
    assert logits.shape == (3, frames // 4)
    assert poses.dtype == logits.dtype == jnp.float32


def test_the_initial_pose_moves_first_and_last_poses_and_the_ablation_ignores_it():
    rows = jnp.ones((1, 32, 5))

    def change(generator):
        variables = generator.begin(jax.random.key(0), rows, jnp.zeros((1, 6)))
        apply = jax.jit(generator.apply)
        a, b = (apply(variables, rows, jnp.full((1, 6), x)) for x in (0.0, 1.0))
        return np.abs(np.asarray(a - b))[0].max(axis=1)

    assert (change(GENERATOR) > 1e-4).all()
    assert (change(GENERATOR.clone(with_initial_pose=False)) == 0).all()


def test_the_discriminator_hears_the_speech_and_sees_the_motion():
    key, rows, poses = jax.random.key(0), jnp.ones((1, 32, 5)), jnp.zeros((1, 32, 6))
    initial = jnp.zeros((1, 6))
    variables = jax.jit(DISCRIMINATOR.init)(key, poses, rows, initial)
    apply = jax.jit(DISCRIMINATOR.apply)

    def judge(poses, rows):
        return np.asarray(apply(variables, poses, rows, initial))

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


def test_the_best_generator_is_kept_also_by_a_training_that_goes_on(tmp_path):
    row = PoseBatch(
        rows=jnp.zeros((1, 256, 5)),
        initial_pose=jnp.zeros((1, 6)),
        poses=jnp.zeros((1, 256, 6)),
        valid=jnp.ones((1, 256), bool),
    )
    task = make_task(tmp_path)
    variables = task.init(jax.random.key(0), row)
    for step, regression in enumerate([3.0, 1.0, 2.0]):
        if step == 2:
            task = make_task(tmp_path)  # started again
        task._evaluate = lambda _, found=regression: {"regression": found}
        marked = jax.tree.map(lambda x, step=step: jnp.full_like(x, step + 1.0), variables)
        report = task.validate(marked, step)
        assert f"regression {regression:g}" in report.lines[0]
    task.export(variables, tmp_path)
    loaded = load_pose_gan(tmp_path / "pose_gan.safetensors")
    assert all((np.asarray(x) == 2).all() for x in jax.tree.leaves(loaded.variables))
    assert "<svg" in (tmp_path / "curves.html").read_text()


def test_a_run_leaves_a_network_that_knows_its_speech(tmp_path):
    config = dataclasses.replace(CONFIG, weights=PoseWeights(gan=0.1))
    cpu = jax.local_devices(backend="cpu")[:1]
    with jax.default_device(cpu[0]), quickly_compiled():
        model = train_pose_gan(
            config,
            GENERATOR,
            DISCRIMINATOR,
            clips(),
            clips(),
            tmp_path,
            devices=cpu,
            progress=False,
        )
    assert model.speech_features == 5
    assert load_variables(tmp_path / "best.safetensors")[1]["step"] in (2, 4)
    fresh = GENERATOR.begin(jax.random.key(0), jnp.zeros((1, 256, 5)), jnp.zeros((1, 6)))
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), dict(model.variables), fresh)
    assert min(jax.tree.leaves(moved["params"])) > 0


def test_without_the_adversarial_term_there_is_no_discriminator(tmp_path):
    assert set(make_task(tmp_path, gan=0.0).optimizers()) == {"generator"}
    assert set(make_task(tmp_path).optimizers()) == {"generator", "discriminator"}
