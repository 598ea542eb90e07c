"""Networks as they are written for another kind of device, run on this one."""

from contextlib import contextmanager
from unittest import mock

import jax


@contextmanager
def written_for(backend: str):
    """Within, what is traced is what `backend`, "cpu" or "gpu", would be given."""
    with mock.patch("jax.default_backend", return_value=backend):
        jax.clear_caches()
        yield
    jax.clear_caches()
