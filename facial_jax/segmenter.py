"""Which pixels of a picture are a person's: MediaPipe's selfie segmentation, on the CPU."""

import numpy as np
from jaxtyping import Float, UInt8

from facial_jax.mediapipe_models import Model, mediapipe, on_cpu

MODEL = Model(
    what="selfie segmentation model",
    name="selfie_segmentation.tflite",
    url="https://storage.googleapis.com/mediapipe-assets/selfie_segmentation.tflite"
    "?generation=1683332563830600",
    sha256="9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
)


class Segmenter:
    """Finds the person picture by picture; a context manager, as it holds MediaPipe's graph."""

    def __init__(self):
        """Raises what `mediapipe` and `Model.path` do."""
        self._mp, vision = mediapipe()
        options = vision.ImageSegmenterOptions(
            base_options=on_cpu(MODEL),
            running_mode=vision.RunningMode.IMAGE,
            output_confidence_masks=True,
            output_category_mask=False,
        )
        self._segmenter = vision.ImageSegmenter.create_from_options(options)

    def __enter__(self) -> "Segmenter":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Lets the graph go."""
        self._segmenter.close()

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """How sure it is, from 0 to 1, that a pixel is the person's; soft at the edges."""
        data = np.ascontiguousarray(image)
        picture = self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=data)
        mask = self._segmenter.segment(picture).confidence_masks[-1]
        return np.array(mask.numpy_view(), np.float32).reshape(image.shape[:2])
