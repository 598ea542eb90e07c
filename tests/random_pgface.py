"""A PGFace that was never trained, for tests of what uses one."""

import jax
import jax.numpy as jnp

from facial_jax.attributes import POSE_SIZE
from facial_jax.audio.features import WINDOW_ROWS
from facial_jax.models.pgface.generation import PgFace
from facial_jax.models.pgface.network import FACE_SIZE, PgFaceGenerator
from facial_jax.models.pgface.statistics import PgFaceStatistics, Statistics


def random_pgface(seed=0, *, speech_features=29, features=(3, 4), hidden_features=(5,)) -> PgFace:
    """Random weights; standardised by random statistics."""
    generator = PgFaceGenerator(features=features, hidden_features=hidden_features)
    keys = jax.random.split(jax.random.key(seed), 7)
    variables = generator.init(
        keys[0], jnp.zeros((1, WINDOW_ROWS, speech_features)), jnp.zeros((1, POSE_SIZE))
    )
    sizes = {"features": speech_features, "pose": POSE_SIZE, "face": FACE_SIZE}
    statistics = {
        name: Statistics(
            mean=0.1 * jax.random.normal(keys[1 + 2 * i], (n,)),
            std=jax.random.uniform(keys[2 + 2 * i], (n,), minval=0.5, maxval=1.5),
        )
        for i, (name, n) in enumerate(sizes.items())
    }
    return PgFace(
        variables=variables, statistics=PgFaceStatistics(**statistics), generator=generator
    )
