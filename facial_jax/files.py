"""Files that are written whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None


_PARTIAL_NAMES = "." + 12 * "[0-9a-f]" + ".part*"  # of files that are not whole yet
LOCK_NAME = ".lock"
"""Of the empty file by which a process has a folder for itself."""


@contextmanager
def whole_or_nothing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary file beside `path`, renamed to it at the end, removed if anything went wrong.

    Until then whatever is at `path` stays as it is. Of a link, the file that it leads to is
    written, and the link stays. The temporary name is hidden and has the same ending, by which
    writers of several formats choose one.

    Raises:
        OSError: the folder does not exist, is removed, or nothing can be written in it.
    """
    path = Path(os.path.realpath(path))
    # Short, whatever the name is: the longest name is one that can be written.
    partial = path.parent / f".{secrets.token_hex(6)}.part{path.suffix[-16:]}"
    # Made now, with the rights that the user's new files have; fails if there is one.
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if not path.parent.is_dir():
            raise FileNotFoundError(
                f"{path}: its folder was removed while it was written"
            ) from error
        # What libraries say of the file is nothing, or its temporary name.
        if error.errno is not None and partial.name in str(error.filename or partial.name):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def exclusive(path: str | os.PathLike, *, waiting: Callable[[], None]) -> Iterator[bool]:
    """Lets one process at a time do what is inside; gives whether another was at it before.

    The system lets go of the lock when its process ends, however it ends: none is ever left behind,
    only the empty file at `path`. If the file system knows no locks, nothing is locked.

    Args:
        path: a file for the lock alone, in a folder that exists.
        waiting: called once if another process is at it.
    """
    with open(path, "ab") as file:
        waited = False
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = True
                waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:
                pass  # no locks here
        yield waited


@contextmanager
def alone_in(folder: str | os.PathLike) -> Iterator[None]:
    """Lets one process at a time work in a folder, which is created if it is missing.

    Raises:
        BlockingIOError: another process works there.
        OSError: nothing can be written there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def refuse() -> None:
        raise BlockingIOError(
            f"{folder}: another process is at work in this folder; wait until it has ended, or "
            "choose another folder"
        ) from None

    with exclusive(folder / LOCK_NAME, waiting=refuse):
        yield


def remove_remnants(folder: Path) -> None:
    """Removes what killed processes have left in a folder of files that were never whole.

    Nobody else may be writing there.
    """
    for remnant in folder.rglob(_PARTIAL_NAMES):
        remnant.unlink(missing_ok=True)


def readable(name: str | os.PathLike) -> str:
    """A file's name as text that can be written anywhere: what is not UTF-8 in it is replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Writes a file, whole or not at all."""
    with whole_or_nothing(path) as partial:
        partial.write_bytes(data)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a file in UTF-8, whole or not at all."""
    with whole_or_nothing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def copy_file(source: str | os.PathLike, path: str | os.PathLike) -> None:
    """Copies a file's contents to `path`, whole or not at all."""
    with whole_or_nothing(path) as partial, open(source, "rb") as read, partial.open("wb") as write:
        shutil.copyfileobj(read, write)
