"""Pictures as PNG files."""

from pathlib import Path

import av
import numpy as np


def save_png(path: Path, image: np.ndarray) -> None:
    """Saves an (h, w, 3) image, uint8 or float in [0, 1]."""
    if image.dtype != np.uint8:
        image = np.round(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)
    image = np.ascontiguousarray(image)
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
