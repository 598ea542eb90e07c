"""How FACIAL-GAN is trained: the paper's settings, and those of one person's fine-tuning."""

from dataclasses import dataclass, field
from typing import Literal

from facial_jax.data.windows import Perturbation
from facial_jax.models.facial_gan.lips import LipPlaces
from facial_jax.models.facial_gan.losses import (
    FacialObjective,
    FacialWeights,
    paper_objective,
    published_code_objective,
)

NO_PERTURBATION = Perturbation(pose=0.0, blink=0.0, expression=0.0, start_share=0.0)


@dataclass(frozen=True)
class FacialGanTrainingConfig:
    """How FACIAL-GAN is trained, and for how long. The defaults are the paper's (Sec. 5.1)."""

    seed: int = 0
    """Seed of the initial weights and of the batches."""
    batch: int = 64
    """Windows of 128 frames in a batch, over all devices."""
    stride: int = 5
    """Frames from one window's beginning to the next one's."""
    epochs: float = 50.0
    """How often every window is seen."""
    max_steps: int | None = None
    """The training ends after this many steps, if the epochs have more."""
    learning_rate: float = 1e-4
    """Learning rate of Adam, for both networks."""
    final_learning_rate: float = 1e-4
    """The last learning rate, reached along half a cosine; it is constant in the paper."""
    objective: Literal["paper", "published_code"] = "paper"
    """The objective: Eqs. 4 to 8, or least squares with the weights of the published code."""
    weights: FacialWeights = field(default_factory=FacialWeights)
    """Weights of the paper's objective."""
    perturbation: Perturbation = NO_PERTURBATION
    """Noise on the windows' initial states."""
    checkpoint_steps: int = 1000
    """Steps between checkpoints."""

    def losses(self, lip_places: LipPlaces | None = None) -> FacialObjective:
        """The objective with its weights; `lip_places` where they have one for the lips."""
        if self.objective == "paper":
            return paper_objective(self.weights, lip_places)
        return published_code_objective()


DEMO = FacialGanTrainingConfig(
    batch=16,
    max_steps=5000,
    learning_rate=2e-3,
    final_learning_rate=1e-5,
    # Ten times the paper's ω₄: few steps must make seams that cannot be seen. The lips' term is as
    # large as that of all expressions.
    weights=FacialWeights(initial_state=100.0, lips=400.0),
    perturbation=Perturbation(),
    checkpoint_steps=500,
)
"""For two CPU cores."""

PERSONALIZATION = FacialGanTrainingConfig(
    batch=16,
    epochs=10.0,
    # As the bundled general network was trained.
    weights=DEMO.weights,
    perturbation=DEMO.perturbation,
    checkpoint_steps=100,
)
"""How a general network is fine-tuned on one person (Sec. 5.1)."""
