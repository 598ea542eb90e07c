"""Results that are kept in a folder with their provenance, and made again when that has changed.

A stage that was stopped continues if its folder has its provenance; a folder of another provenance
is cleared first, so that nothing of two results is ever mixed.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from facial_jax.files import write_text
from facial_jax.provenance import as_json, differences
from facial_jax.training.progress import silent

RECORD = "provenance.json"


def stage(
    folder: Path,
    provenance: Mapping[str, Any],
    make: Callable[[], None],
    *,
    say: Callable[[str], None] = silent,
) -> float:
    """Makes what belongs into a folder, unless the folder holds it; returns its seconds.

    Those of the run that ended it, if it was stopped before.

    Args:
        folder: of the stage alone.
        provenance: all that the result depends on: see `facial_jax.provenance`.
        make: makes the result in the folder; goes on with what it finds there.
        say: is given a line of text on what is done.

    Raises:
        ValueError: the folder holds files that no stage made.
    """
    provenance = as_json(provenance)
    cleared = folder.with_name(f".{folder.name}.cleared")
    shutil.rmtree(cleared, ignore_errors=True)  # left by a run that was killed
    record = _record(folder)
    if record is not None and record["provenance"] != provenance:
        changes = "; ".join(differences(record["provenance"], provenance))
        say(f"{folder}: made again, because of {changes}")
        # Renamed first: a folder that is half deleted must not pass for a result.
        folder.rename(cleared)
        shutil.rmtree(cleared)
        record = None
    if record is not None and record["seconds"] is not None:
        say(f"{folder}: done before")
        return record["seconds"]
    folder.mkdir(parents=True, exist_ok=True)
    _write_record(folder, provenance, None)
    begin = time.monotonic()
    make()
    seconds = time.monotonic() - begin
    _write_record(folder, provenance, seconds)
    say(f"{folder}: {seconds:.0f} s")
    return seconds


def _record(folder: Path) -> dict[str, Any] | None:
    record = folder / RECORD
    if record.is_file():
        return json.loads(record.read_text(encoding="utf-8"))
    # What begins with a dot is the rest of a file that was never whole.
    if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise ValueError(
            f"{folder}: expected no files or those of an earlier run with its {RECORD}, got files "
            "without it; move them away, or choose another folder"
        )
    return None


def _write_record(folder: Path, provenance: Mapping[str, Any], seconds: float | None) -> None:
    record = {"provenance": provenance, "seconds": seconds}
    write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")
