"""Checkpoints of a training with Orbax: what it takes to go on as if nothing had happened.

A checkpoint holds the train state (parameters, batch statistics, optimizers, step), the position of
the data iterator, and the resolved configuration, of which the seed is a part: every random number
of a training follows from the seed and the position. Orbax writes each into a folder of another
name and renames it when it is whole, so a training killed at any moment finds its last checkpoint.
"""

import json
import os
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

_STATE, _DATA, _CONFIG = "state", "data", "config"


class Checkpoints:
    """The checkpoints of one training, in one folder; the last ones are kept."""

    def __init__(self, folder: str | os.PathLike, config: dict[str, Any], *, keep: int = 2):
        """`config` is the training's resolved configuration, of values that JSON can hold."""
        self._folder, self._config = Path(folder).absolute(), _as_json(config)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, cleanup_tmp_directories=True, enable_async_checkpointing=False
        )
        self._manager = ocp.CheckpointManager(
            self._folder, options=options, item_names=(_STATE, _DATA, _CONFIG)
        )

    def save(self, step: int, state: Any, data: dict[str, Any]) -> None:
        """Writes the state after `step` steps, and where the data iterator is (`get_state()`)."""
        if step == self._manager.latest_step():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                **{
                    _STATE: ocp.args.StandardSave(state),
                    _DATA: ocp.args.JsonSave(data),
                    _CONFIG: ocp.args.JsonSave(self._config),
                }
            ),
        )

    def restore(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """The last checkpoint's state and data position; None where there is no checkpoint.

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
        found = self._manager.restore(
            step,
            args=ocp.args.Composite(
                **{_STATE: ocp.args.StandardRestore(abstract), _DATA: ocp.args.JsonRestore()}
            ),
        )
        return found[_STATE], found[_DATA]

    def close(self) -> None:
        """Lets go of the folder."""
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
