"""Do the lips do what is said? Lips at p, b, m, at open vowels, at w, u, o and at f, v.

    python -m benchmarks.bench_lips --voices ../shared/speech/natural --clips runs/prepared/*

On espeak-ng, on voices with known phones and on real clips, each gesture beside the same at any
moment, which is what a mouth gets by chance (see `facial_jax.metrics.lips`). The truth of a voice
is the project's animator on its phones; that of a real clip is the person's own tracked lips, at
the phones that a recogniser hears. Then noise, music and silence, at which the mouth should stay
shut, and speech in noise.

A folder of voices is one that `data_specs.synthetic_talking_head.known_speech` reads. A clip is a
folder with `clip.npz`, as `python -m experiments.prepare VIDEO --output runs/prepared` makes it.
"""

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import tyro

from data_specs.synthetic_talking_head.animation import animate
from data_specs.synthetic_talking_head.known_speech import load_known_speech
from data_specs.synthetic_talking_head.phone_names import cmu_from_mnemonic
from data_specs.synthetic_talking_head.recording import with_noise
from facial_jax.audio.waveform import AudioSource
from facial_jax.data.tracked_clip import FILE_NAME, load_tracked_clip
from facial_jax.metrics.lips import (
    GESTURES,
    GestureScore,
    Lips,
    Phone,
    correlation,
    face_lips,
    lips_that_touch,
    motion_correlation,
    score_gestures,
    wide_opening,
)
from facial_jax.metrics.recognised_phones import recognise_phones
from facial_jax.speech.espeak import Utterance, speak
from facial_jax.speech_attributes import attributes_from_speech
from facial_jax.subject import Subject, load_subject

FPS = Fraction(25)
SAMPLE_RATE = 16000
WIDE_SENTENCE = "Maybe Bob bought a map of Bombay, but papa prefers pumpkin pie."
"""What the animator's truth opens the mouth to when espeak-ng says it is called wide."""
SENTENCES = (
    "My brother bought a bag of apples, a map and a big lamp.",
    "Five ferries move very far from home before the evening.",
    "You would want to move those two shoes over to the window.",
    "Mum and papa built a farm above the beach, but the barn burned down.",
    "What a hot summer: father put plums and beans into the garden pot.",
    "The problem was not simple, because the bus from Boston never came.",
)
GERMAN_SENTENCES = (
    "Am Abend malt meine Mama ein buntes Bild von einem Baum.",
    "Papa bringt am Mittag immer einen warmen Apfelkuchen mit.",
    "Vier Vögel fliegen am Fenster vorbei, und im Park spielt Musik.",
)
NOISE_DB = 10.0

RecognisePhones = Callable[[np.ndarray], list[Phone]]
"""Waveform at 16 kHz → the phones that are heard in it."""


@dataclass(frozen=True)
class Arguments:
    """What is measured."""

    subject: str = "demo"
    """A bundled subject's name, or a subject's folder."""
    voices: tuple[Path, ...] = ()
    """Folders of wav files with phones.json."""
    clips: tuple[Path, ...] = ()
    """Folders of tracked real clips, as experiments.prepare makes them."""
    json: Path | None = None
    """Where to write the numbers, too."""


@dataclass
class Recording:
    """Speech whose sounds are known, and the lips that belong to it."""

    samples: np.ndarray
    # (n,) float32 in [-1, 1]
    sample_rate: int
    phones: list[Phone]
    # what is said, as far as lips show it
    lips: Lips
    # the truth: the animator's, or the person's own
    fps: Fraction = FPS
    # of the truth
    seen: np.ndarray | None = None
    # (t,) bool, the frames in which the lips were seen; None: all


@dataclass
class Report:
    """One recording, or several together: how the truth and the generated lips move."""

    name: str
    # of the sound
    truth: dict[str, GestureScore]
    # the animator's, or the person's own
    generated: dict[str, GestureScore]
    # the subject's
    correlations: dict[str, float]
    # of the gap as it is; of gap and width in what is faster than a second, with their lags


def said(utterance: Utterance, subject: Subject, phones: list[Phone] | None = None) -> Recording:
    """An utterance, its phones by their CMU names and the animator's lips."""
    if phones is None:
        phones = [Phone(cmu_from_mnemonic(p.name), p.start_s, p.end_s) for p in utterance.phonemes]
    lips = lips_of(subject, animate(utterance, fps=float(FPS)).expression)
    return Recording(utterance.samples, utterance.sample_rate, phones, lips)


