"""What the report draws as pictures: landmarks' traces over time, and the spectrogram."""

import numpy as np
from jaxtyping import Float, UInt8

from facial_jax.audio.mfcc import MEL_BANDS, log_mel
from facial_jax.pictures import opencv

TRACE_SIZE = 420
_MARGIN = 0.08
_RANGE_NEPERS = 9.0


def tracemap(points: Float[np.ndarray, "t 68 2"]) -> UInt8[np.ndarray, "h w 3"]:
    """The ways of all landmarks over time in one picture, as in FACIAL's Fig. 5.

    From blue at the video's start to red at its end, on white, within the landmarks' own bounds.
    """
    cv2 = opencv()
    image = np.full((TRACE_SIZE, TRACE_SIZE, 3), 255, np.uint8)
    seen = points[np.isfinite(points).all(axis=(1, 2))]
    if len(seen) < 2:
        return image
    low, high = seen.min(axis=(0, 1)), seen.max(axis=(0, 1))
    scale = TRACE_SIZE * (1 - 2 * _MARGIN) / float((high - low).max())
    places = (seen - (low + high) / 2) * scale + TRACE_SIZE / 2
    # Sixteenths of pixels.
    fixed = np.rint(places * 16).astype(np.int32)
    for i in range(len(fixed) - 1):
        share = i / (len(fixed) - 1)
        color = (int(40 + 190 * share), 70, int(200 - 170 * share))
        lines = np.stack([fixed[i], fixed[i + 1]], axis=1)[:, :, None]
        cv2.polylines(image, list(lines), False, color, 1, cv2.LINE_AA, 4)
    return image


def spectrogram(samples: Float[np.ndarray, "n"], width: int) -> UInt8[np.ndarray, "h w 3"]:
    """The 26 mel bands of a sound over its time, dark where loud, low bands at the bottom."""
    mel = log_mel([samples])[:, :MEL_BANDS]
    loud = np.clip((mel - mel.max()) / _RANGE_NEPERS + 1, 0, 1)
    grey = np.round(255 * (1 - loud)).astype(np.uint8).T[::-1]
    cv2 = opencv()
    shown = cv2.resize(
        np.ascontiguousarray(grey), (width, 4 * MEL_BANDS), interpolation=cv2.INTER_AREA
    )
    return np.repeat(shown[..., None], 3, axis=2)
