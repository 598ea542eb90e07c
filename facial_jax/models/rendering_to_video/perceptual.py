"""The network of the perceptual term: VGG-19, or one of its form with random weights."""

from typing import Any

from facial_jax.interop.pytorch import load_state_dict, vgg19_features
from facial_jax.models.layers.vgg import VggFeatures, random_features
from facial_jax.models.rendering_to_video.config import RenderingToVideoTrainingConfig


def perceptual_network(
    config: RenderingToVideoTrainingConfig,
) -> tuple[VggFeatures | None, Any, str]:
    """The network of the perceptual term, its variables, and what is to be said about it."""
    if not config.weights.perceptual:
        if config.vgg is not None:
            raise ValueError(
                f"vgg: expected a weight of the perceptual term beside {config.vgg}, got "
                "weights.perceptual 0; give it one, such as 10, or no vgg"
            )
        return None, None, "left out: weights.perceptual is 0"
    if config.vgg is None:
        said = "a fixed network of random weights (vgg names no weights of VGG-19)"
        return *random_features(), said
    return *vgg19_features(load_state_dict(config.vgg)), f"VGG-19 of {config.vgg}"
