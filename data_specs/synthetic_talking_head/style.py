"""How one made-up speaker moves: the numbers behind `animate`."""

from dataclasses import dataclass

import numpy as np

Degrees = tuple[float, float, float]
"""Pitch, yaw, roll. A positive pitch lowers the face."""


@dataclass(frozen=True)
class Style:
    """A speaker's habits. Angles in degrees, lengths in decimetres, times in seconds."""

    articulation: float = 1.0
    """How widely the jaw moves."""
    lips: float = 1.0
    """How far the lips go round, spread and rise."""
    smile: float = 0.06
    """Mouth corners at rest."""
    brow_accent: float = 0.45
    """How far the brows rise on an accent."""

    resting_pose: tuple[float, float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    """Pitch, yaw, roll in degrees and x, y, z in decimetres about which everything happens."""

    accent_deg: Degrees = (4.6, 1.2, 1.0)
    """Where the head goes on an accent of strength 1: a nod, a lift if negative."""
    accent_width_s: float = 0.13
    """Standard deviation of that movement in time."""
    accent_lag_s: float = 0.04
    """How much later than the accent it peaks."""

    sway_deg: Degrees = (1.6, 5.6, 2.4)
    """Amplitudes of the movement to and fro that every phrase begins anew."""
    sway_period_s: float = 2.8
    sway_phase: float = 1.3
    """By how many radians the roll comes after the yaw."""
    sway_dm: float = 0.08
    """Amplitude of its sideways translation, a quarter of a period after the yaw."""

    speaking_deg: Degrees = (-1.5, 1.5, 0.6)
    """How the head is held while speaking, from rest."""
    lean_dm: float = 0.06
    """How far it comes forward while speaking."""
    declination_deg: float = 2.6
    """A phrase begins with the head this much raised and ends with it this much lowered."""
    end_deg: Degrees = (2.6, 0.8, 1.8)
    """Where the head goes when a phrase ends in a pause: a nod, a lift, a tilt."""
    pause_deg: Degrees = (1.0, -7.0, -1.6)
    """Where it goes, and stays, in a pause of a second or more: the speaker looks away."""

    wander_deg: Degrees = (1.0, 1.7, 0.6)
    """Standard deviation of what no one could predict."""
    wander_s: float = 0.9
    """How slowly that changes."""

    blink_interval_s: float = 3.8
    """How long after a blink the next one is due."""
    blink_end: float = 0.55
    blink_start: float = 1.0
    blink_accent: float = 1.2
    """How much of that interval must have passed for a blink at a phrase's end, at its beginning,
    on an accent."""
    blink_lag_s: float = 0.05
    """From the moment that makes the eyes blink to the blink."""
    blink_closing_s: float = 0.09
    blink_closed_s: float = 0.04
    blink_opening_s: float = 0.17
    blink_peak: float = 4.8
    """Intensity of AU45 in the middle of a usual blink, 0 to 5."""

    voice_rate_wpm: float = 160.0
    pause_s: float = 0.35
    """Mean of the short pauses between sentences."""


def random_style(seed: int | tuple[int, ...]) -> Style:
    """Another speaker's style, the same for the same seed."""
    rng = np.random.default_rng(seed)

    def around(value, spread, low, high):
        return float(np.clip(value * np.exp(rng.normal(0.0, spread)), low, high))

    def degrees(middle, spread, limit):
        drawn = np.clip(rng.normal(middle, spread), -np.array(limit), limit)
        return tuple(float(x) for x in drawn)

    # Some hold their heads still, some never do; what a speaker does most differs as well.
    liveliness = rng.uniform(0.6, 1.5)
    side = rng.choice([-1.0, 1.0])
    resting = rng.normal(0.0, (2.0, 2.5, 1.5, 0.05, 0.04, 0.05))
    blink_interval_s = float(np.exp(rng.uniform(np.log(2.2), np.log(7.5))))
    return Style(
        articulation=around(1.0, 0.15, 0.7, 1.25),
        lips=around(1.0, 0.15, 0.7, 1.25),
        smile=float(rng.uniform(0.0, 0.15)),
        brow_accent=around(0.4, 0.4, 0.15, 0.9),
        resting_pose=tuple(float(x) for x in np.clip(resting, -5.0, 5.0)),
        accent_deg=degrees((4.2 * liveliness, 0.0, 0.0), (1.5, 1.6, 1.2), (7.5, 3.0, 2.4)),
        accent_width_s=float(rng.uniform(0.1, 0.18)),
        accent_lag_s=float(rng.uniform(-0.04, 0.12)),
        sway_deg=(
            float(rng.uniform(0.4, 2.6)) * liveliness,
            side * float(rng.uniform(4.0, 8.5)) * liveliness,
            float(rng.choice([-1.0, 1.0]) * rng.uniform(1.2, 4.0)) * liveliness,
        ),
        sway_period_s=float(rng.uniform(1.7, 4.5)),
        sway_phase=float(rng.uniform(-1.5, 1.5)),
        sway_dm=float(rng.choice([-1.0, 1.0]) * rng.uniform(0.03, 0.12)),
        speaking_deg=degrees((-0.8, 0.0, 0.0), (2.0, 2.4, 1.4), (4.5, 4.5, 2.8)),
        lean_dm=float(rng.uniform(-0.03, 0.12)),
        declination_deg=float(np.clip(rng.normal(2.2, 1.4), -0.5, 4.5)),
        end_deg=degrees((1.2, 0.0, 0.0), (2.8, 1.6, 2.0), (5.5, 3.0, 4.0)),
        pause_deg=degrees((0.0, -6.0 * side, 0.0), (2.8, 4.0, 2.0), (5.5, 11.0, 4.0)),
        wander_deg=(
            around(1.0, 0.25, 0.6, 1.6),
            around(1.7, 0.25, 0.9, 2.8),
            around(0.7, 0.25, 0.4, 1.2),
        ),
        wander_s=float(rng.uniform(0.5, 1.4)),
        blink_interval_s=blink_interval_s,
        blink_end=float(rng.uniform(0.45, 0.85)),
        blink_start=float(rng.uniform(0.6, 1.5)),
        blink_accent=float(rng.uniform(0.9, 1.6)),
        blink_lag_s=float(rng.uniform(0.0, 0.15)),
        blink_closing_s=float(rng.uniform(0.06, 0.11)),
        blink_closed_s=float(rng.uniform(0.02, 0.07)),
        blink_opening_s=float(rng.uniform(0.11, 0.22)),
        blink_peak=float(np.clip(rng.normal(4.6, 0.3), 4.0, 5.0)),
        voice_rate_wpm=float(rng.uniform(125, 200)),
        pause_s=float(rng.uniform(0.2, 0.6)),
    )


DEMO_STYLE = Style()
"""The bundled subject's."""
