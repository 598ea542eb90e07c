"""Memory over many recordings in one call: python -m benchmarks.bench_many --recordings 200.

Recordings of 0.4 to 1.4 s become videos of the subject `demo`; the process's resident memory is
printed on the way (Linux only). Flat means: it does not grow with their number.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import facial_jax
from benchmarks.bench_synthesis import write_speech
from facial_jax import many


def resident_mib() -> float:
    """This process's memory that is in RAM now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Prints memory after 10, 20, … recordings and the time that one takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=200)
    count = parser.parse_args().recordings
    done, begin = 0, time.perf_counter()
    make = many.synthesize

    def counted(*arguments, **options):
        nonlocal done
        make(*arguments, **options)
        done += 1
        if done % max(count // 10, 1) == 0:
            seconds = (time.perf_counter() - begin) / done
            print(f"{done:5d} recordings  {resident_mib():7.0f} MiB  {seconds:.2f} s each")

    many.synthesize = counted
    with tempfile.TemporaryDirectory() as folder:
        speech = Path(folder) / "speech"
        speech.mkdir()
        for i in range(count):
            write_speech(speech / f"{i:04d}.wav", 0.4 + (i * 0.61803) % 1.0)
        outcomes = facial_jax.synthesize_folder(speech, Path(folder) / "videos", progress=False)
    print(many.outcome_table(outcomes))


if __name__ == "__main__":
    main()
