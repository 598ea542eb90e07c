"""How fast speech becomes an animated head: python -m benchmarks.bench_animation.

Ten minutes of speech to attributes, by each method that the subject has networks for, listening
apart; these attributes to a glTF file; and some seconds of them to a rendered video.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import tyro

import facial_jax
from benchmarks.bench_synthesis import write_speech
from benchmarks.measure import Row, measure, print_table
from facial_jax.animation import SIZE, AnimatedHead
from facial_jax.audio.waveform import AudioSource
from facial_jax.speech_attributes import METHODS, attributes_from_speech, listen


@dataclass(frozen=True)
class Arguments:
    """How fast speech becomes an animated head."""

    seconds: float = 600.0
    """Length of the speech."""
    drawn_s: float = 4.0
    """How much of it becomes a video."""
    sizes: tuple[int, ...] = (256, SIZE)
    """Heights and widths of the video."""
    subject: str = "demo"
    """A bundled subject's name, or a subject's folder."""
    repeats: int = 3
    """Calls of which the median counts."""


def rows(arguments: Arguments) -> Iterator[Row]:
    """The time of a frame in each part of the way."""
    subject, repeats = facial_jax.load_subject(arguments.subject), arguments.repeats
    with tempfile.TemporaryDirectory() as folder:
        speech = Path(folder) / "speech.wav"
        write_speech(speech, arguments.seconds)
        source = AudioSource(speech)
        features, fps = listen(source, subject), Fraction(25)
        count, title = len(features), f"{arguments.seconds:g} s of speech"
        yield measure(f"{title}, listening", listen, source, subject, repeats=repeats, items=count)
        for method in METHODS:
            if method == "pose_gan" and (subject.pose_gan is None or subject.pgface is None):
                continue

            def move(method=method):
                given = (features, subject.fps)
                return attributes_from_speech(
                    source, subject, fps=fps, method=method, speech_features=given
                )

            attributes = move()
            yield measure(f"{title}, attributes, {method}", move, repeats=repeats, items=count)
            head = AnimatedHead(attributes, fps, subject, source)
            size_mb = len(head.glb()) / 1e6
            name = f"{title}, glTF file of {size_mb:.1f} MB, {method}"
            yield measure(name, head.glb, repeats=repeats, items=count)
        write_speech(speech, arguments.drawn_s)
        part = attributes[: round(arguments.drawn_s * fps)]
        for size in arguments.sizes:
            head = AnimatedHead(part, fps, subject, AudioSource(speech), pixels=size)

            def draw(head=head):
                head.save(Path(folder) / "head.mp4", progress=False)

            name = f"{arguments.drawn_s:g} s of speech, video and glTF file, {size}²"
            yield measure(name, draw, repeats=repeats, items=len(part))


if __name__ == "__main__":
    print_table(rows(tyro.cli(Arguments)))
