"""How rendering-to-video is trained: settings, and the two presets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import optax

from facial_jax.models.rendering_to_video.losses import AdversarialForm, RenderingToVideoWeights
from facial_jax.models.rendering_to_video.network import (
    SMALL_LOCAL_ENHANCER,
    LocalEnhancer,
    MultiscaleDiscriminator,
)


@dataclass(frozen=True)
class RenderingToVideoTrainingConfig:
    """Everything that the result depends on. The defaults are the demo preset."""

    generator: dict[str, int] = field(default_factory=lambda: dict(SMALL_LOCAL_ENHANCER))
    """Fields of LocalEnhancer; those not given are the published ones."""
    discriminator: dict[str, int] = field(
        default_factory=lambda: {"width": 16, "layers": 3, "scales": 2}
    )
    """Fields of MultiscaleDiscriminator; those not given are the published ones."""
    weights: RenderingToVideoWeights = field(
        default_factory=lambda: RenderingToVideoWeights(perceptual=0.0, gradient=10.0)
    )
    """λ of Eq. 10. Without VGG-19, our gradient term gives pictures that are nearer to the real
    ones, if a little softer, than the perceptual term of a random network."""
    objective: AdversarialForm = "least_squares"
    """The form of the adversarial term: that of the published code, or the paper's log."""
    vgg: Path | None = None
    """torchvision's `vgg19` weights (.pth or .safetensors), for the perceptual term. Without them
    it uses `random_features`, a narrow network of the same layers with fixed random weights."""
    perceptual_halvings: int = 1
    """How many times pictures are halved before the perceptual network sees them; 0 in the
    paper."""
    window_half: int = 1
    """N_w: a frame is made from 2 N_w rendered faces; 5 in the paper."""
    batch_size: int = 4
    """Frames in a batch, over all devices."""
    steps: int | None = 2400
    """Parameter updates; None: as many as the epochs have."""
    epochs: float = 50.0
    """How often every frame is seen, if steps is None."""
    reconstruction_steps: int = 1800
    """Steps at the start that leave the discriminator out; none in the paper."""
    learning_rate: float = 5e-4
    """Learning rate of these steps: warmed up, then along half a cosine to the adversarial one."""
    adversarial_learning_rate: float = 1e-4
    """Learning rate of the other steps, for both networks. With a discriminator that learns faster,
    or for longer, specks come."""
    decay_share: float = 0.5
    """Share of the other steps, at the end, in which it falls linearly to zero."""
    mouth_weight: float = 6.0
    """How much more a pixel at the mouth counts in L1; 0 in the paper."""
    eye_weight: float = 3.0
    """How much more a pixel at the eyes counts; 0 in the paper. Heavier ones turn white."""
    held_probability: float = 0.15
    """How often a window looks like the clip's beginning, and how often like its end; 0 in the
    paper."""
    augmentation: float = 1.0
    """How far pictures are turned, scaled and moved in training, 0 to 1; 0 in the
    paper."""
    held_out_fraction: float = 0.05
    """Share of the clip, at its end, that is not trained on but measured."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Dtype in which the networks compute; bfloat16 is faster on GPUs and TPUs, slower on CPUs.
    Weights, losses and optimizers are float32."""
    remat: bool = False
    """The generator's activations are computed again in the backward pass: more time, and less
    memory, though not on CPUs, where XLA computes them too early."""
    seed: int = 0
    """Seed of the initial weights and of the batches."""


PRESETS = {
    "demo": RenderingToVideoTrainingConfig(),
    "paper": RenderingToVideoTrainingConfig(
        generator={},
        discriminator={},
        weights=RenderingToVideoWeights(),
        perceptual_halvings=0,
        window_half=5,
        batch_size=1,
        steps=None,
        reconstruction_steps=0,
        decay_share=30 / 50,
        mouth_weight=0.0,
        eye_weight=0.0,
        held_probability=0.05,
        augmentation=0.0,
        compute_dtype="bfloat16",
    ),
}
"""For two CPU cores; and as published, with two exceptions: windows sometimes look like the clip's
ends, which occur at synthesis, too; and a running average of the weights is kept."""


def networks(
    config: RenderingToVideoTrainingConfig,
) -> tuple[LocalEnhancer, MultiscaleDiscriminator]:
    """The generator and the discriminator."""
    return LocalEnhancer(**config.generator), MultiscaleDiscriminator(**config.discriminator)


def optimizers(config: RenderingToVideoTrainingConfig, steps: int):
    """Adam for both networks (β₁ = 0.5), the learning rates as functions of the step."""
    first, rate = config.reconstruction_steps, config.adversarial_learning_rate
    rest = max(0, steps - first)
    decay = max(1, round(config.decay_share * rest))
    adversarial = optax.join_schedules(
        [optax.constant_schedule(rate), optax.linear_schedule(rate, 0.0, decay)], [rest - decay]
    )
    schedule = adversarial
    if first:
        reconstruction = optax.warmup_cosine_decay_schedule(
            1e-5, config.learning_rate, 200, max(201, first), rate
        )
        schedule = optax.join_schedules([reconstruction, adversarial], [first])
    return optax.adam(schedule, b1=0.5), optax.adam(adversarial, b1=0.5)
