"""Long speech, many recordings, and several runs at once: python -m benchmarks.bench_load.

Memory over an hour of speech, whether the file can be played and sought in, and how far sound and
pictures are apart at its end; memory over 200 recordings in one process; eight commands at once.
With `--written`, memory while pictures that are there already are only written.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

import facial_jax
from benchmarks.measure import machine
from facial_jax.audio.waveform import AudioSource
from facial_jax.models.rendering_to_video.frames import frame_chunks
from facial_jax.synthesis import CHUNK_FRAMES
from facial_jax.video import write_video

RATE = 16000
SHORT_S = 1.0
AT_ONCE_S = 10.0


def write_speech(path: Path, seconds: float) -> None:
    """The bundled sentence again and again, with noise at every whole second that tells it from the
    others; a second at a time, so that it takes no memory here."""
    sentence = np.concatenate(list(AudioSource(facial_jax.sample_speech()).blocks(RATE)))[:, 0]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for first in range(0, round(seconds * RATE), RATE):
            count = min(RATE, round(seconds * RATE) - first)
            samples = 0.7 * np.take(sentence, np.arange(first, first + count), mode="wrap")
            burst = np.random.default_rng(first).uniform(-0.3, 0.3, min(800, count))
            samples[: len(burst)] += burst
            file.writeframes((samples * 32767).astype("<i2").tobytes())


def resident_mib() -> float:
    """Memory of this process now."""
    status = Path("/proc/self/status").read_text()
    line = next(x for x in status.splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def watched(chunks: Iterable[np.ndarray], memory: dict[int, float]) -> Iterator[np.ndarray]:
    """The chunks; `memory` gets what the process takes after each, by the number of frames."""
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        memory[done] = resident_mib()


def long_speech(folder: Path, subject: facial_jax.Subject, minutes: float) -> None:
    """One long recording: memory, playing, seeking, and how far sound and pictures are apart."""
    speech, path = folder / "long.wav", folder / "long.mp4"
    write_speech(speech, 60 * minutes)
    begin, memory = time.monotonic(), {}
    video = facial_jax.synthesize(speech, subject=subject, fps=25, progress=False)
    listened = time.monotonic() - begin
    chunks = frame_chunks(subject, video.attributes, chunk_frames=CHUNK_FRAMES)
    audio = AudioSource(speech)
    write_video(path, watched(chunks, memory), size=video.size, fps=video.fps, audio=audio)
    seconds = time.monotonic() - begin
    frames = np.array(list(memory))
    early = frames[np.searchsorted(frames, min(60 * 25, frames[-1]))]
    second_minute = [memory[n] for n in frames[(frames >= early) & (frames <= 2 * early)]]
    last = [memory[n] for n in frames[frames > 0.9 * frames[-1]]]
    print(
        f"{minutes:g} minutes of speech, {len(video)} frames of {video.size[0]}²: {seconds:.0f} s "
        f"({listened:.0f} s of it until the first frame), {path.stat().st_size / 1e6:.1f} MB\n"
        f"  memory after {early} frames {memory[early]:.0f} MiB, in as many after them "
        f"{min(second_minute):.0f} to {max(second_minute):.0f} MiB, in the last tenth "
        f"{min(last):.0f} to {max(last):.0f} MiB "
        f"(× {max(last) / memory[early]:.3f}, × {max(last) / max(second_minute):.3f})",
        flush=True,
    )
    print(f"  {check_file(path, speech, len(video), video.fps)}", flush=True)


def check_file(path: Path, speech: Path, count: int, fps: Fraction) -> str:
    """Decodes all of a video, seeks in it, and compares its last sound with what it was made of."""
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    steps = np.diff(times)
    assert len(times) == count, f"{len(times)} frames in place of {count}"
    assert np.abs(steps - 1 / float(fps)).max() < 1e-3
    with av.open(str(path)) as container:
        for share in (0.9, 0.1, 0.5, 0.999):
            target = int(share * count) / float(fps)
            container.seek(round(target * av.time_base))
            seen = next(f.time for f in container.decode(video=0) if f.time >= target - 1e-3)
            assert abs(seen - target) < 1 / float(fps), f"{seen} s in place of {target} s"
    late = max(0.0, times[-1] - 3)
    with av.open(str(path)) as container:
        container.seek(round(late * av.time_base))
        blocks, first = [], None
        for frame in container.decode(audio=0):
            first = frame.time if first is None else first
            blocks.append(frame.to_ndarray()[0])
    decoded = np.concatenate(blocks)
    with wave.open(str(speech)) as file:
        begin = round(first * RATE)
        file.setpos(begin)
        original = np.frombuffer(file.readframes(len(decoded)), "<i2") / 32768
    size = 1 << int(np.ceil(np.log2(2 * len(decoded))))
    spectrum = np.fft.rfft(decoded, size) * np.conj(np.fft.rfft(original, size))
    shift = int(np.fft.irfft(spectrum, size).argmax())
    shift = shift - size if shift > size // 2 else shift
    off_ms = 1000 * shift / RATE
    assert abs(off_ms) < 1000 / float(fps), f"{off_ms:.1f} ms"
    return (
        f"plays and seeks; in the last {times[-1] - late:.0f} s the sound is {off_ms:+.1f} ms off"
    )


def many_recordings(folder: Path, subject: facial_jax.Subject, count: int) -> None:
    """Short recordings one after another in this process."""
    rng, memory, begin = np.random.default_rng(0), [], time.monotonic()
    for _ in range(count):
        samples = rng.normal(0, 0.1, round(SHORT_S * RATE)).astype(np.float32)
        path = folder / "short.mp4"
        facial_jax.synthesize((samples, RATE), subject=subject, output=path, progress=False)
        memory.append(resident_mib())
        path.unlink()
    early = memory[min(len(memory) - 1, count // 10)]
    print(
        f"{count} recordings of {SHORT_S:g} s in one process: {time.monotonic() - begin:.0f} s; "
        f"memory after {count // 10 + 1} {early:.0f} MiB, after all {memory[-1]:.0f} MiB "
        f"(× {memory[-1] / early:.3f})",
        flush=True,
    )


def writing_alone(folder: Path, count: int) -> None:
    """The writer's own memory: pictures that it is given, 64², with as much speech."""
    speech, path, size = folder / "written.wav", folder / "written.mp4", 64
    write_speech(speech, count / 25)
    pictures = np.random.default_rng(0).integers(0, 256, (CHUNK_FRAMES, size, size, 3), np.uint8)
    chunks, memory = (pictures for _ in range(0, count, CHUNK_FRAMES)), {}
    audio = AudioSource(speech)
    write_video(path, watched(chunks, memory), size=(size, size), fps=Fraction(25), audio=audio)
    frames = np.array(list(memory))
    early, late = frames[len(frames) // 4], frames[-1]
    grown = memory[late] - memory[early]
    print(
        f"{late} pictures of {size}², only written: memory after {early} {memory[early]:.1f} MiB, "
        f"after all {memory[late]:.1f} MiB ({1024**2 * grown / (late - early):.0f} bytes a frame)",
        flush=True,
    )


def at_once(folder: Path, subject: str, count: int) -> None:
    """Commands started together."""
    speech, begin = folder / "speech.wav", time.monotonic()
    write_speech(speech, AT_ONCE_S)
    command = [sys.executable, "-m", "experiments.synthesize", "--audio", str(speech)]
    running = [
        subprocess.Popen(
            [*command, "--subject", subject, "--output", str(folder / f"{number}.mp4")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(count)
    ]
    codes = [process.wait() for process in running]
    same = {(folder / f"{number}.mp4").read_bytes() for number in range(count)}
    print(
        f"{count} commands at once, {AT_ONCE_S:g} s of speech each: {time.monotonic() - begin:.0f} "
        f"s, {codes.count(0)} ended well, {len(same)} different files",
        flush=True,
    )


def main() -> None:
    """Runs what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="0: none")
    parser.add_argument("--recordings", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--written", type=int, default=0, help="frames")
    parser.add_argument("--subject", default="demo")
    options = parser.parse_args()
    subject = facial_jax.load_subject(options.subject)
    print(f"python -m benchmarks.bench_load {' '.join(sys.argv[1:])}\n{machine()}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if options.written:
            writing_alone(Path(folder), options.written)
        if options.minutes:
            long_speech(Path(folder), subject, options.minutes)
        if options.recordings:
            many_recordings(Path(folder), subject, options.recordings)
        if options.at_once:
            at_once(Path(folder), options.subject, options.at_once)


if __name__ == "__main__":
    main()
