"""Damages files of every kind for as long as it is told, and prints what the readers did wrong.

python -m tests.readers.fuzz --minutes 10
"""

import argparse
import collections
import itertools
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

from tests.readers.damage import damaged, read_or_refuse
from tests.readers.samples import KINDS

EXAMPLES = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    minutes = parser.parse_args().minutes
    warnings.simplefilter("ignore")
    end, done, found = time.monotonic() + 60 * minutes, collections.Counter(), set()
    contents = {name: kind.content() for name, kind in KINDS.items()}
    for turn, name in ((turn, name) for turn in itertools.count() for name in KINDS):
        if time.monotonic() > end:
            break
        kind = KINDS[name]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "given" / kind.name
            path.parent.mkdir()
            path.write_bytes(kind.wrap(contents[name]))
            kind.read(path)

            @seed(turn)
            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(damaged(contents[name]))
            def check(changed, name=name, kind=kind, path=path):
                done[name] += 1
                path.write_bytes(kind.wrap(changed))
                read_or_refuse(kind.read, path)

            try:
                check()
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                place = traceback.extract_tb(error.__traceback__)[-1]
                what = (name, type(error).__name__, f"{Path(place.filename).name}:{place.lineno}")
                if what not in found:
                    found.add(what)
                    print(*what, str(error)[:300], flush=True)
                    traceback.print_exc(limit=-6)
    print(f"{sum(done.values())} files in {minutes:g} minutes, {len(found)} faults", flush=True)
    for name, count in done.items():
        print(f"  {count:7d} {name}")


if __name__ == "__main__":
    main()
