"""A person from a video, while the page shows how far it is.

The work is done by the command `experiments.personalize` in a process of its own: what it keeps in
memory goes with it, and stopping it stops the work, which the next run goes on with.
"""

import html
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
PROGRAM = (sys.executable, "-m", "experiments.personalize")
LIBRARIES = re.compile(r"[IWE]\d{4} \d\d:|WARNING: Logging before|INFO: Created TensorFlow")
SHOWN_LINES = 30
POLL_S = 0.5


@dataclass(frozen=True)
class State:
    """How far it is."""

    log: str
    # the last lines that were said, with the bar of what is being done
    pictures: tuple[Path, ...] = ()
    # previews, the newest last
    report: str = ""
    # the report as a page in the page, at the end


def personalize(
    video: Path,
    name: str,
    *,
    subjects: Path,
    work: Path,
) -> Iterator[State]:
    """Personalizes; gives a state whenever there is something new.

    Args:
        video: of the person; an upload, which is kept while this runs.
        name: what the person is called here: letters, digits, `-` and `_`.
        subjects: the folder of subjects.
        work: the folder of runs.

    Raises:
        ValueError: another name.
        RuntimeError: it could not be done; the text says why.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"name: expected letters, digits, - and _, at most 40, got {name!r}")
    command = [*PROGRAM, "--subject", name, "--video", str(video)]
    command += ["--output", str(subjects / name), "--work-dir", str(work / name)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    # As it is: in text mode Python takes the returns that write over a bar for new lines.
    output = io.TextIOWrapper(process.stdout, encoding="utf-8", errors="replace", newline="")
    terminal = _Terminal()
    reader = threading.Thread(target=terminal.read, args=(output,), daemon=True)
    reader.start()
    try:
        shown = None
        while process.poll() is None:
            os.utime(video)  # the page deletes uploads by their age, but not this one
            state = State(terminal.text(), previews(work / name))
            if state != shown:
                yield (shown := state)
            time.sleep(POLL_S)
        reader.join()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode:
        last = ["it was stopped", *terminal.text().splitlines()][-1]
        raise RuntimeError(last.removeprefix("error: "))
    report = subjects / name / "report.html"
    page = report.read_text(encoding="utf-8") if report.is_file() else ""
    yield State(terminal.text(), previews(work / name), framed(page))


def previews(run: Path) -> tuple[Path, ...]:
    """What a run has drawn so far: the curves of FACIAL-GAN, the pictures of rendering to video."""
    return tuple(sorted(run.glob("*/preview_*.png"))[-3:] + sorted(run.glob("*/curves_0.png")))


def framed(page: str) -> str:
    """A page in a page, or nothing."""
    if not page:
        return ""
    return (
        f'<iframe srcdoc="{html.escape(page)}" style="width:100%;height:40em;border:0" '
        'title="report"></iframe>'
    )


class _Terminal:
    """What a program has written, as a terminal shows it: bars are written over."""

    def __init__(self) -> None:
        self._lines: list[str] = [""]

    def read(self, stream) -> None:
        """Reads to the end."""
        while character := stream.read(1):
            if character == "\n":
                self._lines = [*self._lines[-SHOWN_LINES:], ""]
            elif character == "\r":
                self._lines[-1] = ""
            else:
                self._lines[-1] += character

    def text(self) -> str:
        """The last lines, without those that MediaPipe's libraries write."""
        lines = [line for line in list(self._lines) if line.strip()]
        return "\n".join(line for line in lines if not LIBRARIES.match(line))
