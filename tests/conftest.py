"""What every test has: strict promotion, and the reference files where they are at hand."""

from pathlib import Path

import jax
import pytest

# Mixed dtypes and ranks are mistakes here: an explicit cast or `[..., None]` says what is meant.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """A function from a name under ../shared to its path; skips the test where it is absent."""

    def path(name: str) -> Path:
        if not (SHARED / name).exists():
            pytest.skip(f"../shared/{name} (reference data outside the repository) is not here")
        return SHARED / name

    return path
