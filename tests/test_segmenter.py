"""MediaPipe's segmentation of a person, where its model is."""

import numpy as np
import pytest

from facial_jax.segmenter import MODEL, Segmenter
from facial_jax.synthesis import sample_speech, synthesize

pytest.importorskip("mediapipe")


def test_the_person_is_found_and_the_wall_is_not():
    if not (path := MODEL.cached()).is_file():
        pytest.skip(f"{path} is not there: it is fetched when it is first used")
    video = synthesize(sample_speech(), progress=False)
    frame = next(iter(video))
    with Segmenter() as segmenter:
        mask = segmenter(frame)
    assert mask.shape == frame.shape[:2]
    assert mask.min() >= 0
    assert mask.max() <= 1
    height, width = mask.shape
    assert mask[height // 2, width // 2] > 0.9  # the face
    assert mask[: height // 10, : width // 10].max() < 0.1  # a corner
    assert 0.2 < np.mean(mask > 0.5) < 0.8
