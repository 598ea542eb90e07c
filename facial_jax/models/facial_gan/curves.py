"""Curves of mouth, pose and blink beside the truth."""

import numpy as np

from facial_jax.attributes import Attributes
from facial_jax.face.procedural import EXPRESSION_NAMES
from facial_jax.models.facial_gan.generation import WINDOW_FRAMES

DRAWN_S = 20.0
MOUTH = (0, 1, 31)
POSE = ("pitch", "yaw", "roll", "x", "y", "z")


def draw_curves(fake: Attributes, truth: Attributes, *, fps: float):
    """A Matplotlib figure of the first 20 s; windows begin at the grey lines."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = [(EXPRESSION_NAMES[i], truth.expression[:, i], fake.expression[:, i]) for i in MOUTH]
    rows += [(name, truth.pose[:, i], fake.pose[:, i]) for i, name in enumerate(POSE)]
    rows += [("blink", truth.blink, fake.blink)]
    count = min(len(truth), round(DRAWN_S * fps))
    seconds = np.arange(count) / fps
    figure, axes = plt.subplots(len(rows), 1, figsize=(16, 18), sharex=True)
    for axis, (name, real, generated) in zip(axes, rows, strict=True):
        axis.plot(seconds, real[:count], label="truth")
        axis.plot(seconds, generated[:count], label="generated")
        for seam in np.arange(WINDOW_FRAMES, count, WINDOW_FRAMES):
            axis.axvline(seam / fps, color="0.8")
        axis.set_ylabel(name)
    axes[0].legend()
    figure.tight_layout()
    return figure
