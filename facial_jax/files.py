"""Files that are written whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_or_nothing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary file beside `path`, renamed to it at the end, removed if anything went wrong.

    Until then whatever is at `path` stays as it is. The temporary name is hidden and has the same
    ending, by which writers of several formats choose one.

    Raises:
        OSError: the folder does not exist, or nothing can be written in it.
    """
    path = Path(path)
    partial = path.parent / f".{path.stem}-{secrets.token_hex(4)}.part{path.suffix}"
    # Made now, with the rights that the user's new files have; fails where there is one.
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
