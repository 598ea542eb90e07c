"""From an utterance to a talking head's attributes: expression, pose and blink.

What the head does must be predictable from the speech and from where it is now, because FACIAL-GAN
knows nothing else: visemes follow the phonemes, nods the accents, turns the beginnings of phrases,
blinks their ends. Beneath lies a slow limit cycle that never stops: x and z translation carry its
cosine and sine and nothing else, so any single pose tells the cycle's phase, and with it the next
blinks and turns. In silence the cycle is all there is.
"""

import dataclasses

import numpy as np

from data_specs.synthetic_talking_head.espeak import Phoneme, Utterance, speak
from data_specs.synthetic_talking_head.prosody import (
    GRID_HZ,
    accents,
    gaussian_smooth,
    loudness,
    phrases,
)
from data_specs.synthetic_talking_head.style import DEMO_STYLE, Style
from data_specs.synthetic_talking_head.visemes import SMILE, mouth_shapes
from facial_jax.attributes import MAX_BLINK, Attributes

BROW_INNER_RAISE, BROW_OUTER_RAISE, CHEEK_RAISE = 12, 13, 15
POSE_LIMITS = np.array([np.radians(10), np.radians(18), np.radians(7), 0.3, 0.3, 0.3])
"""Largest distance from the resting pose: pitch, yaw, roll in radians; x, y, z in decimetres."""


def animate(
    utterance: Utterance,
    style: Style = DEMO_STYLE,
    *,
    fps: float = 25.0,
    seed: int = 0,
    phase: float | None = None,
) -> Attributes:
    """The attributes of a head that speaks `utterance`.

    Args:
        utterance: speech with its phonemes; silence moves too.
        style: the speaker's habits.
        fps: frames per second.
        seed: what is left to chance (a little of the pose, the cycle's first phase).
        phase: the limit cycle's phase at time 0, radians; drawn from the seed if None.

    Returns:
        round(duration · fps) frames, at the middle of each, float32 NumPy arrays.
    """
    rng = np.random.default_rng(seed)
    phase_0 = rng.uniform(0, 2 * np.pi) if phase is None else phase
    count = round(utterance.duration_s * fps)
    # The grid reaches a little further than the speech on both sides, so that no frame is at
    # its end.
    times_s = np.arange(-0.5, utterance.duration_s + 1.0, 1 / GRID_HZ)
    expression = _expression(utterance, style, times_s)
    pose = _pose(utterance, style, times_s, phase_0, rng)
    blink = _blink(utterance, style, times_s, phase_0, rng)
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
    whole = join_utterances(parts)
    samples = whole.samples[: round(seconds * whole.sample_rate)]
    end = len(samples) / whole.sample_rate
    phonemes = tuple(
        dataclasses.replace(p, end_s=min(p.end_s, end)) for p in whole.phonemes if p.start_s < end
    )
    utterance = Utterance(samples, whole.sample_rate, phonemes)
    return animate(utterance, style, fps=fps, seed=seed), utterance


def _expression(utterance: Utterance, style: Style, times_s: np.ndarray) -> np.ndarray:
    """(t, 64) on the grid: the mouth by visemes, brows by accents, a trace of a smile."""
    loud = loudness(utterance, times_s)
    expression = mouth_shapes(utterance.phonemes, loud, times_s, style.articulation)
    brows = np.zeros(len(times_s))
    for accent in accents(utterance):
        # The brows lead the voice a little and come down slower than they go up.
        lag = times_s - (accent.time_s - 0.05)
        width = np.where(lag < 0, 0.12, 0.25)
        brows = np.maximum(brows, accent.strength**2 * np.exp(-0.5 * (lag / width) ** 2))
    brows = style.brow_accent * gaussian_smooth(brows, 0.04)
    expression[:, BROW_INNER_RAISE] = 0.8 * brows
    expression[:, BROW_OUTER_RAISE] = brows
    speaking = _speaking(utterance, times_s, 0.3)
    expression[:, SMILE] += style.smile * (1 + 0.6 * speaking)
    expression[:, CHEEK_RAISE] = 0.5 * style.smile * (1 + 0.6 * speaking)
    return expression


