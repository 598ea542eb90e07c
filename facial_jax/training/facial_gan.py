"""One training step of FACIAL-GAN: the discriminator, then the generator (FACIAL, Sec. 3.2)."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from facial_jax.generation import context_windows
from facial_jax.losses.facial_gan import (
    FacialWeights,
    facial_loss,
    log_gan_loss,
    log_generator_loss,
    regression_loss,
)
from facial_jax.networks.facial_gan import FacialDiscriminator, FacialGenerator


@flax.struct.dataclass
class FacialBatch:
    """Windows of T frames, all attributes standardised."""

    rows: Float[Array | np.ndarray, "*b n f"]
    # speech features: 8 rows before the window's first frame to 7 rows after its last, n = T + 15
    initial_state: Float[Array | np.ndarray, "*b 71"]
    # what the generator is told: the attributes of the frame before the window
    attributes: Float[Array | np.ndarray, "*b T 71"]
    # the truth


@flax.struct.dataclass
class FacialTrainState:
    """Everything that a training step changes."""

    step: Int[Array, "*b"]
    generator: Any
    # params and batch_stats
    discriminator: Any
    # params and batch_stats
    generator_optimizer: Any
    discriminator_optimizer: Any


def init_facial_train_state(
    key: PRNGKeyArray,
    batch: FacialBatch,
    generator: FacialGenerator,
    discriminator: FacialDiscriminator,
    optimizer: optax.GradientTransformation,
) -> FacialTrainState:
    """Networks and optimizers at step 0, for batches of this shape."""
    generator_key, discriminator_key, position_key = jax.random.split(key, 3)
    one = jax.tree.map(lambda x: jnp.asarray(x[:1]), batch)
    audio = context_windows(one.rows)
    g = jax.jit(generator.init)(generator_key, audio, one.initial_state)
    g = {**g, "params": see_position(position_key, g["params"])}
    d = jax.jit(discriminator.init)(discriminator_key, one.attributes)
    return FacialTrainState(
        step=jnp.zeros((), jnp.int32),
        generator=g,
        discriminator=d,
        generator_optimizer=optimizer.init(g["params"]),
        discriminator_optimizer=optimizer.init(d["params"]),
    )


def see_position(key: PRNGKeyArray, params: dict) -> dict:
    """Initial parameters with which the temporal branch can tell where in the window a frame is.

    A head that moves in silence has to: there the speech features say nothing. Only the zeros that
    pad its convolutions can tell it, and beside activations with a mean of zero they cannot be seen
    (training stood still for hundreds of steps). So batch norm's biases begin as normal noise.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(params["temporal"])
    keys = jax.random.split(key, len(leaves))
    noisy = [
        jax.random.normal(k, x.shape, x.dtype) if _is_norm_bias(path) else x
        for k, (path, x) in zip(keys, leaves, strict=True)
    ]
    return {**params, "temporal": jax.tree.unflatten(tree, noisy)}


def _is_norm_bias(path) -> bool:
    module, name = path[-2].key, path[-1].key
    return "norm" in module and name == "bias"


def facial_train_step(
    state: FacialTrainState,
    batch: FacialBatch,
    *,
    generator: FacialGenerator,
    discriminator: FacialDiscriminator,
    optimizer: optax.GradientTransformation,
    weights: FacialWeights | None = None,
    gan_loss: Callable = log_gan_loss,
    generator_loss: Callable = log_generator_loss,
    axis_name: str | None = None,
) -> tuple[FacialTrainState, dict[str, Float[Array, ""]]]:
    """One step of arg min_G max_D L_facial (Eqs. 7 and 8).

    Args:
        state: networks and optimizers.
        batch: standardised windows.
        generator: the network to whose variables `state.generator` belongs.
        discriminator: likewise.
        optimizer: for both networks, such as `optax.adam(1e-4)`.
        weights: ω₁ … ω₆; the paper's if None.
        gan_loss: the discriminator's objective of (real, fake) logits.
        generator_loss: the generator's part of it, of the fake logits.
        axis_name: the mapped axis over which gradients and losses are averaged, if any.

    Returns:
        The next state, and the losses before their weights.
    """

    def average(tree):
        return tree if axis_name is None else jax.lax.pmean(tree, axis_name)

    def generate(params):
        variables = {**state.generator, "params": params}
        audio = context_windows(jnp.asarray(batch.rows))
        fake, updates = generator.apply(
            variables, audio, batch.initial_state, train=True, mutable=["batch_stats"]
        )
        return fake, updates["batch_stats"]

    def judge(params, batch_stats, attributes):
        variables = {"params": params, "batch_stats": batch_stats}
        logits, updates = discriminator.apply(
            variables, attributes, train=True, mutable=["batch_stats"]
        )
        return logits, updates["batch_stats"]

    fake, pull_back, generator_stats = jax.vjp(generate, state.generator["params"], has_aux=True)

    def discriminator_objective(params):
        real_logits, stats = judge(params, state.discriminator["batch_stats"], batch.attributes)
        fake_logits, stats = judge(params, stats, fake)
        return gan_loss(real_logits, fake_logits), stats

    d_params = state.discriminator["params"]
    (d_loss, discriminator_stats), d_grads = jax.value_and_grad(
        discriminator_objective, has_aux=True
    )(d_params)
    d_updates, discriminator_optimizer = optimizer.update(
        average(d_grads), state.discriminator_optimizer, d_params
    )
    d_params = optax.apply_updates(d_params, d_updates)

    def generator_objective(fake):
        regression = regression_loss(batch.attributes, fake, weights)
        fake_logits, _ = judge(d_params, discriminator_stats, fake)
        gan = generator_loss(fake_logits)
        return facial_loss(gan, regression.total, weights), (regression, gan)

    (g_loss, (regression, gan)), fake_gradient = jax.value_and_grad(
        generator_objective, has_aux=True
    )(fake)
    (g_grads,) = pull_back(fake_gradient)
    g_params = state.generator["params"]
    g_updates, generator_optimizer = optimizer.update(
        average(g_grads), state.generator_optimizer, g_params
    )
    g_params = optax.apply_updates(g_params, g_updates)

    metrics = {
        "expression": regression.expression,
        "pose": regression.pose,
        "eye": regression.eye,
        "initial_state": regression.initial_state,
        "gan": gan,
        "generator": g_loss,
        "discriminator": d_loss,
    }
    next_state = FacialTrainState(
        step=state.step + 1,
        generator={"params": g_params, "batch_stats": generator_stats},
        discriminator={"params": d_params, "batch_stats": discriminator_stats},
        generator_optimizer=generator_optimizer,
        discriminator_optimizer=discriminator_optimizer,
    )
    return next_state, average(metrics)
