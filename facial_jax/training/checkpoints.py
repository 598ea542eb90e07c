"""Checkpoints of a training with Orbax: what it takes to go on as if nothing had happened.

A checkpoint holds the train state (parameters, batch statistics, optimizers, step) and the resolved
configuration, of which the seed is a part: every batch and every random number of a training
follows from the seed and the step. Orbax writes each into a folder of another name and renames it
when it is whole, so a training killed at any moment finds its last whole checkpoint. It writes
while the training goes on. In a training of many processes all of them save and restore, from one
folder that all of them see.
"""

import json
import os
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

_STATE, _CONFIG = "state", "config"


class Checkpoints:
    """The checkpoints of one training, in one folder; the last ones are kept."""

    def __init__(self, folder: str | os.PathLike, config: dict[str, Any], *, keep: int = 2):
        """`config` is the training's resolved configuration, of values that JSON can hold."""
        self._folder, self._config = Path(folder).absolute(), _as_json(config)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, cleanup_tmp_directories=True, enable_async_checkpointing=True
        )
        self._manager = ocp.CheckpointManager(
            self._folder, options=options, item_names=(_STATE, _CONFIG)
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
                    _CONFIG: ocp.args.JsonSave(self._config),
                }
            ),
        )

    def restore(self, like: Any) -> Any | None:
        """The last checkpoint's state; None where there is no checkpoint.

        Args:
            like: a state of the same tree, shapes, dtypes and devices, such as a fresh one.

        Raises:
            ValueError: the checkpoint is of another configuration.
        """
        step = self._manager.latest_step()
        if step is None:
            return None
        config = self._manager.restore(
            step, args=ocp.args.Composite(**{_CONFIG: ocp.args.JsonRestore()})
        )[_CONFIG]
        if config != self._config:
            raise ValueError(
                f"the checkpoints in {self._folder} are of another configuration "
                f"({', '.join(_differences(config, self._config))}): go on with that one, or "
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


def _as_json(config: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(config, default=str))


def _differences(old: Any, new: Any, name: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [
            difference
            for key in keys
            for difference in _differences(
                old.get(key), new.get(key), f"{name}.{key}" if name else key
            )
        ]
    return [] if old == new else [f"{name}: {old!r} there, {new!r} here"]
