"""The blink as OpenFace's AU45 intensity, 0 to 5, calibrated for each person.

Two signs of a closing eye are brought to the same scale and averaged:

- the eye's opening: (|p1−p5| + |p2−p4|) / (2 |p0−p3|) over the six landmarks of an eye (Soukupová
  and Čech, "Real-time eye blink detection using facial landmarks", 2016), divided by the person's
  own when open, the 80th percentile over the clip. AU45 = 5 · (1 − opening) / (1 − c): at a tenth
  of its own opening an eye is closed, c = 0.1;
- MediaPipe's blink score, mean of both eyes: AU45 = 5 · (score − s₀) / (s₁ − s₀), where s₀, the
  clip's median, is the open eye's score and s₁ the closed one's: 0.65, as MediaPipe gives for a
  fully closed eye, or the clip's 99.5th percentile if that is higher.

Landmarks of narrow eyes, and of blinks that last a frame or two, never meet. So if both signs agree
that the clip shows closed eyes, c is the least opening of these, and s₁ their highest score, as far
as this makes blinks stronger.

Values below 0.4 are the noise of an open eye and become 0 without a step.
"""

import numpy as np
from jaxtyping import Float

from facial_jax.attributes import MAX_BLINK

LEFT_EYE, RIGHT_EYE = tuple(range(36, 42)), tuple(range(42, 48))
OPEN_PERCENTILE = 80.0
CLOSED_OPENING = 0.1  # of the person's own
CLOSED_SCORE = 0.65
_SHUT_OPENING, _SHUT_SCORE = 0.3, 0.4  # of eyes that are closed, if both signs say so
NOISE = 0.4


def eye_openings(points: Float[np.ndarray, "t 68 2"]) -> Float[np.ndarray, "t 2"]:
    """Height over width of each eye, the picture's left one first; NaN without landmarks."""
    ratios = []
    for eye in (LEFT_EYE, RIGHT_EYE):
        p = points[:, list(eye)]

        def distance(a, b, p=p):
            return np.linalg.norm(p[:, a] - p[:, b], axis=-1)

        ratios.append((distance(1, 5) + distance(2, 4)) / (2 * np.maximum(distance(0, 3), 1e-6)))
    return np.stack(ratios, axis=1).astype(np.float32)


def relative_opening(points: Float[np.ndarray, "t 68 2"]) -> Float[np.ndarray, "t"]:
    """Mean opening of both eyes over the person's own when open; NaN without landmarks."""
    opening = eye_openings(points).mean(axis=1)
    if not np.isfinite(opening).any():
        return opening
    return opening / max(float(np.nanpercentile(opening, OPEN_PERCENTILE)), 1e-3)


def blink_intensity(
    points: Float[np.ndarray, "t 68 2"], scores: Float[np.ndarray, "t 2"]
) -> Float[np.ndarray, "t"]:
    """AU45 intensity of every frame, 0 = open, 5 = closed (see the module's docstring).

    Args:
        points: landmarks in pixels; NaN where there is no face.
        scores: MediaPipe's eyeBlink scores of both eyes in [0, 1]; NaN where there is no face.

    Returns:
        Intensities in [0, 5]; NaN where there is no face.
    """
    opening, score = relative_opening(points), scores.mean(axis=1)
    if not np.isfinite(score).any():
        return score.astype(np.float32)
    opened, closed_opening = float(np.nanmedian(score)), CLOSED_OPENING
    closed = max(CLOSED_SCORE, float(np.nanpercentile(score, 99.5)))
    if (shut := (opening <= _SHUT_OPENING) & (score >= _SHUT_SCORE)).any():
        closed_opening = max(closed_opening, float(opening[shut].min()))
        closed = min(closed, float(score[shut].max()))
    closed = max(closed, opened + 0.2)
    by_opening = MAX_BLINK * (1 - opening) / (1 - closed_opening)
    by_score = MAX_BLINK * (score - opened) / (closed - opened)
    blink = (np.clip(by_opening, 0, MAX_BLINK) + np.clip(by_score, 0, MAX_BLINK)) / 2
    above = np.maximum(blink - NOISE, 0) * MAX_BLINK / (MAX_BLINK - NOISE)
    return above.astype(np.float32)
