"""What every test has: strict promotion, what GPUs need, and the reference files that are there.

At the end the tests that were skipped are counted by reason.
"""

import collections
import os
import re
from pathlib import Path

# Read when JAX starts, here and in the processes that tests start.
# Several processes share a GPU: the first would take three quarters of its memory for itself.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# GPUs multiply float32 matrices in TF32, with three decimal digits; tolerances are for float32.
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")

import jax
import pytest

from tests.programs import compile_quickly, keep_programs
from tests.shared_data import shared_path

# pytest's plugins may have imported JAX, which reads the variable at import.
jax.config.update("jax_default_matmul_precision", os.environ["JAX_DEFAULT_MATMUL_PRECISION"])
# Mixed dtypes and ranks are mistakes here: an explicit cast or `[..., None]` says what is meant.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
compile_quickly()
keep_programs()


@pytest.fixture
def on_a_cpu():
    """What the test computes, it computes on a CPU, though there may be a GPU."""
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        yield


@pytest.fixture(scope="session")
def shared():
    """A function from a name under ../shared to its path; skips the test where it is absent."""
    return shared_path


def pytest_terminal_summary(terminalreporter):
    """Says how many tests were skipped, and why."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = collections.Counter(_reason(report) for report in reports)
    if reasons:
        terminalreporter.section(f"{len(reports)} skipped")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count:4d}  {reason}")


def _reason(report) -> str:
    """Why a test was skipped, without its parameters; of a whole file, which one."""
    if isinstance(report.longrepr, tuple):
        path, _, reason = report.longrepr
    else:
        path, reason = report.nodeid, str(report.longrepr)
    reason = re.sub(r"^Skipped: ", "", reason)
    return f"{reason}  ({Path(path).name})"
