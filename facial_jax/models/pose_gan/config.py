"""How PoseGAN is trained."""

from dataclasses import dataclass, field

from facial_jax.models.pose_gan.losses import PoseWeights
from facial_jax.models.pose_gan.rest_frame import SMOOTHING_FRAMES


@dataclass(frozen=True)
class PoseGanTrainingConfig:
    """How PoseGAN is trained, and for how long. The defaults are the paper's (Sec. 5)."""

    seed: int = 0
    """Of the first weights and of the batches."""
    batch: int = 64
    """Windows of 256 frames, over all devices."""
    stride: int = 5
    """Frames from one window's beginning to the next one's."""
    epochs: float = 150.0
    """How often every window is seen."""
    max_steps: int | None = None
    """Fewer than the epochs have, if given."""
    learning_rate: float = 1e-4
    """Adam's, for the generator."""
    discriminator_learning_rate: float = 1e-4
    """Adam's, for the discriminator."""
    final_learning_rates: float = 1.0
    """The share of both that half a cosine leads to; the paper's stay as they are."""
    weights: PoseWeights = field(default_factory=PoseWeights)
    """Of Eq. 6."""
    smoothing_frames: float = SMOOTHING_FRAMES
    """σ of Eq. 1's filter on the poses."""
    validations: int = 20
    """How often the network is measured on the validation clips, of which the best is kept."""
