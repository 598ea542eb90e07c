"""Version numbers of the files that this project writes and later code reads.

A number changes when code that knew the one before could not read the file, or would take it for
something else. What older code wrote is read; what newer code wrote is refused.
"""

from pathlib import Path
from typing import Any


class NewerFormatError(ValueError):
    """A file was written by a newer version of this project."""


def check_format(version: Any, known: int, path: Path) -> None:
    """Refuses what this code does not know.

    Args:
        found: the number in a file.
        known: the last one that this code knows.
        path: the file.

    Raises:
        NewerFormatError: it was written by newer code.
        ValueError: it is no such number.
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"{path}: expected a format's number, got {version!r}")
    if version > known:
        raise NewerFormatError(
            f"{path} is of format {version}, and this facial_jax knows those up to {known}: it was "
            "written by a newer version; install that one (pip install --upgrade facial_jax)"
        )
