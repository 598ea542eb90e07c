"""One training step of FACIAL-GAN, discriminator and generator (FACIAL, Sec. 3.2)."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from facial_jax.audio.features import context_windows
from facial_jax.models.facial_gan.losses import FacialLosses, FacialObjective, facial_loss
from facial_jax.models.facial_gan.network import FacialDiscriminator, FacialGenerator
from facial_jax.training.layout import keep_gradients_layout


@flax.struct.dataclass
class FacialBatch:
    """Windows of T frames, all attributes standardised."""

    rows: Float[Array | np.ndarray, "*b n f"]
    # speech features: 8 rows before the window's first frame to 7 rows after its last, n = T + 15
    initial_state: Float[Array | np.ndarray, "*b 71"]
    # what the generator is told: the attributes of the frame before the window
    attributes: Float[Array | np.ndarray, "*b T 71"]
    # the truth
    valid: Bool[Array | np.ndarray, "*b T"]
    # False where the window's clip has ended: no loss sees these frames


@flax.struct.dataclass
class FacialTrainState:
    """Everything that a training step changes."""

    step: Any
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
    *,
    generator_variables: Any = None,
    discriminator_variables: Any = None,
) -> FacialTrainState:
    """Networks and optimizers at step 0, for batches of this shape.

    `generator_variables` and `discriminator_variables` are trained networks to go on from, as in
    personalization; those not given begin anew.
    """
    generator_key, discriminator_key, position_key = jax.random.split(key, 3)
    one = jax.tree.map(lambda x: jnp.asarray(x[:1]), batch)
    g, d = generator_variables, discriminator_variables
    if g is None:
        g = jax.jit(generator.init)(generator_key, context_windows(one.rows), one.initial_state)
        g = {**g, "params": see_position(position_key, g["params"])}
    if d is None:
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
    if "temporal" not in params:
        return params
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


def generate_valid(fake: Float[Array, "b T 71"], batch: FacialBatch) -> Float[Array, "b T 71"]:
    """The generated attributes, and the truth where the clip has ended."""
    return jnp.where(jnp.asarray(batch.valid)[..., None], fake, jnp.asarray(batch.attributes))


def facial_train_step(
    state: FacialTrainState,
    batch: FacialBatch,
    *,
    generator: FacialGenerator,
    discriminator: FacialDiscriminator,
    optimizer: optax.GradientTransformation,
    objective: FacialObjective,
    axis_name: str | None = None,
) -> tuple[FacialTrainState, dict[str, Float[Array, ""]]]:
    """One step of arg min_G max_D L_facial (Eqs. 7 and 8).

    Both networks step at once, from where both are: so what the discriminator computes of the
    generated windows serves its own gradient and the generator's.

    Args:
        state: networks and optimizers.
        batch: standardised windows.
        generator: the network to whose variables `state.generator` belongs.
        discriminator: likewise.
        optimizer: for both networks, such as `optax.adam(1e-4)`.
        objective: such as `paper_objective()`.
        axis_name: the mapped axis over which gradients and losses are averaged, if any.

    Returns:
        The next state, and the losses before their weights with the gradients' norms.
    """

    def average(tree):
        return tree if axis_name is None else jax.lax.pmean(tree, axis_name)

    def generate(params):
        variables = {**state.generator, "params": keep_gradients_layout(params)}
        audio = context_windows(jnp.asarray(batch.rows))
        fake, updates = generator.apply(
            variables, audio, jnp.asarray(batch.initial_state), train=True, mutable=["batch_stats"]
        )
        return generate_valid(fake, batch), updates["batch_stats"]

    def judge(params, attributes, batch_stats):
        variables = {"params": keep_gradients_layout(params), "batch_stats": batch_stats}
        logits, updates = discriminator.apply(
            variables, attributes, train=True, mutable=["batch_stats"]
        )
        return logits, updates["batch_stats"]

    g_params, d_params = state.generator["params"], state.discriminator["params"]
    real = jnp.asarray(batch.attributes)
    fake, back_to_generator, g_stats = jax.vjp(generate, g_params, has_aux=True)
    real_logits, back_from_real, d_stats = jax.vjp(
        lambda params: judge(params, real, state.discriminator["batch_stats"]),
        d_params,
        has_aux=True,
    )
    fake_logits, back_from_fake, d_stats = jax.vjp(
        lambda params, fake: judge(params, fake, d_stats), d_params, fake, has_aux=True
    )

    d_loss, (real_gradient, fake_gradient) = jax.value_and_grad(
        objective.discriminator, argnums=(0, 1)
    )(real_logits, fake_logits)
    d_gradients = jax.tree.map(
        jnp.add, back_from_real(real_gradient)[0], back_from_fake(fake_gradient)[0]
    )

    def generator_objective(fake, fake_logits):
        regression = objective.regression(real, fake)
        gan = objective.generator(fake_logits)
        return facial_loss(gan, regression.total, objective.gan_weight), (regression, gan)

    (g_loss, (regression, gan)), (fake_gradient, fake_logits_gradient) = jax.value_and_grad(
        generator_objective, argnums=(0, 1), has_aux=True
    )(fake, fake_logits)
    (g_gradients,) = back_to_generator(fake_gradient + back_from_fake(fake_logits_gradient)[1])

    g_gradients, d_gradients = average((g_gradients, d_gradients))
    g_updates, generator_optimizer = optimizer.update(
        g_gradients, state.generator_optimizer, g_params
    )
    d_updates, discriminator_optimizer = optimizer.update(
        d_gradients, state.discriminator_optimizer, d_params
    )
    metrics = average(
        {
            "expression": regression.expression,
            "pose": regression.pose,
            "eye": regression.eye,
            "initial_state": regression.initial_state,
            "gan": gan,
            "generator": g_loss,
            "discriminator": d_loss,
        }
    )
    metrics["generator_gradient"] = optax.tree.norm(g_gradients)
    metrics["discriminator_gradient"] = optax.tree.norm(d_gradients)
    next_state = FacialTrainState(
        step=state.step + 1,
        generator={"params": optax.apply_updates(g_params, g_updates), "batch_stats": g_stats},
        discriminator={"params": optax.apply_updates(d_params, d_updates), "batch_stats": d_stats},
        generator_optimizer=generator_optimizer,
        discriminator_optimizer=discriminator_optimizer,
    )
    return next_state, metrics


def facial_evaluation_step(
    variables: Any,
    batch: FacialBatch,
    *,
    generator: FacialGenerator,
    objective: FacialObjective,
) -> FacialLosses:
    """L_Reg and its terms on windows as they are, with batch norm's running statistics."""
    audio = context_windows(jnp.asarray(batch.rows))
    fake = generator.apply(variables, audio, jnp.asarray(batch.initial_state), train=False)
    return objective.regression(jnp.asarray(batch.attributes), generate_valid(fake, batch))
