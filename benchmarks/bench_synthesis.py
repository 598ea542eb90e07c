"""How fast, and in how much memory, speech becomes video: python -m benchmarks.bench_synthesis.

Every measurement of the command is a new process from an empty or a filled compilation cache, file
to file. `rows` measures in this process what a frame takes.
"""

import argparse
import dataclasses
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing is a part of what is measured
    from benchmarks.measure import Row

SHORT_S, LONG_S = 60, 600
LARGE_S, LARGE_SIZE = 10, 512  # the demo subject's network on pictures twice as high and wide


def write_speech(path: Path, seconds: float) -> None:
    """The bundled speech sample repeated up to `seconds`, as a wav file."""
    import wave

    import numpy as np

    import facial_jax
    from facial_jax.audio.waveform import AudioSource

    source = AudioSource(facial_jax.sample_speech())
    samples = np.concatenate(list(source.blocks(16000)))
    samples = np.resize(samples, int(seconds * 16000))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def demo_at(size: int) -> "facial_jax.Subject":
    """The demo subject in pictures of this size; at another than its own, on black."""
    import facial_jax

    demo = facial_jax.load_subject("demo")
    if size == demo.size:
        return demo
    appearance = demo.appearance.replace(surroundings=None)
    return dataclasses.replace(demo, size=size, appearance=appearance)


def rows(seconds: float, sizes: tuple[int, ...], repeats: int) -> "Iterator[Row]":
    """A frame of the demo subject at each size: of a whole synthesis, and of its frames alone."""
    import facial_jax
    from benchmarks.measure import measure
    from facial_jax.models.rendering_to_video.frames import frame_chunks
    from facial_jax.speech_attributes import attributes_from_speech
    from facial_jax.streamed_video import CHUNK_FRAMES

    with tempfile.TemporaryDirectory() as folder:
        speech, output = Path(folder) / "speech.wav", Path(folder) / "talk.mp4"
        write_speech(speech, seconds)
        demo = facial_jax.load_subject("demo")
        source = facial_jax.audio.waveform.AudioSource(speech)
        attributes = attributes_from_speech(source, demo, fps=Fraction(25))
        for size in sizes:
            subject = demo_at(size)

            def file_to_file(subject=subject):
                facial_jax.synthesize(speech, subject=subject, output=output, progress=False)

            def frames_alone(subject=subject):
                for _ in frame_chunks(subject, attributes, chunk_frames=CHUNK_FRAMES):
                    pass

            for name, run in (("frames alone", frames_alone), ("file to file", file_to_file)):
                title = f"{seconds:g} s of speech, {size}², {name}, a frame"
                yield measure(title, run, items=len(attributes), repeats=repeats)


def measure_here(audio: str, runs: int, size: int) -> None:
    """Synthesizes a file `runs` times; prints seconds of each and this process's peak memory."""
    start = time.perf_counter()
    import facial_jax

    seconds = [time.perf_counter() - start]
    subject = demo_at(size)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs):
            start = time.perf_counter()
            output = Path(folder) / "talk.mp4"
            facial_jax.synthesize(audio, subject=subject, output=output, progress=False)
            seconds.append(time.perf_counter() - start)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"import_s": seconds[0], "runs_s": seconds[1:], "peak_mib": peak_mib}))


def measure(audio: Path, cache: Path, runs: int = 1, size: int = 256) -> dict:
    """`measure_here` in a new process."""
    command = [sys.executable, "-m", "benchmarks.bench_synthesis", "--measure", str(audio)]
    command += ["--runs", str(runs), "--size", str(size)]
    environment = os.environ | {"FACIAL_JAX_CACHE": str(cache)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Prints compile time, real-time factor and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=3, help="timed runs; the median counts")
    parser.add_argument("--size", type=int, default=256, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        return measure_here(options.measure, options.runs, options.size)

    import jax
    import numpy as np

    print(
        f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {os.cpu_count()} cores,", end=" "
    )
    print(
        f"{platform.machine()}, Python {platform.python_version()}; subject demo, 256x256, 25 fps"
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        lengths = (1, LARGE_S, SHORT_S, LONG_S)
        second, large, short, long = (folder / f"{s}s.wav" for s in lengths)
        for path, length in zip((second, large, short, long), lengths, strict=True):
            write_speech(path, length)
        cold = measure(second, folder / "cache")
        warm = measure(second, folder / "cache")
        for cache, run in (("empty ", cold), ("filled", warm)):
            total = run["import_s"] + run["runs_s"][0]
            print(f"1 s of speech, new process, {cache} compilation cache  {total:7.1f} s")
        compiling = cold["runs_s"][0] - warm["runs_s"][0]
        print(f"compile time (the difference)                         {compiling:7.1f} s")
        runs = measure(short, folder / "cache", options.runs + 1)
        median = float(np.median(runs["runs_s"][1:]))
        print(f"{SHORT_S} s of speech, file to file, compiled, median of {options.runs}      "
              f"{median:7.1f} s = {SHORT_S / median:.2f} x real time")  # fmt: skip
        runs = measure(large, folder / "cache", options.runs + 1, LARGE_SIZE)
        median = float(np.median(runs["runs_s"][1:]))
        print(f"{LARGE_S} s of speech at {LARGE_SIZE}x{LARGE_SIZE}, compiled               "
              f"       {median:7.1f} s = {25 * LARGE_S / median:.1f} frames a second")  # fmt: skip
        memory = [measure(audio, folder / "cache")["peak_mib"] for audio in (short, long)]
        print(f"peak resident memory, {SHORT_S} s of speech                {memory[0]:7.0f} MiB")
        print(f"peak resident memory, {LONG_S} s of speech               {memory[1]:7.0f} MiB"
              f" = {memory[1] / memory[0]:.2f} x")  # fmt: skip


if __name__ == "__main__":
    main()
