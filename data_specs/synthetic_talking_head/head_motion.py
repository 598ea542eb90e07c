"""Pose: how a head answers speech.

Almost everything is an answer to what is heard, in the speaker's own manner: accents are nodded,
phrases swayed through and come down from, ends marked, pauses looked away in. The answers begin and
end with speech, so they can be learnt from windows of it; and since the sway's yaw, roll and
sideways translation are out of phase, one pose tells where in it the head is. The rest is chance.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from data_specs.synthetic_talking_head.prosody import (
    GRID_HZ,
    accents,
    gaussian_smooth,
    phrases,
    speaking,
)
from data_specs.synthetic_talking_head.style import Style
from facial_jax.speech.espeak import Utterance

POSE_LIMITS = np.array([np.radians(12), np.radians(20), np.radians(8), 0.3, 0.3, 0.3])
"""Largest distance from the resting pose: pitch, yaw, roll in radians; x, y, z in decimetres."""

_POSTURE_S = 4.0
_NOISE_HZ = 20
_EVENT_SPREAD = 0.15


def head_pose(
    utterance: Utterance, style: Style, times_s: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Pose on the animator's grid, (t, 6): pitch, yaw, roll in radians; x, y, z in decimetres."""
    # Each kind of chance has a stream of its own: one more accent does not change all the rest.
    accent_rng, pause_rng, noise_rng = rng.spawn(3)
    degrees = _accents(utterance, style, times_s, accent_rng)
    sway_deg, sway_dm = _sway(utterance, style, times_s)
    degrees += sway_deg + _phrase_line(utterance, style, times_s)
    degrees += _ends_and_pauses(utterance, style, times_s, pause_rng)
    talking = speaking(utterance, times_s, 0.25)
    degrees += talking[:, None] * np.array(style.speaking_deg)
    fast = _noise(noise_rng, times_s, style.wander_s, 3)
    slow = _noise(noise_rng, times_s, _POSTURE_S, 3)
    degrees += (0.7 * fast + 0.7 * slow) * np.array(style.wander_deg)

    # The head turns about the neck, below and behind the middle of the face.
    pitch, yaw, roll = np.radians(degrees).T
    translation = np.stack([0.5 * yaw - roll, -0.6 * pitch, 0.3 * pitch], axis=-1)
    translation += 0.02 * _noise(noise_rng, times_s, _POSTURE_S, 3)
    translation[:, 0] += sway_dm
    translation[:, 2] += style.lean_dm * talking
    pose = np.concatenate([np.radians(degrees), translation], axis=-1)
    pose = gaussian_smooth(pose, 0.04)
    return resting_pose(style) + POSE_LIMITS * np.tanh(pose / POSE_LIMITS)


def resting_pose(style: Style) -> np.ndarray:
    """(6,) the pose that the head comes back to, in radians and decimetres."""
    resting = np.array(style.resting_pose)
    resting[:3] = np.radians(resting[:3])
    return resting


def _accents(utterance, style, times_s, rng) -> np.ndarray:
    """(t, 3) degrees: there, and a little past the start on the way back."""
    movement = np.zeros(len(times_s))
    width = style.accent_width_s
    for accent in accents(utterance):
        lag = times_s - accent.time_s - style.accent_lag_s
        bump = np.exp(-0.5 * (lag / width) ** 2)
        bump -= 0.35 * np.exp(-0.5 * ((lag - 2.6 * width) / (1.3 * width)) ** 2)
        movement += accent.strength * rng.normal(1.0, _EVENT_SPREAD) * bump
    return movement[:, None] * np.array(style.accent_deg)


