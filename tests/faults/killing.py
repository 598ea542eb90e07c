"""Kills runs at chosen moments, and starts them again.

    python -m tests.faults.killing --kills 20

A moment is the number of something that the process does in its folder (a file is opened, renamed,
removed, a folder made), at which it gets SIGKILL before it is done; or a share of the time that the
whole run takes, for what libraries do by themselves.
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.programs import keep_programs

_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree")
NAMES = ["training", "prepare", "personalize", "synthesize"]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.scenarios"])


def _in_child(name: str, folder: Path, moment: int, results: Path) -> None:
    """Runs a scenario, and writes its result and how much it did; or dies at a moment."""
    import jax

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

    jax.config.update("jax_platforms", "cpu")  # the variable was read when the fork server began
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


def kill_and_go_on(name: str, folder: Path, shares: Sequence[float]) -> int:
    """A whole run beside one that is killed each time it is started; they must end alike.

    Args:
        name: of the scenario.
        folder: for both.
        shares: of the moments of a whole run, at which it is killed.

    Returns:
        How many times it was killed; a run that goes on may end before its moment.
    """
    (folder / "whole").mkdir(parents=True)
    (folder / "killed").mkdir()
    count, expected = run(name, folder / "whole")
    killed = 0
    for share in shares:
        killed += run(name, folder / "killed", moment=1 + int(share * count)) is None
    _, result = run(name, folder / "killed")
    assert result == expected, f"{result} after {killed} kills, {expected} without"
    return killed


def kill_many(name: str, folder: Path, kills: int) -> None:
    """Kills at random moments, by number and by time in turn, until so many have hit.

    Each run goes on from what the one before has left; one that comes to its end must end as a
    whole one, and the next begins from nothing.
    """
    rng, killed = np.random.default_rng(0), folder / "killed"
    for first in ("compiling", "whole", "killed"):
        (folder / first).mkdir(parents=True)
    run(name, folder / "compiling")  # once: else most of the time is compiling
    begin = time.monotonic()
    count, expected = run(name, folder / "whole")
    taken = time.monotonic() - begin
    done = 0
    while done < kills:
        share = rng.uniform()
        moment = {"moment": 1 + int(share * count)} if done % 2 else {"seconds": share * taken}
        ended = run(name, killed, **moment)
        if ended is None:
            done += 1
            continue
        assert ended[1] == expected, f"{ended[1]} after {done} kills, {expected} without"
        shutil.rmtree(killed)
        killed.mkdir()
    assert run(name, killed)[1] == expected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=NAMES)
    arguments = parser.parse_args()
    keep_programs()
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            kill_many(name, Path(folder), arguments.kills)
        print(f"{name}: killed {arguments.kills} times, ends the same", flush=True)


if __name__ == "__main__":
    main()
