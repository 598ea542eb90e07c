"""One training step of the rendering-to-video networks (FACIAL, Sec. 3.4, Eq. 10)."""

from typing import Any, Literal

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from facial_jax.models.rendering_to_video.losses import (
    RenderingToVideoWeights,
    feature_matching_loss,
    gradient_loss,
    halve,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    log_discriminator_loss,
    log_generator_loss,
    perceptual_loss,
    weighted_l1_loss,
)
from facial_jax.training.layout import keep_gradients_layout

Objective = Literal["least_squares", "log"]
_ADVERSARIAL = {
    "least_squares": (least_squares_discriminator_loss, least_squares_generator_loss),
    "log": (log_discriminator_loss, log_generator_loss),
}


@flax.struct.dataclass
class VideoBatch:
    """Frames and what they are to be made from."""

    condition: UInt8[Array | np.ndarray, "b h w k"]
    # windows of rendered faces and eye attention maps, [0, 1] as 0 to 255
    frame: UInt8[Array | np.ndarray, "b h w 3"]
    # the real frame, RGB
    weight: Float[Array | np.ndarray, "b h w 1"]
    # how much a pixel counts in the L1 and the gradient term


@flax.struct.dataclass
class VideoTrainState:
    """Everything that a training step reads and changes."""

    step: Any
    generator: Any
    # its params
    average: Any
    # running average of `generator`, the one to use
    generator_optimizer: Any
    discriminator: Any
    # its params
    discriminator_optimizer: Any
    perceptual: Any
    # variables of the perceptual network, which no step changes; empty where there is none


def init_video_train_state(
    key: PRNGKeyArray,
    batch: VideoBatch,
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation,
    perceptual_variables: Any = None,
) -> VideoTrainState:
    """Networks and optimizers at step 0, for batches of this shape.

    `perceptual_variables`: of the network of the perceptual term, if that is used.
    """
    generator_key, discriminator_key = jax.random.split(key)
    condition, frame = jax.tree.map(jnp.asarray, (batch.condition[:1], batch.frame[:1]))
    pair = jnp.concatenate([condition, frame], axis=-1).astype(jnp.float32)
    g = jax.jit(generator.init)(generator_key, condition.astype(jnp.float32))["params"]
    d = jax.jit(discriminator.init)(discriminator_key, pair)["params"]
    return VideoTrainState(
        step=jnp.zeros((), jnp.int32),
        generator=g,
        average=jax.tree.map(jnp.copy, g),
        generator_optimizer=optimizer.init(g),
        discriminator=d,
        discriminator_optimizer=discriminator_optimizer.init(d),
        perceptual=perceptual_variables or {},
    )


def from_uint8(batch: VideoBatch) -> tuple[Float[Array, "b h w k"], Float[Array, "b h w 3"]]:
    """The condition in [0, 1], as at synthesis, and the frame in [−1, 1], as generated."""
    condition = jnp.asarray(batch.condition).astype(jnp.float32) / 255.0
    frame = jnp.asarray(batch.frame).astype(jnp.float32) / 127.5 - 1.0
    return condition, frame