def _sway(utterance, style, times_s) -> tuple[np.ndarray, np.ndarray]:
    """(t, 3) degrees and (t,) decimetres: to and fro at the speaker's tempo from each phrase's
    beginning on, ebbing away after its end."""
    degrees, sideways = np.zeros((len(times_s), 3)), np.zeros(len(times_s))
    spoken = phrases(utterance)
    for i, phrase in enumerate(spoken):
        begin = phrase.start_s - 0.2
        # A new phrase takes over from the one before.
        until = spoken[i + 1].start_s - 0.2 if i + 1 < len(spoken) else np.inf
        end = min(phrase.end_s + 0.1, until)
        fade_s = min(0.9, max(until - end, 0.25))
        envelope = rise(times_s - begin, 0.5) * (1 - rise(times_s - end, fade_s))
        envelope *= min((phrase.end_s - phrase.start_s) / 1.0, 1.0)
        phi = 2 * np.pi * (times_s - begin) / style.sway_period_s
        shape = np.stack([np.sin(2 * phi), np.sin(phi), np.sin(phi - style.sway_phase)], axis=-1)
        degrees += envelope[:, None] * shape * np.array(style.sway_deg)
        sideways -= envelope * style.sway_dm * np.cos(phi)
    return degrees, sideways


def _phrase_line(utterance, style, times_s) -> np.ndarray:
    """(t, 3) degrees: raised when a phrase begins, lowered when it ends, as its melody is."""
    line = np.zeros(len(times_s))
    for phrase in phrases(utterance):
        length = phrase.end_s - phrase.start_s
        spoken = (times_s >= phrase.start_s) & (times_s <= phrase.end_s)
        line[spoken] = (2 * (times_s[spoken] - phrase.start_s) / length - 1) * min(length, 1.0)
    pitch = style.declination_deg * gaussian_smooth(line, 0.15)
    return pitch[:, None] * np.array([1.0, 0.0, 0.0])


def _ends_and_pauses(utterance, style, times_s, rng) -> np.ndarray:
    """(t, 3) degrees: one movement at the end of a phrase, another one through a long pause."""
    degrees = np.zeros((len(times_s), 3))
    for phrase in phrases(utterance):
        weight = min(phrase.pause_s / 0.4, 1.0) * rng.normal(1.0, _EVENT_SPREAD)
        lag = times_s - phrase.end_s - 0.1
        width = np.where(lag < 0, 0.16, 0.28)
        bump = np.exp(-0.5 * (lag / width) ** 2)
        degrees += weight * bump[:, None] * np.array(style.end_deg)
        away = np.clip((phrase.pause_s - 0.3) / 0.7, 0.0, 1.0) * rng.normal(1.0, _EVENT_SPREAD)
        there = rise(times_s - phrase.end_s - 0.1, 0.5)
        back = rise(times_s - (phrase.end_s + min(phrase.pause_s, 2.0) - 0.3), 0.6)
        degrees += away * (there * (1 - back))[:, None] * np.array(style.pause_deg)
    return degrees


def _noise(
    rng: np.random.Generator, times_s: np.ndarray, sigma_s: float, channels: int
) -> np.ndarray:
    """(t, channels) noise of variance 1 through a Gaussian filter of this width."""
    sigma = sigma_s * _NOISE_HZ
    radius = int(np.ceil(4 * sigma))
    count = int(np.ceil(len(times_s) * _NOISE_HZ / GRID_HZ)) + 1
    kernel = gaussian_filter1d(np.eye(2 * radius + 1)[radius], sigma, radius=radius)
    white = rng.standard_normal((channels, count + 2 * radius))
    smooth = gaussian_filter1d(white, sigma, axis=1, radius=radius)[:, radius : radius + count]
    smooth /= np.sqrt((kernel**2).sum())
    at = np.arange(len(times_s)) * _NOISE_HZ / GRID_HZ
    return np.stack([np.interp(at, np.arange(count), x) for x in smooth], axis=-1)


def rise(lag_s: np.ndarray, length_s: float) -> np.ndarray:
    """Smoothly from 0 at lag 0 to 1 at `length_s`."""
    x = np.clip(lag_s / length_s, 0.0, 1.0)
    return x * x * (3 - 2 * x)