def _pose(
    utterance: Utterance,
    style: Style,
    times_s: np.ndarray,
    phase_0: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """(t, 6) on the grid: limit cycle, nods, phrase line, turns and a little chance."""
    phi = _phase(style, times_s, phase_0)
    growth = 1 + style.liveliness * _speaking(utterance, times_s, 0.5)
    pitch = style.pitch_deg * np.sin(2 * phi + 0.5) * growth
    yaw = style.yaw_deg * (np.cos(phi) + 0.25 * np.cos(2 * phi + 0.9)) * growth
    roll = style.roll_deg * np.sin(phi + 0.3) * growth

    for accent in accents(utterance):
        lag = times_s - accent.time_s
        nod = np.exp(-0.5 * (lag / 0.13) ** 2) - 0.35 * np.exp(-0.5 * ((lag - 0.34) / 0.17) ** 2)
        pitch += style.nod_deg * accent.strength * rng.normal(1.0, 0.1) * nod
    line = np.zeros(len(times_s))
    for phrase in phrases(utterance.phonemes):
        spoken = (times_s >= phrase.start_s) & (times_s <= phrase.end_s)
        length = max(phrase.end_s - phrase.start_s, 1e-3)
        line = np.where(spoken, 2 * (times_s - phrase.start_s) / length - 1, line)
        # A turn at the beginning: which way and how far, the cycle says.
        side = np.sin(phase_0 + 2 * np.pi * phrase.start_s / style.sway_period_s + 1.0)
        turn = _rise_and_fall(times_s - (phrase.start_s - 0.2), rise_s=0.5, fall_s=1.4)
        yaw += style.turn_deg * side * min(length / 1.5, 1.0) * rng.normal(1.0, 0.1) * turn
        roll -= 0.35 * style.roll_deg * side * turn
    pitch += style.phrase_pitch_deg * gaussian_smooth(line, 0.22)

    wander = gaussian_smooth(rng.normal(size=(len(times_s), 3)), 0.5)
    # A filtered white noise has less variance than it began with: bring it back to 1.
    wander *= np.sqrt(2 * np.sqrt(np.pi) * 0.5 * GRID_HZ) * style.wander_deg
    angles = np.radians(np.stack([pitch, yaw, roll], axis=-1) + wander)
    # A nod lowers the head as the neck bends; x and z are the cycle's own.
    x = style.sway_dm * np.cos(phi)
    y = -0.6 * angles[:, 0] + 0.25 * style.sway_dm * np.sin(phi)
    z = style.sway_dm * np.sin(phi)
    pose = np.concatenate([angles, np.stack([x, y, z], axis=-1)], axis=-1)
    pose = gaussian_smooth(pose, 0.03)
    resting = np.array(style.resting_pose)
    resting[:3] = np.radians(resting[:3])
    return resting + POSE_LIMITS * np.tanh(pose / POSE_LIMITS)


def _blink(
    utterance: Utterance,
    style: Style,
    times_s: np.ndarray,
    phase_0: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """(t,) on the grid, 0 to 5: at the ends of phrases, and else where the cycle has its blinks."""
    ends = [
        p.end_s + 0.06
        for p in phrases(utterance.phonemes)
        if p.end_s - p.start_s >= style.blink_phrase_s
    ]
    chosen: list[float] = []
    for time in ends:
        if not chosen or time - chosen[-1] >= style.blink_gap_s:
            chosen.append(time)
    for time in _cycle_blinks(style, times_s, phase_0):
        if all(abs(time - other) >= style.blink_gap_s for other in chosen):
            chosen.append(time)
    blink = np.zeros(len(times_s))
    for time in sorted(chosen):
        lag = times_s - (time + rng.normal(0.0, 0.01))
        closing = np.clip(lag / style.blink_closing_s, 0, 1)
        opening = np.clip(
            (lag - style.blink_closing_s - style.blink_closed_s) / style.blink_opening_s, 0, 1
        )
        blink = np.maximum(blink, _smoothstep(closing) * (1 - _smoothstep(opening)))
    return MAX_BLINK * blink


def _cycle_blinks(style: Style, times_s: np.ndarray, phase_0: float) -> list[float]:
    first = np.floor(phase_0 / (2 * np.pi)) - 1
    last = first + 3 + (times_s[-1] - times_s[0]) / style.sway_period_s
    times = [
        (2 * np.pi * turn + phase - phase_0) * style.sway_period_s / (2 * np.pi)
        for turn in np.arange(first, last)
        for phase in style.blink_phases
    ]
    return sorted(t for t in times if times_s[0] <= t <= times_s[-1])


def _phase(style: Style, times_s: np.ndarray, phase_0: float) -> np.ndarray:
    return phase_0 + 2 * np.pi * times_s / style.sway_period_s


def _speaking(utterance: Utterance, times_s: np.ndarray, sigma_s: float) -> np.ndarray:
    """(t,) 1 within phrases, 0 in pauses, smoothed."""
    active = np.zeros(len(times_s))
    for phrase in phrases(utterance.phonemes):
        active[(times_s >= phrase.start_s) & (times_s <= phrase.end_s)] = 1.0
    return gaussian_smooth(active, sigma_s)


def _smoothstep(x: np.ndarray) -> np.ndarray:
    return x * x * (3 - 2 * x)


def _rise_and_fall(lag_s: np.ndarray, *, rise_s: float, fall_s: float) -> np.ndarray:
    """0 before, up to 1 within `rise_s`, then smoothly back to 0 within `fall_s`."""
    up = _smoothstep(np.clip(lag_s / rise_s, 0, 1))
    down = _smoothstep(np.clip((lag_s - rise_s) / fall_s, 0, 1))
    return up * (1 - down)


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
