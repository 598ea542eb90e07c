"""How PGFace is trained: the paper's settings."""

from dataclasses import dataclass, field

from facial_jax.models.pgface.losses import PgFaceWeights


@dataclass(frozen=True)
class PgFaceTrainingConfig:
    """How PGFace is trained, and for how long. The defaults are the paper's."""

    seed: int = 0
    """Of the first weights and of the batches."""
    batch: int = 64
    """Runs of neighbouring frames, over all devices."""
    frames: int = 2
    """Neighbouring frames in a run: the motion term needs two."""
    epochs: float = 100.0
    """How often every run is seen; one begins at each frame."""
    max_steps: int | None = None
    """Fewer than the epochs have, if given."""
    learning_rate: float = 1e-4
    """Adam's."""
    final_learning_rate: float = 1e-4
    """Reached along half a cosine; the paper's stays as it is."""
    weights: PgFaceWeights = field(default_factory=PgFaceWeights)
    """Of the objective."""
    checkpoint_steps: int = 1000
    """Steps between checkpoints."""
