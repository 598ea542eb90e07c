"""How one made-up speaker moves: the numbers behind `animate`."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Style:
    """A speaker's habits. Angles in degrees, lengths in decimetres, times in seconds."""

    articulation: float = 1.0
    """How widely the mouth moves."""
    smile: float = 0.06
    """Mouth corners at rest."""
    brow_accent: float = 0.45
    """How far the brows rise on an accent."""

    sway_period_s: float = 5.12
    """One turn of the slow limit cycle that the resting head follows: 128 frames at 25 per second,
    so that FACIAL-GAN's windows, one after the other, begin at the same point of it."""
    yaw_deg: float = 4.2
    pitch_deg: float = 1.0
    roll_deg: float = 1.6
    """Amplitudes of the cycle."""
    sway_dm: float = 0.09
    """Amplitude of the cycle's translation."""
    liveliness: float = 0.35
    """By what share the cycle's rotation grows while speaking."""

    nod_deg: float = 2.6
    """Pitch of a nod on an accent of strength 1."""
    turn_deg: float = 3.2
    """Largest turn of the head at the beginning of a phrase."""
    phrase_pitch_deg: float = 1.2
    """The head starts a phrase this much raised and ends it this much lowered."""
    wander_deg: float = 0.3
    """Standard deviation of what no one could predict."""

    resting_pose: tuple[float, float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    """Pitch, yaw, roll in degrees and x, y, z in decimetres about which everything happens."""

    blink_phases: tuple[float, ...] = (0.7, 3.5)
    """Where in the cycle (radians) the eyes blink by themselves."""
    blink_phrase_s: float = 1.0
    """A phrase at least this long ends with a blink."""
    blink_gap_s: float = 1.5
    """No second blink within this time."""
    blink_closing_s: float = 0.14
    blink_closed_s: float = 0.04
    blink_opening_s: float = 0.22


def random_style(seed: int) -> Style:
    """Another speaker's style, the same for the same seed."""
    rng = np.random.default_rng(seed)

    def around(value, spread):
        return float(value * np.exp(rng.normal(0.0, spread)))

    base = Style()
    degrees = rng.normal(0.0, (1.5, 2.0, 1.0))
    decimetres = rng.normal(0.0, (0.05, 0.04, 0.05))
    first = rng.uniform(0.0, 2 * np.pi)
    return Style(
        articulation=float(np.clip(around(1.0, 0.15), 0.7, 1.25)),
        smile=float(rng.uniform(0.0, 0.15)),
        brow_accent=around(base.brow_accent, 0.3),
        sway_period_s=float(rng.uniform(5.0, 8.0)),
        yaw_deg=around(base.yaw_deg, 0.3),
        pitch_deg=around(base.pitch_deg, 0.3),
        roll_deg=around(base.roll_deg, 0.3),
        sway_dm=around(base.sway_dm, 0.2),
        liveliness=float(rng.uniform(0.1, 0.6)),
        nod_deg=around(base.nod_deg, 0.3),
        turn_deg=around(base.turn_deg, 0.3),
        phrase_pitch_deg=around(base.phrase_pitch_deg, 0.3),
        wander_deg=base.wander_deg,
        resting_pose=tuple(float(x) for x in (*degrees, *decimetres)),
        blink_phases=(first, first + float(rng.uniform(2.2, 4.0))),
        blink_phrase_s=float(rng.uniform(0.8, 2.0)),
        blink_gap_s=float(rng.uniform(1.0, 1.8)),
        blink_closing_s=float(rng.uniform(0.11, 0.17)),
        blink_closed_s=float(rng.uniform(0.03, 0.06)),
        blink_opening_s=float(rng.uniform(0.18, 0.28)),
    )


DEMO_STYLE = Style()
"""The bundled subject's."""
