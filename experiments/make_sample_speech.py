"""Make the bundled speech sample: espeak-ng speaking a text of our own.

python -m experiments.make_sample_speech
"""

from pathlib import Path

import av
import numpy as np

from facial_jax.audio.waveform import AudioSource
from facial_jax.files import whole_or_nothing
from facial_jax.speech.espeak import speak

RATE = 16000
TEXT = (
    "Good morning! I am made of numbers, and yet I can speak to you. "
    "Watch my lips, my eyes and the way my head moves. What shall we talk about today?"
)
SAMPLE = Path(__file__).parents[1] / "facial_jax" / "assets" / "speech" / "sample.flac"


def write_flac(path: Path, samples: np.ndarray, rate: int) -> None:
    """Mono 16-bit FLAC of float samples in [-1, 1]."""
    pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16)
    with whole_or_nothing(path) as partial, av.open(str(partial), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=rate, layout="mono", format="s16")
        stream.options = {"compression_level": "12"}
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def main(output: Path = SAMPLE) -> None:
    """Speak the text and write it.

    Args:
        output: the FLAC file.
    """
    utterance = speak(TEXT, voice="en-us", variant="Andrea", rate_wpm=140, pitch=45)
    source = AudioSource((utterance.samples, utterance.sample_rate))
    samples = np.concatenate(list(source.blocks(RATE)))[:, 0]
    write_flac(output, samples * (0.8 / np.abs(samples).max()), RATE)
    print(
        f"{utterance.duration_s:.1f} s of speech in {output}, {output.stat().st_size // 1024} KiB"
    )


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
