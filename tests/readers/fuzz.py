"""Damages files of every kind for as long as it is told, and prints what the readers did wrong.

python -m tests.readers.fuzz --minutes 10
"""

import argparse
import itertools
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

from tests.readers.damage import damaged, read_or_refuse
from tests.readers.samples import KINDS, Kind

EXAMPLES = 100


def damage_and_read(kind: Kind, content: bytes, number: int) -> None:
    """Reads so many damaged files of a kind; those of another number are others."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given" / kind.name
        path.parent.mkdir()
        path.write_bytes(kind.wrap(content))
        kind.read(path)

        @seed(number)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(damaged(content))
        def check(changed):
            path.write_bytes(kind.wrap(changed))
            read_or_refuse(kind.read, path)

        check()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    warnings.simplefilter("ignore")
    end, turns, found = time.monotonic() + 60 * minutes, 0, set()
    contents = {name: kind.content() for name, kind in KINDS.items()}
    for number, name in ((number, name) for number in itertools.count() for name in KINDS):
        if time.monotonic() > end:
            break
        turns += 1
        try:
            damage_and_read(KINDS[name], contents[name], number)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = (name, type(error).__name__, f"{Path(place.filename).name}:{place.lineno}")
            if what not in found:
                found.add(what)
                print(*what, str(error)[:300], flush=True)
                traceback.print_exc(limit=-6)
    files = turns * EXAMPLES
    print(f"{files} files of {len(KINDS)} kinds in {minutes:g} minutes, {len(found)} faults")


if __name__ == "__main__":
    main()
