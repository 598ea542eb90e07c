"""Reference data outside the repository, in ../shared: recordings of people, published numbers."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_path(name: str) -> Path:
    """The path of a name under ../shared; skips the test, or the whole file, where it is absent."""
    if not (SHARED / name).exists():
        reason = f"../shared/{name} (reference data outside the repository) is not here"
        pytest.skip(reason, allow_module_level=True)
    return SHARED / name
