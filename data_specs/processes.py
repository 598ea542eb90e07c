"""Processes that work for this one."""

import multiprocessing
import os
import threading


def begin_worker() -> None:
    """Called first in a worker: it ends with its parent, and leaves room on a GPU for the others.

    A worker whose parent was killed would wait for work forever; the first to use a GPU would take
    three quarters of its memory.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # read when JAX starts

    def wait():
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
