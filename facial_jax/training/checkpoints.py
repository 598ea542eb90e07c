"""Checkpoints of a training with Orbax: what it takes to go on as if nothing had happened.

A checkpoint holds the train state (variables, optimizers, step) and the training's provenance, of
which the seed is a part: every batch and every random number of a training follows from the seed
and the step. Orbax writes each into a folder of another name and renames it when it is whole, so a
training killed at any moment finds its last whole checkpoint. It writes while the training goes on.
In a training of many processes all of them save and restore, from one folder that all of them see.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from facial_jax.provenance import as_json, differences

_STATE, _PROVENANCE = "state", "provenance"


class Checkpoints:
    """The checkpoints of one training, in one folder; the last ones are kept."""

    def __init__(self, folder: str | os.PathLike, provenance: Mapping[str, Any], *, keep: int = 2):
        """`provenance`: all that the training's result depends on; see `facial_jax.provenance`."""
        self._folder, self._provenance = Path(folder).absolute(), as_json(provenance)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, cleanup_tmp_directories=True, enable_async_checkpointing=True
        )
        self._manager = ocp.CheckpointManager(
            self._folder, options=options, item_names=(_STATE, _PROVENANCE)
        )

    def save(self, step: int, state: Any) -> None:
        """Copies the state after `step` steps, and begins to write it."""
        if step == self._manager.latest_step():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                **{
                    _STATE: ocp.args.StandardSave(state),
                    _PROVENANCE: ocp.args.JsonSave(self._provenance),
                }
            ),
        )

    def restore(self, like: Any) -> Any | None:
        """The last checkpoint's state; None if there is none.

        Args:
            like: a state of the same tree, shapes, dtypes and devices, such as a fresh one.

        Raises:
            ValueError: the checkpoint is of another provenance; says what differs.
        """
        step = self._manager.latest_step()
        if step is None:
            return None
        saved = self._manager.restore(
            step, args=ocp.args.Composite(**{_PROVENANCE: ocp.args.JsonRestore()})
        )[_PROVENANCE]
        if saved != self._provenance:
            raise ValueError(
                f"the checkpoints in {self._folder} are of another provenance "
                f"({'; '.join(differences(saved, self._provenance))}): go on with the former, or "
                "choose another folder"
            )
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        return self._manager.restore(
            step, args=ocp.args.Composite(**{_STATE: ocp.args.StandardRestore(abstract)})
        )[_STATE]

    def close(self) -> None:
        """Waits until all is written, and lets go of the folder."""
        self._manager.wait_until_finished()
        self._manager.close()
