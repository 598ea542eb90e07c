"""Pictures outside jit: resized, put beside one another, and as PNG. Arrays (h, w, 3), RGB."""

import io
import os
from types import ModuleType

import av
import numpy as np
from jaxtyping import Float, UInt8

from facial_jax.files import write_bytes


def opencv() -> ModuleType:
    """OpenCV, imported when it is needed: speech becomes video without it, full frames do not.

    Raises:
        ImportError: it is not installed; says how to get it.
    """
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            f"OpenCV cannot be imported ({error}): install opencv-python-headless, or "
            "facial_jax[tracking], whose mediapipe brings OpenCV"
        ) from error
    return cv2


def resize(image: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "n n 3"]:
    """A square picture at another size, averaged if it becomes smaller."""
    cv2 = opencv()
    if image.shape[0] == size:
        return np.ascontiguousarray(image)
    method = cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(image), (size, size), interpolation=method)


def disc(radius: float) -> UInt8[np.ndarray, "n n"]:
    """A disc of this radius in pixels, for morphology."""
    side = 2 * max(1, round(radius)) + 1
    return opencv().getStructuringElement(opencv().MORPH_ELLIPSE, (side, side))


def picture_grid(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Pictures (t, h, w, 3) as one, row by row; those that do not fill a row are left out."""
    rows = len(pictures) // columns
    height, width = pictures.shape[1:3]
    grid = pictures[: rows * columns].reshape(rows, columns, height, width, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)


def contact_sheet(frames: np.ndarray, *, columns: int, rows: int) -> np.ndarray:
    """Evenly spaced frames of (t, h, w, 3), first and last among them, in one picture."""
    index = np.linspace(0, len(frames) - 1, columns * rows).round().astype(int)
    return picture_grid(frames[index], columns)


def side_by_side(videos: dict[str, np.ndarray], count: int = 8) -> np.ndarray:
    """Evenly spaced frames of equally long videos (t, h, w, 3), one video to a row."""
    return np.concatenate([contact_sheet(v, columns=count, rows=1) for v in videos.values()])


def encode_png(image: UInt8[np.ndarray, "h w 3"] | Float[np.ndarray, "h w 3"]) -> bytes:
    """A picture as a PNG file's bytes; uint8, or float in [0, 1]."""
    if image.dtype != np.uint8:
        image = np.round(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)
    image, file = np.ascontiguousarray(image), io.BytesIO()
    with av.open(file, "w", format="image2pipe") as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def save_png(
    path: str | os.PathLike, image: UInt8[np.ndarray, "h w 3"] | Float[np.ndarray, "h w 3"]
) -> None:
    """Writes a picture, uint8 or float in [0, 1], as a PNG file, whole or not at all."""
    write_bytes(path, encode_png(image))