def known_voice(folder: Path, subject: Subject) -> list[Recording]:
    """The recordings of a folder with phones.json."""
    return [
        said(
            known.utterance(),
            subject,
            [p._replace(name=p.name.rstrip("012")) for p in known.phones],
        )
        for known in load_known_speech(folder)
    ]


def real_clip(folder: Path, subject: Subject, recognise: RecognisePhones) -> Recording:
    """A tracked clip: the person's lips, and the phones that are heard."""
    clip, _ = load_tracked_clip(folder / FILE_NAME)
    samples = clip.waveform.astype(np.float32) / np.float32(32768)
    lips = lips_of(subject, np.where(clip.valid[:, None], clip.expression, 0))
    return Recording(
        samples=samples,
        sample_rate=SAMPLE_RATE,
        phones=recognise(samples),
        lips=lips_that_touch(lips, clip.valid),
        fps=clip.frame_rate,
        seen=clip.valid,
    )


def lips_of(subject: Subject, expression: np.ndarray) -> Lips:
    """The lips of the subject's face model, of the average person: the same for everybody."""
    identity = np.zeros_like(np.asarray(subject.identity.identity))
    return face_lips(subject.face_model, identity, np.asarray(expression))


def generated_lips(
    subject: Subject, samples: np.ndarray, sample_rate: int, fps: Fraction, count: int | None = None
) -> Lips:
    """The subject's lips at this sound, `count` frames, the last one repeated if need be."""
    source = AudioSource((samples, sample_rate))
    expression = np.asarray(attributes_from_speech(source, subject, fps=fps).expression)
    if count is not None:
        padding = max(0, count - len(expression))
        expression = np.pad(expression[:count], ((0, padding), (0, 0)), mode="edge")
    return lips_of(subject, expression)


def compare(
    name: str,
    subject: Subject,
    recordings: Sequence[Recording],
    wide: float,
    *,
    sound: Callable[[Recording], np.ndarray] = lambda recording: recording.samples,
) -> Report:
    """The truth's and the generated lips of some recordings, as they sound through `sound`."""
    generated = [
        generated_lips(subject, sound(r), r.sample_rate, r.fps, len(r.lips)) for r in recordings
    ]
    truth = [r.lips for r in recordings]
    phones, fps = [r.phones for r in recordings], [float(r.fps) for r in recordings]
    seen = [np.ones(len(r.lips), bool) if r.seen is None else r.seen for r in recordings]
    known = dict(wide=wide, fps=fps, seen=seen)
    correlations = {
        "gap": correlation(
            [one.gap[mask] for one, mask in zip(generated, seen, strict=True)],
            [one.gap[mask] for one, mask in zip(truth, seen, strict=True)],
        )
    }
    for channel in ("gap", "width"):
        value, lag = motion_correlation(
            [getattr(one, channel) for one in generated],
            [getattr(one, channel) for one in truth],
            fps=fps,
            seen=seen,
        )
        correlations |= {f"fast {channel}": value, f"{channel} lag": lag}
    return Report(
        name,
        score_gestures(truth, phones, **known),
        score_gestures(generated, phones, **known),
        correlations,
    )


def add_noise(samples: np.ndarray, ratio_db: float, seed: int) -> np.ndarray:
    """White noise, `ratio_db` below the recording's mean power."""
    noise = np.random.default_rng(seed).standard_normal(len(samples))
    return np.clip(with_noise(samples, noise, ratio_db), -1, 1).astype(np.float32)


def sounds_without_speech(seconds: float = 12.0) -> dict[str, np.ndarray]:
    """Silence, noises and music, float32 at 16 kHz."""
    rng = np.random.default_rng(0)
    count = round(seconds * SAMPLE_RATE)
    white = rng.standard_normal(count)
    frequencies = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    pink = np.fft.irfft(np.fft.rfft(white) / np.sqrt(np.maximum(frequencies, 20.0)), count)
    sounds = {
        "silence": np.zeros(count),
        "faint noise": 0.003 * white,
        "white noise": 0.1 * white,
        "pink noise": 0.1 * pink / pink.std(),
        "music": music(seconds),
    }
    return {name: np.clip(x, -1, 1).astype(np.float32) for name, x in sounds.items()}


