"""What is particular to one model's training: all that `fit` is told of it."""

import abc
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from facial_jax.training.batches import Batches

Variables = dict[str, Any]
"""By name of the network, its Linen variables: `{"generator": {"params": …}, …}`."""


class Losses(NamedTuple):
    """What a batch says about the networks."""

    objectives: Mapping[str, Float[Array, ""]]
    """By name of the network, what it minimises. A network that has none does not step."""
    metrics: Mapping[str, Float[Array, ""]]
    """What is shown and checked to be finite, by name."""
    updates: Mapping[str, Any] = {}
    """By name of the network, its collections that the batch has changed, such as `batch_stats`;
    the same on every device."""


@dataclass(frozen=True)
class Report:
    """What a validation found."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    """By name, for TensorBoard."""
    lines: Sequence[str] = ()
    """What is said about it."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """Matplotlib's; each replaces the file of its name from the validation before."""
    pictures: Mapping[str, UInt8[np.ndarray, "h w 3"]] = field(default_factory=dict)
    """Each is kept, under its name and the step's number."""


class Task(abc.ABC):
    """One model's training: its networks, batches and losses, and what is made of the result."""

    steps: int
    """To be done in all."""
    batch_size: int
    """Of all devices together."""
    seed: int = 0
    """What the networks' first variables and each step's key follow from."""
    save_every: int = 1000
    """Steps between checkpoints; there is one at the end too."""
    validate_every: int = 1000
    """Steps between validations; there is one at the end too."""
    gradient_norms: bool = False
    """Each step's metrics have `NAME_gradient`, the norm of the network's gradient."""

    @property
    def fixed(self) -> Any:
        """Variables that the losses need and no step changes, such as VGG-19's.

        They are kept beside the state, and not in its checkpoints.
        """
        return {}

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, batch: Any) -> Variables:
        """Every network at step 0, drawn or from a file; `batch` is one row of zeros."""

    @abc.abstractmethod
    def optimizers(self) -> dict[str, optax.GradientTransformation]:
        """By name, of the networks that are trained; their parameters are their `params`."""

    @abc.abstractmethod
    def losses(
        self,
        variables: Variables,
        batch: Any,
        *,
        step: Int[Array, ""],
        key: PRNGKeyArray,
        fixed: Any,
        phase: Hashable,
    ) -> Losses:
        """What a batch says about the networks; runs inside jit, on one device's share.

        An objective is differentiated by the parameters of its own network alone, so it may use
        what another network computes without `stop_gradient`, and objectives may share it.

        Args:
            variables: of every network.
            batch: this device's rows.
            step: number of the step, 0 the first.
            key: of this step, the same on every device.
            fixed: what `self.fixed` gave.
            phase: what `self.phase` gave for this step.
        """

    def phase(self, step: int) -> Hashable:
        """A choice between several forms of the step, of which each is compiled by itself."""
        del step
        return None

    def after_step(self, before: Variables, after: Variables, step: Int[Array, ""]) -> Variables:
        """The networks after a step, such as with running averages; runs inside jit.

        Args:
            before: the networks before this step.
            after: with the parameters that the optimizers gave.
            step: number of the step, 0 the first.
        """
        del before, step
        return after

    @abc.abstractmethod
    def batches(self, mesh: Mesh) -> Batches:
        """The batches of this training."""

    def describe(self, step: int) -> str:
        """What the batch of a step is made of, for the message if a loss is not finite."""
        return f"number {step}"

    def validate(self, variables: Variables, step: int) -> Report:
        """Measures the networks after `step` steps, on data that they are not trained on."""
        del variables, step
        return Report()

    def export(self, variables: Variables, folder: Path) -> None:
        """Writes the trained networks as the library loads them."""
        del variables, folder
