"""How PGFace is trained: the paper's settings."""

from dataclasses import dataclass, field

from facial_jax.models.pgface.losses import PgFaceWeights


@dataclass(frozen=True)
class PgFaceTrainingConfig:
    """How PGFace is trained, and for how long. The defaults are the paper's."""

    seed: int = 0
    """Seed of the initial weights and of the batches."""
    batch: int = 64
    """Runs of neighbouring frames in a batch, over all devices."""
    frames: int = 2
    """Neighbouring frames in a run: the motion term needs two."""
    epochs: float = 100.0
    """How often every run is seen; one begins at each frame."""
    max_steps: int | None = None
    """The training ends after this many steps, if the epochs have more."""
    learning_rate: float = 1e-4
    """Learning rate of Adam."""
    final_learning_rate: float = 1e-4
    """The last learning rate, reached along half a cosine; it is constant in the paper."""
    weights: PgFaceWeights = field(default_factory=PgFaceWeights)
    """Weights of the objective."""
    checkpoint_steps: int = 1000
    """Steps between checkpoints."""
