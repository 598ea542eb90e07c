"""How PoseGAN is trained."""

from dataclasses import dataclass, field

from facial_jax.models.pose_gan.losses import PoseWeights
from facial_jax.models.pose_gan.rest_frame import SMOOTHING_FRAMES


@dataclass(frozen=True)
class PoseGanTrainingConfig:
    """How PoseGAN is trained, and for how long. The defaults are the paper's (Sec. 5)."""

    seed: int = 0
    """Seed of the initial weights and of the batches."""
    batch: int = 64
    """Windows of 256 frames in a batch, over all devices."""
    stride: int = 5
    """Frames from one window's beginning to the next one's."""
    epochs: float = 150.0
    """How often every window is seen."""
    max_steps: int | None = None
    """The training ends after this many steps, if the epochs have more."""
    learning_rate: float = 1e-4
    """Learning rate of Adam, for the generator."""
    discriminator_learning_rate: float = 1e-4
    """Learning rate of Adam, for the discriminator."""
    final_learning_rates: float = 1.0
    """Last value of both learning rates as a share of the first, reached along half a cosine; they
    are constant in the paper."""
    weights: PoseWeights = field(default_factory=PoseWeights)
    """Weights of Eq. 6."""
    smoothing_frames: float = SMOOTHING_FRAMES
    """σ of Eq. 1's filter on the poses."""
    validations: int = 20
    """How often the network is measured on the validation clips; the best one is kept."""
