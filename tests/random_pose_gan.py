"""A PoseGAN that was never trained, for tests of what uses one."""

import jax
import jax.numpy as jnp
import numpy as np

from facial_jax.attributes import POSE_SIZE
from facial_jax.models.pose_gan.generation import WINDOW_FRAMES, PoseGan
from facial_jax.models.pose_gan.network import PoseGenerator
from facial_jax.models.pose_gan.rest_frame import PoseStatistics


def random_pose_gan(seed=0, *, speech_features=29) -> PoseGan:
    """Random weights; the head moves by some degrees and millimetres about its rest."""
    generator = PoseGenerator(
        encoder_features=(1, 1, 2, 2), unet_features=(2, 2), fusion_features=(3,)
    )
    shapes = jax.eval_shape(
        generator.init,
        jax.random.key(0),
        jnp.zeros((1, WINDOW_FRAMES, speech_features)),
        jnp.zeros((1, POSE_SIZE)),
    )
    rng = np.random.default_rng(seed)
    # Positive, because some of them are variances.
    variables = jax.tree.map(lambda s: rng.uniform(0.1, 0.5, s.shape).astype(np.float32), shapes)
    return PoseGan(
        variables=variables,
        statistics=PoseStatistics(mean=jnp.full(6, 0.01), std=jnp.full(6, 0.02)),
        rest_pose=np.array([0.1, -0.1, 0.05, 0.2, -0.1, -0.3], np.float32),
        generator=generator,
    )
