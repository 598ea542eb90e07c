"""All that a training step reads and changes."""

from typing import Any

import flax.struct


@flax.struct.dataclass
class TrainState:
    """The state of any training, as its checkpoints hold it."""

    step: Any
    """() int32, steps done."""
    variables: dict[str, Any]
    """By name of the network, its variables as Linen orders them: `{"params": …}`, with
    `"batch_stats"` and the like if the network has them."""
    optimizers: dict[str, Any]
    """By name of the network, the optimizer's state; only networks that are trained have one."""
