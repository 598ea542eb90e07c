"""How well FACIAL-GAN does on clips that it is not trained on, while it is trained."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from facial_jax.attributes import AttributeStatistics, pack_attributes
from facial_jax.audio.features import context_windows
from facial_jax.compilation import jit
from facial_jax.data.clips import ClipSource
from facial_jax.data.windows import evaluation_windows
from facial_jax.models.facial_gan.batch import FacialBatch, facial_batch
from facial_jax.models.facial_gan.curves import draw_curves
from facial_jax.models.facial_gan.generation import FacialGan, generate_attributes
from facial_jax.models.facial_gan.losses import FacialLosses, FacialObjective
from facial_jax.models.facial_gan.network import FacialGenerator

EVALUATION_BATCH = 16


def generate_valid(fake: Float[Array, "b T 71"], batch: FacialBatch) -> Float[Array, "b T 71"]:
    """The generated attributes, and the truth after the clip's end."""
    return jnp.where(jnp.asarray(batch.valid)[..., None], fake, jnp.asarray(batch.attributes))


def regression_losses(
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


def make_evaluation(
    generator: FacialGenerator,
    objective: FacialObjective,
    clips: ClipSource,
    statistics: Mapping[str, AttributeStatistics],
) -> Callable[[Any], dict[str, float]]:
    """A function of the generator's variables: the mean losses over all windows of the clips."""

    @jit
    def losses_of(variables, batch):
        return regression_losses(variables, batch, generator=generator, objective=objective)

    @functools.cache
    def batches() -> list[FacialBatch]:
        windows = evaluation_windows(clips, batch=EVALUATION_BATCH, statistics=statistics)
        return [facial_batch(batch) for batch in windows]

    def evaluate(variables: Any) -> dict[str, float]:
        sizes = [len(batch.rows) for batch in batches()]
        # All are begun before the first is waited for.
        losses = jax.device_get([losses_of(variables, batch) for batch in batches()])
        return {
            loss.name: sum(
                size * float(getattr(one, loss.name))
                for size, one in zip(sizes, losses, strict=True)
            )
            / sum(sizes)
            for loss in dataclasses.fields(losses[0])
        }

    return evaluate


def draw_clip(
    generator: FacialGenerator,
    variables: Any,
    clips: ClipSource,
    number: int,
    statistics: Mapping[str, AttributeStatistics],
):
    """A figure of one clip's curves and what is generated for its speech."""
    clip = clips[number]
    model = FacialGan(
        variables=variables,
        statistics=statistics[clip.subject],
        initial_state=np.asarray(pack_attributes(clip.attributes))[0],
        generator=generator,
    )
    fake = generate_attributes(model, clip.features)
    return draw_curves(fake, clip.attributes, fps=float(clip.frame_rate))
