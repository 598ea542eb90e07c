"""Stages whose results are kept in a folder, and made again where their settings have changed."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from facial_jax.files import write_text
from facial_jax.training.progress import silent

DONE = "done.json"


def stage(
    folder: Path, settings: dict, make: Callable[[], None], *, say: Callable[[str], None] = silent
) -> float:
    """Makes a stage unless its folder holds the result of the same settings; returns its seconds.

    Those of the run that ended it, where it was stopped before.
    """
    settings = json.loads(json.dumps(settings, default=str))
    done = folder / DONE
    if done.is_file():
        found = json.loads(done.read_text())
        if found["settings"] == settings:
            say(f"{folder}: done before")
            return found["seconds"]
        done.unlink()
    begin = time.monotonic()
    make()
    seconds = time.monotonic() - begin
    folder.mkdir(parents=True, exist_ok=True)
    write_text(done, json.dumps({"settings": settings, "seconds": seconds}, indent=1) + "\n")
    say(f"{folder}: {seconds:.0f} s")
    return seconds


def file_identity(path: Path) -> list:
    """What tells a file from another one at its place."""
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]
