"""Damaged files, and what a reader may do with them: read them, or refuse them in words."""

import os
import re
import sys
import time
import tracemalloc
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

MAX_S, MAX_BYTES = 1.0, 200e6
# Written over a place in a file: counts that are huge, negative or none.
_NUMBERS = [b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0" * 4, b"\0\0\0\x80", b"\xff" * 8, b"\0" * 8]
_FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")
_watched: list[str] | None = None  # what was done that a reader must not do; None: nobody looks
_folder = ""


def _watch(event: str, arguments: tuple) -> None:
    if _watched is None:
        return
    if event in _FORBIDDEN:
        _watched.append(f"{event}{arguments}")
    if event == "open" and isinstance(arguments[0], str | bytes):
        path, flags = os.fsdecode(arguments[0]), arguments[2] or 0
        if flags & (os.O_WRONLY | os.O_RDWR) and not path.startswith((_folder, "/dev/null")):
            _watched.append(f"open for writing {path}")


sys.addaudithook(_watch)  # there is no way to take it away again


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A file's content, changed in one to three places."""
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(["cut", "bytes", "number", "more", "again", "less"]))
        if kind == "cut":
            content = content[:place]
        elif kind == "bytes":
            new = draw(st.binary(min_size=1, max_size=8))
            content = content[:place] + new + content[place + len(new) :]
        elif kind == "number":
            new = draw(st.sampled_from(_NUMBERS))
            content = content[:place] + new + content[place + len(new) :]
        elif kind == "more":
            content = content[:place] + draw(st.binary(max_size=64)) + content[place:]
        elif kind == "again":
            content = content[:place] + content[place : place + 256] + content[place:]
        else:
            content = content[:place] + content[place + draw(st.integers(1, 256)) :]
    return content


def read_or_refuse(read: Callable[[Path], Any], path: Path) -> Any:
    """What a reader makes of a file; None where it says in words what is wrong with it.

    See `_attempt`.
    """
    return _attempt(read, path)[0]


def refuses(read: Callable[[Path], Any], path: Path, match: str = "") -> None:
    """A reader says in words, and these among them, what is wrong with a file; see `_attempt`."""
    found, refusal = _attempt(read, path)
    assert refusal is not None, found
    assert re.search(match, refusal), refusal


def _attempt(read: Callable[[Path], Any], path: Path) -> tuple[Any, str | None]:
    """What a reader makes of a file, and what it says where it refuses it.

    The test fails if it takes longer than a second of computing, twice, or more than 200 MB, raises
    something else than ValueError or FileNotFoundError, does not name the file, or starts or writes
    anything.
    """
    found, refusal, seconds = _timed_attempt(read, path)
    if seconds >= MAX_S:
        # Once, it may have been other threads of the process, or the garbage of other tests.
        found, refusal, seconds = _timed_attempt(read, path)
    assert seconds < MAX_S, f"{seconds:.2f} s"
    return found, refusal


def _timed_attempt(read, path):
    begin, found, refusal = time.process_time(), None, None
    with _peak_below(MAX_BYTES, path), _watching(path.parent) as done:
        try:
            found = read(path)
        except (ValueError, FileNotFoundError) as error:
            refusal = str(error)
    seconds = time.process_time() - begin
    assert refusal is None or path.name in refusal or path.parent.name in refusal, refusal
    assert done == []
    return found, refusal, seconds


@contextmanager
def _watching(folder: Path):
    """What is done inside that a reader must not do, with whatever is outside of a folder."""
    global _watched, _folder
    _watched, _folder = [], str(folder)
    try:
        yield _watched
    finally:
        _watched = None


@contextmanager
def _peak_below(limit: float, path: Path):
    """The peak of the process's memory, where the system tells it, and of Python's in any case."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    resident = os.access(reset, os.W_OK)
    if not resident:
        tracemalloc.start()
        yield
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    else:
        reset.write_text("5")
        before = _kilobytes(status, "VmRSS")
        yield
        peak = 1024 * (_kilobytes(status, "VmHWM") - before)
    assert peak < limit, f"{path.name}: {peak / 1e6:.0f} MB"


def _kilobytes(status: Path, name: str) -> int:
    line = next(x for x in status.read_text().splitlines() if x.startswith(name))
    return int(line.split()[1])