def video_train_step(
    state: VideoTrainState,
    batch: VideoBatch,
    *,
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation,
    weights: RenderingToVideoWeights,
    perceptual: nn.Module | None,
    perceptual_halvings: int = 0,
    objective: Objective = "least_squares",
    adversarial: bool = True,
    average_decay: float = 0.999,
    compute_dtype: Any = jnp.float32,
    axis_name: str | None = None,
) -> tuple[VideoTrainState, dict[str, Float[Array, ""]]]:
    """One step of Eq. 10: the generator, then the discriminator on the same made frames.

    Args:
        state: networks and optimizers.
        batch: windows and real frames.
        generator: the network to whose params `state.generator` belongs.
        discriminator: likewise; sees the condition and a frame side by side.
        optimizer: the generator's, such as `optax.adam(1e-4, b1=0.5)`.
        discriminator_optimizer: likewise.
        weights: λ. A term whose weight is 0 is not computed.
        perceptual: the network of the perceptual term, such as `VggFeatures`, to which
            `state.perceptual` belongs; None leaves the term out.
        perceptual_halvings: how many times its pictures are halved before it sees them.
        objective: the form of the adversarial term.
        adversarial: False leaves the discriminator out, and with it more than half of the work.
        average_decay: of the running average of the generator's params.
        compute_dtype: in which the networks compute; params, losses and optimizers are float32.
        axis_name: the mapped axis over which gradients and losses are averaged, if any.

    Returns:
        The next state, and the losses before their weights.
    """

    def mean_over_devices(tree):
        return tree if axis_name is None else jax.lax.pmean(tree, axis_name)

    condition, frame = from_uint8(batch)
    weight = jnp.asarray(batch.weight)

    discriminator_loss, generator_loss = _ADVERSARIAL[objective]

    def in_dtype(tree, dtype=compute_dtype):
        return jax.tree.map(lambda x: x.astype(dtype), tree)

    def generate(params):
        params = keep_gradients_layout(in_dtype(params))
        fake = generator.apply({"params": params}, in_dtype(condition))
        return fake.astype(jnp.float32)

    def judge(params, image):
        params = keep_gradients_layout(in_dtype(params))
        pair = in_dtype(jnp.concatenate([condition, image], axis=-1))
        return in_dtype(discriminator.apply({"params": params}, pair), jnp.float32)

    def perceive(image):
        for _ in range(perceptual_halvings):
            image = halve(image)
        maps = perceptual.apply(in_dtype(state.perceptual), in_dtype(image))
        return in_dtype(maps, jnp.float32)

    def weighted(losses):
        return sum(getattr(weights, name) * loss for name, loss in losses.items()), losses

    def picture_objective(fake):
        losses = {"l1": weighted_l1_loss(frame, fake, weight)}
        if perceptual is not None and weights.perceptual:
            losses["perceptual"] = perceptual_loss(perceive(frame), perceive(fake))
        if weights.gradient:
            losses["gradient"] = gradient_loss(frame, fake, weight)
        return weighted(losses)

    # What the discriminator computes of a frame serves its own gradient and the generator's.
    fake, back_to_generator = jax.vjp(generate, state.generator)
    (_, losses), by_fake = jax.value_and_grad(picture_objective, has_aux=True)(fake)
    if adversarial:
        truth, back_from_truth = jax.vjp(lambda params: judge(params, frame), state.discriminator)
        judged, back_from_judged = jax.vjp(judge, state.discriminator, fake)

        def adversarial_objective(judged):
            return weighted(
                {
                    "gan": generator_loss(judged),
                    "feature_matching": feature_matching_loss(truth, judged),
                }
            )

        (_, adversarial_losses), by_judged = jax.value_and_grad(
            adversarial_objective, has_aux=True
        )(judged)
        losses |= adversarial_losses
        by_fake += back_from_judged(by_judged)[1]
    (gradients,) = back_to_generator(by_fake)
    updates, generator_optimizer = optimizer.update(
        mean_over_devices(gradients), state.generator_optimizer, state.generator
    )
    params = optax.apply_updates(state.generator, updates)
    # The average follows quickly at first: a long memory of random weights helps nobody.
    step = state.step.astype(jnp.float32)
    decay = jnp.minimum(average_decay, (1 + step) / (10 + step))
    average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, state.average, params)
    state = state.replace(
        step=state.step + 1,
        generator=params,
        average=average,
        generator_optimizer=generator_optimizer,
    )
    if not adversarial:
        return state, mean_over_devices(losses)

    losses["discriminator"], (by_truth, by_judged) = jax.value_and_grad(
        discriminator_loss, argnums=(0, 1)
    )(truth, judged)
    gradients = jax.tree.map(jnp.add, back_from_truth(by_truth)[0], back_from_judged(by_judged)[0])
    updates, d_optimizer = discriminator_optimizer.update(
        mean_over_devices(gradients), state.discriminator_optimizer, state.discriminator
    )
    state = state.replace(
        discriminator=optax.apply_updates(state.discriminator, updates),
        discriminator_optimizer=d_optimizer,
    )
    return state, mean_over_devices(losses)


def window_indices(
    frames: Int[np.ndarray, "*b"],
    first: int | Int[np.ndarray, "*b"],
    end: int | Int[np.ndarray, "*b"],
    half: int,
    held: Int[np.ndarray, "*b"] | None = None,
) -> Int[np.ndarray, "*b n"]:
    """Which pictures belong to a frame's window: t − half … t + half − 1, within the clip.

    Before the clip's first frame, `first`, that one is repeated, and from `end` on the one before
    `end`.  `held`: −1 treats the frame as if it were the clip's first, +1 as its last, 0 as it is;
    in training it shows the network what clips begin and end like.
    """
    frames = np.asarray(frames)
    held = np.zeros_like(frames) if held is None else np.asarray(held)
    index = frames[..., None] + np.arange(-half, half)
    low = np.where(held < 0, frames, first)[..., None]
    high = np.where(held > 0, frames, np.asarray(end) - 1)[..., None]
    return np.clip(index, low, high)
