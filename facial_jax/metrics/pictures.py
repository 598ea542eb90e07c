"""PSNR, SSIM, perceptual distance and CPBD of frames beside the real ones, by one of two protocols.

The field has two ways to put a generated face beside the real picture, and numbers of one say
nothing about those of the other:

- *whole*: all pixels are generated;
- *pasted*: the generated face lies over the real frame, so that hair, shoulders and background are
  the real ones (what TalkingGaussian, SyncTalk and ER-NeRF report).
"""

from pathlib import Path
from typing import Any, Literal

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from facial_jax.compilation import in_batches, jit
from facial_jax.interop.pytorch import load_state_dict, vgg19_features
from facial_jax.metrics.image import perceptual_distance
from facial_jax.metrics.sharpness import cpbd
from facial_jax.models.layers.vgg import VggFeatures, random_features
from facial_jax.pictures import opencv

Protocol = Literal["whole", "pasted"]
PROTOCOLS: tuple[Protocol, ...] = ("whole", "pasted")
MEASURES = ("psnr_db", "ssim", "perceptual", "cpbd")
BATCH = 8
_FEATHER = 0.04  # of the face's height
_FOREHEAD = 0.25

Features = tuple[VggFeatures, Any, str]
"""A network, its variables, and what is said of it."""


def perceptual_features(vgg: Path | None = None) -> Features:
    """torchvision's VGG-19 if the user has its weights, else a narrow one of random weights.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it holds something else.
    """
    if vgg is None:
        return *random_features(), "random weights: only to be compared with itself"
    return *vgg19_features(load_state_dict(vgg)), f"VGG-19 of {vgg.name}"


def picture_measures(
    pictures: UInt8[np.ndarray, "t h w 3"],
    real: UInt8[np.ndarray, "t h w 3"],
    features: Features | None = None,
) -> dict[str, np.ndarray]:
    """Each of `MEASURES` for each frame, (t,)."""
    network, variables, _ = perceptual_features() if features is None else features

    @jit
    def compare(variables, a, b):
        a, b = (x.astype(jnp.float32) / 255 for x in (a, b))
        # dm-pix mixes dtypes and ranks inside.
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            near = dm_pix.psnr(a, b), dm_pix.ssim(a, b)
        return *near, perceptual_distance(network, variables, a, b)

    compared = in_batches(
        lambda index: compare(variables, pictures[index], real[index]), len(real), BATCH
    )
    return dict(zip(MEASURES, (*compared, sharpness(pictures)), strict=True))


def sharpness(pictures: UInt8[np.ndarray, "t h w 3"]) -> Float[np.ndarray, "t"]:
    """CPBD of each frame."""
    return np.array([cpbd(picture.astype(np.float32) / 255) for picture in pictures])


def paste_face(
    generated: UInt8[np.ndarray, "h w 3"],
    real: UInt8[np.ndarray, "h w 3"],
    points: Float[np.ndarray, "68 2"],
) -> UInt8[np.ndarray, "h w 3"]:
    """The protocol *pasted*: the generated face within the real face's outline, feathered.

    The outline is the hull of the real frame's landmarks, raised by a quarter of the face's height
    for the forehead. Without landmarks (NaN) the real frame is returned.

    Args:
        generated: the generated frame.
        real: the real one of the same moment.
        points: landmarks of the real face, in pixels.
    """
    if not np.isfinite(points).all():
        return real.copy()
    cv2 = opencv()
    height = float(np.ptp(points[:, 1]))
    brows = points[17:27] - np.array([0, _FOREHEAD * height], np.float32)
    hull = cv2.convexHull(np.concatenate([points, brows]).astype(np.float32))
    mask = np.zeros(real.shape[:2], np.float32)
    cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), 1.0)
    mask = cv2.GaussianBlur(mask, (0, 0), max(_FEATHER * height, 0.5))[..., None]
    return np.rint(mask * generated + (1 - mask) * real).astype(np.uint8)
