"""Kills runs at chosen moments, and starts them again.

    python -m tests.faults.killing --moments 20

A moment is the number of something that the process does in its folder (a file is opened, renamed,
removed, a folder made), at which it gets SIGKILL before it is done; or a share of the time that the
whole run takes, for what libraries do by themselves.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree")
NAMES = ["training", "prepare", "personalize", "synthesize"]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.scenarios"])


def _in_child(name: str, folder: Path, moment: int, results: Path) -> None:
    """Runs a scenario, and writes its result and how much it did; or dies at a moment."""
    from tests.faults.scenarios import SCENARIOS

    count = 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal count
        if event in _EVENTS and any(
            isinstance(x, str | bytes | os.PathLike) and os.fsdecode(x).startswith(str(folder))
            for x in arguments[:2]
        ):
            count += 1
            if count == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    os.environ["JAX_PLATFORMS"] = "cpu"
    sys.addaudithook(watch)
    scenario = SCENARIOS[name]
    scenario.check(folder)
    count = 0
    scenario.run(folder)
    done = count
    scenario.check(folder)
    results.write_text(f"{done}\n{scenario.result(folder)}")


def run(
    name: str,
    folder: Path,
    *,
    moment: int = 0,
    seconds: float | None = None,
) -> tuple[int, str] | None:
    """Runs a scenario in a process of its own; its count of moments and result, None if killed.

    Args:
        name: of the scenario.
        folder: for all that it writes.
        moment: at which it is killed; 0: it is not.
        seconds: after which it is killed.

    Raises:
        RuntimeError: it failed.
    """
    results = folder.with_name(f"{folder.name}.result")
    results.unlink(missing_ok=True)
    child = _context.Process(target=_in_child, args=(name, folder, moment, results))
    child.start()
    child.join(seconds)
    if child.is_alive():
        child.kill()
        child.join()
    if child.exitcode == -signal.SIGKILL:
        return None
    if child.exitcode != 0:
        raise RuntimeError(f"{name} in {folder} ended with {child.exitcode}")
    count, result = results.read_text().split("\n", 1)
    return int(count), result


def kill_and_go_on(name: str, folder: Path, *, moments=(), seconds=()) -> int:
    """A whole run beside one that is killed each time it is started; they must end alike.

    Returns how many times it was killed.
    """
    (folder / "whole").mkdir(parents=True)
    (folder / "killed").mkdir()
    begin = time.monotonic()
    count, expected = run(name, folder / "whole")
    taken = time.monotonic() - begin
    killed = 0
    for share in moments:
        killed += run(name, folder / "killed", moment=1 + int(share * count)) is None
    for share in seconds:
        killed += run(name, folder / "killed", seconds=share * taken) is None
    _, result = run(name, folder / "killed")
    assert result == expected, f"{result} after {killed} kills, {expected} without"
    return killed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument(
        "--only", nargs="*", default=["training", "prepare", "personalize", "synthesize"]
    )
    arguments = parser.parse_args()
    for name in arguments.only:
        rng, killed = np.random.default_rng(0), 0
        # From the beginning each time, and going on from what the one before has left.
        for again in range(2):
            half = arguments.moments // 2
            moments, seconds = rng.uniform(size=half - half // 2), rng.uniform(size=half // 2)
            with tempfile.TemporaryDirectory() as folder:
                shares = (np.sort(moments), np.sort(seconds)) if again else (moments, seconds)
                killed += kill_and_go_on(name, Path(folder), moments=shares[0], seconds=shares[1])
        print(f"{name}: killed {killed} times, ends the same", flush=True)


if __name__ == "__main__":
    main()