def music(seconds: float) -> np.ndarray:
    """Chords, a bass, a tune and a drum, made of decaying harmonics: (n,) float64 at 16 kHz."""
    rng = np.random.default_rng(1)
    beat_s = 0.3
    x = np.zeros(round((seconds + 2) * SAMPLE_RATE))

    def play(start_s, pitch, length_s, level):
        t = np.arange(round(length_s * SAMPLE_RATE)) / SAMPLE_RATE
        frequency = 440 * 2 ** ((pitch - 69) / 12)
        harmonics = sum(np.sin(2 * np.pi * k * frequency * t) / k**1.5 for k in range(1, 9))
        begin = round(start_s * SAMPLE_RATE)
        fade = np.minimum(t / 0.01, 1) * np.exp(-3 * t / length_s)
        x[begin : begin + len(t)] += level * harmonics * fade

    chords = ((57, 60, 64), (53, 57, 60), (48, 55, 64), (55, 59, 62))
    for beat in range(int(seconds / beat_s)):
        chord = chords[beat // 8 % len(chords)]
        start_s = beat * beat_s
        if beat % 8 == 0:
            for pitch in chord:
                play(start_s, pitch, 1.8, 0.06)
        if beat % 2 == 0:
            play(start_s, chord[0] - 12, 0.6, 0.12)
        play(start_s, 12 + chord[int(rng.integers(3))], 0.4, 0.1)
        begin, length = round(start_s * SAMPLE_RATE), round(0.06 * SAMPLE_RATE)
        drum = rng.standard_normal(length) * np.exp(-np.arange(length) / 150)
        x[begin : begin + length] += 0.15 * drum
    return x[: round(seconds * SAMPLE_RATE)]


def largest_openings(subject: Subject, wide: float) -> dict[str, float]:
    """How far the mouth opens, as a share of wide, when nobody speaks."""
    return {
        name: float(generated_lips(subject, x, SAMPLE_RATE, FPS).gap.max() / wide)
        for name, x in sounds_without_speech().items()
    }


def table(reports: Iterable[Report]) -> str:
    """Each gesture as value (chance); correlations raw, and of what is faster than a second."""
    lines = [
        f"{'':<34}{'closed':>14}{'opened':>14}{'narrowed':>14}{'to teeth, mm':>14}"
        f"{'gap':>7}{'fast gap':>12}{'fast width':>12}"
    ]
    for report in reports:
        counts = "/".join(str(report.generated[name].sounds) for name in GESTURES)
        for whose, scores in (("truth", report.truth), ("generated", report.generated)):
            cells = "".join(
                f"{scores[name].value:>7.2f} ({scores[name].chance:4.2f})" for name in GESTURES
            )
            title = f"{report.name}, {whose}" if whose == "truth" else f"  {whose}, of {counts}"
            line = f"{title:<34}{cells}"
            if whose == "generated":
                c = report.correlations
                line += f"{c['gap']:>7.2f}"
                for channel in ("gap", "width"):
                    line += f"{c[f'fast {channel}']:>8.2f} ({c[f'{channel} lag']:+d})"
            lines.append(line)
    return "\n".join(lines)


def main(arguments: Arguments) -> None:
    """Prints the table, and writes the numbers if a file is given."""
    subject = load_subject(arguments.subject)
    wide = wide_opening(said(speak(WIDE_SENTENCE), subject).lips.gap)
    english = [said(speak(sentence), subject) for sentence in SENTENCES]
    german = [said(speak(sentence, voice="de"), subject) for sentence in GERMAN_SENTENCES]
    voices = {folder.name: known_voice(folder, subject) for folder in arguments.voices}
    reports = [
        compare("espeak-ng", subject, english, wide),
        compare("espeak-ng, German", subject, german, wide),
    ]
    for name, recordings in voices.items():
        reports.append(compare(name, subject, recordings, wide))
    for number, (name, recordings) in enumerate(voices.items()):
        noisy = functools.partial(_noisy, seed=number)
        title = f"{name}, noise at {NOISE_DB:g} dB"
        reports.append(compare(title, subject, recordings, wide, sound=noisy))
    for folder in arguments.clips:
        recordings = [real_clip(folder, subject, recognise_phones)]
        reports.append(compare(folder.name, subject, recordings, wide))
    print(table(reports))
    openings = largest_openings(subject, wide)
    print("\nlargest opening, of wide, at sounds without speech")
    for name, opening in openings.items():
        print(f"  {name:<20}{opening:.3f}")
    if arguments.json is not None:
        rows = [
            {
                "name": report.name,
                "truth": {k: vars(v) for k, v in report.truth.items()},
                "generated": {k: vars(v) for k, v in report.generated.items()},
                "correlations": report.correlations,
            }
            for report in reports
        ]
        numbers = {"wide_dm": wide, "reports": rows, "openings": openings}
        arguments.json.write_text(json.dumps(numbers, indent=1) + "\n")


def _noisy(recording: Recording, seed: int) -> np.ndarray:
    return add_noise(recording.samples, NOISE_DB, seed)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
