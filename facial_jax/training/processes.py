"""Many processes that train as one, such as one on each host of a TPU slice or for each GPU.

Every process runs the same script with the same options: it computes its share of each batch, and
all of them average gradients and batch statistics. What is written is written by the first one,
into folders that all of them see.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import jax
from jax.experimental import multihost_utils

from facial_jax.files import copy_file

_NUMBERS = {"num_processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}


def join_processes() -> None:
    """Joins the other processes; to be called before anything asks for JAX's devices.

    Under SLURM and Open MPI and on Cloud TPUs JAX finds them by itself. Elsewhere the environment
    must say: JAX_COORDINATOR_ADDRESS, where the first process listens, such as `host:1234`;
    JAX_NUM_PROCESSES; and JAX_PROCESS_ID, 0 the first.

    Raises:
        ValueError: neither is the case.
    """
    numbers = {name: int(os.environ[v]) for name, v in _NUMBERS.items() if v in os.environ}
    try:
        jax.distributed.initialize(**numbers)
    except ValueError as error:
        raise ValueError(
            "distributed: expected processes that SLURM, Open MPI or a Cloud TPU started, or "
            f"JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID ({error}); set these, "
            "or start one process without --distributed"
        ) from error


def is_first() -> bool:
    """Whether this process is the one that writes; the only process is."""
    return jax.process_index() == 0


def copy_result(result: Path, path: Path | None) -> None:
    """The first process copies a training's result, if there is one yet, to a path, if given."""
    if path is not None and result.is_file() and is_first():
        path.parent.mkdir(parents=True, exist_ok=True)
        copy_file(result, path)


@contextlib.contextmanager
def first_before_others(what: str) -> Iterator[None]:
    """The first process does what is inside before the others begin it; `what` names it."""
    if jax.process_count() > 1 and not is_first():
        multihost_utils.sync_global_devices(what)
    yield
    if jax.process_count() > 1 and is_first():
        multihost_utils.sync_global_devices(what)
