"""From an utterance to a talking head's attributes: expression, pose and blink.

What the head does must largely be predictable from the speech, because FACIAL-GAN knows little
else: visemes follow the phonemes, the head and the eyes accents, phrases and pauses. What is left
to chance is smooth, and forgotten after some seconds.
"""

import dataclasses

import numpy as np

from data_specs.synthetic_talking_head.blinks import blink_curve
from data_specs.synthetic_talking_head.head_motion import POSE_LIMITS, head_pose
from data_specs.synthetic_talking_head.prosody import (
    GRID_HZ,
    accents,
    gaussian_smooth,
    loudness,
    speaking,
)
from data_specs.synthetic_talking_head.style import DEMO_STYLE, Style
from data_specs.synthetic_talking_head.visemes import SMILE, mouth_shapes
from facial_jax.attributes import Attributes
from facial_jax.speech.espeak import Phoneme, Utterance, speak

__all__ = [
    "POSE_LIMITS",
    "animate",
    "cut_utterance",
    "demo_attributes",
    "join_utterances",
    "silence",
]

BROW_INNER_RAISE, BROW_OUTER_RAISE, CHEEK_RAISE = 12, 13, 15


def animate(
    utterance: Utterance, style: Style = DEMO_STYLE, *, fps: float = 25.0, seed: int = 0
) -> Attributes:
    """The attributes of a head that speaks `utterance`.

    Args:
        utterance: speech with its phonemes; silence moves too.
        style: the speaker's habits.
        fps: frames per second.
        seed: what is left to chance.

    Returns:
        round(duration · fps) frames, at the middle of each, float32 NumPy arrays.
    """
    pose_rng, blink_rng = np.random.default_rng(seed).spawn(2)
    count = round(utterance.duration_s * fps)
    # The grid reaches a little further than the speech on both sides, so that no frame is at
    # its end.
    times_s = np.arange(-0.5, utterance.duration_s + 1.0, 1 / GRID_HZ)
    expression = _expression(utterance, style, times_s)
    pose = head_pose(utterance, style, times_s, pose_rng)
    blink = blink_curve(utterance, style, times_s, blink_rng)
    frame_times_s = (np.arange(count) + 0.5) / fps

    def sample(x):
        columns = [np.interp(frame_times_s, times_s, column) for column in x.T]
        return np.stack(columns, axis=-1).astype(np.float32)

    return Attributes(
        expression=sample(expression), pose=sample(pose), blink=sample(blink[:, None])[:, 0]
    )


def silence(seconds: float, sample_rate: int = 22050) -> Utterance:
    """An utterance in which nothing is said."""
    samples = np.zeros(round(seconds * sample_rate), np.float32)
    return Utterance(samples, sample_rate, (Phoneme("_", 0.0, len(samples) / sample_rate),))


def join_utterances(parts: list[Utterance]) -> Utterance:
    """One utterance after the other; all at one sample rate."""
    rates = {part.sample_rate for part in parts}
    if len(rates) != 1:
        raise ValueError(f"parts: expected one sample rate, got {sorted(rates)}")
    phonemes, start = [], 0.0
    for part in parts:
        phonemes += [
            dataclasses.replace(p, start_s=p.start_s + start, end_s=p.end_s + start)
            for p in part.phonemes
        ]
        start += part.duration_s
    samples = np.concatenate([part.samples for part in parts])
    return Utterance(samples, parts[0].sample_rate, tuple(phonemes))


def cut_utterance(utterance: Utterance, seconds: float) -> Utterance:
    """The first `seconds`."""
    samples = utterance.samples[: round(seconds * utterance.sample_rate)]
    end_s = len(samples) / utterance.sample_rate
    phonemes = tuple(
        dataclasses.replace(p, end_s=min(p.end_s, end_s))
        for p in utterance.phonemes
        if p.start_s < end_s
    )
    return Utterance(samples, utterance.sample_rate, phonemes)


def demo_attributes(
    seed: int, seconds: float, *, fps: float = 25.0, style: Style = DEMO_STYLE
) -> tuple[Attributes, Utterance]:
    """A made-up speaker talking for `seconds`, with pauses, and what is heard of it."""
    rng = np.random.default_rng(seed)
    parts, length = [silence(0.6)], 0.6
    while length < seconds:
        sentence = _SENTENCES[rng.integers(len(_SENTENCES))]
        parts.append(
            speak(
                sentence, rate_wpm=rng.uniform(140, 180), pitch=rng.uniform(40, 60), pitch_range=55
            )
        )
        parts.append(silence(rng.uniform(0.1, 0.9)))
        length += parts[-1].duration_s + parts[-2].duration_s
    utterance = cut_utterance(join_utterances(parts), seconds)
    return animate(utterance, style, fps=fps, seed=seed), utterance


def _expression(utterance: Utterance, style: Style, times_s: np.ndarray) -> np.ndarray:
    """(t, 64) on the grid: the mouth by visemes, brows by accents, a trace of a smile."""
    loud = loudness(utterance, times_s)
    expression = mouth_shapes(
        utterance.phonemes, loud, times_s, articulation=style.articulation, lips=style.lips
    )
    brows = np.zeros(len(times_s))
    for accent in accents(utterance):
        # The brows lead the voice a little and come down slower than they go up.
        lag = times_s - (accent.time_s - 0.05)
        width = np.where(lag < 0, 0.12, 0.25)
        brows = np.maximum(brows, accent.strength**2 * np.exp(-0.5 * (lag / width) ** 2))
    brows = style.brow_accent * gaussian_smooth(brows, 0.04)
    expression[:, BROW_INNER_RAISE] = 0.8 * brows
    expression[:, BROW_OUTER_RAISE] = brows
    talking = speaking(utterance, times_s, 0.3)
    expression[:, SMILE] += style.smile * (1 + 0.6 * talking)
    expression[:, CHEEK_RAISE] = 0.5 * style.smile * (1 + 0.6 * talking)
    return expression


_SENTENCES = (
    "Good morning, and welcome to the programme.",
    "We begin today with the weather along the coast, where it has rained since Monday.",
    "My grandmother baked bread every Friday, and the whole street knew about it.",
    "Please move the big blue box before somebody falls over it!",
    "How many people would you expect to meet on a mountain in February?",
    "The river is wide here; boats pass slowly, one after another.",
    "Well, I have never been able to remember where I put my glasses.",
    "Five farmers found a very fine fiddle behind the barn.",
    "She paid the ferryman, thanked him warmly, and walked up the hill to the town.",
    "Open the window a little more, so that everybody can hear the music.",
    "Perhaps we should wait until the others have arrived.",
    "Maybe. But what if the bus comes before they do?",
    "A small machine on the table hummed, blinked twice, and stopped.",
    "Our team measured every bridge in the valley, from the oldest to the newest.",
    "The problem is simple, the answer is not.",
    "Would you pass me the paper, please? Thank you very much.",
)
