"""How far generated head poses are from the true ones (CVM, Sec. 5, Table 2).

Poses are seen from rest and standardised by their speaker's training clips. The paper does not say
which L2 it means; its random sequences are 1.34 times as far from the truth as its mean pose, near
to √2, as distances are and squares (2) are not. So here L2 is the root of the mean square over the
frames and channels of a window, and the table has its mean over windows.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from facial_jax.data.clips import ClipSource
from facial_jax.models.pose_gan.baselines import Method
from facial_jax.models.pose_gan.batch import PoseBatch
from facial_jax.models.pose_gan.rest_frame import PoseStatistics
from facial_jax.models.pose_gan.validation import pose_windows

PAPER = {
    "mean pose": (0.90, 0.12),
    "random sequence": (1.21, 0.15),
    "nearest neighbour": (1.18, 0.14),
    "CNN": (0.82, 0.11),
    "PoseGAN": (0.89, 0.12),
}
"""Table 2: L2 of pose and of motion."""


def whole_windows(
    clips: ClipSource, statistics: PoseStatistics, *, stride: int = 256
) -> list[PoseBatch]:
    """Batches of the clips' windows of which every frame is valid."""
    batches = []
    for windows in pose_windows(clips, statistics, stride=stride):
        whole = np.asarray(windows.valid).all(axis=1)
        if whole.any():
            batches.append(PoseBatch(*(x[whole] for x in vars(windows).values())))
    return batches


def pose_errors(
    real: Float[np.ndarray, "n T 6"], fake: Float[np.ndarray, "n T 6"]
) -> dict[str, float]:
    """L2 of pose and of motion, and how far the head moves.

    `movement`: the poses' deviation over a window as a share of the true ones'; `motion size`: the
    same of their changes from frame to frame.
    """

    def distance(a, b):
        return float(np.sqrt(((a - b) ** 2).mean(axis=(1, 2))).mean())

    steps, fake_steps = np.diff(real, axis=1), np.diff(fake, axis=1)
    return {
        "pose": distance(real, fake),
        "motion": distance(steps, fake_steps),
        "movement": float(fake.std(axis=1).mean() / real.std(axis=1).mean()),
        "motion size": float(fake_steps.std(axis=1).mean() / steps.std(axis=1).mean()),
    }


def measure_methods(
    methods: Mapping[str, Method], windows: Sequence[PoseBatch]
) -> dict[str, dict[str, float]]:
    """`pose_errors` of each method on one person's windows."""
    real = np.concatenate([batch.poses for batch in windows])
    return {
        name: pose_errors(real, np.concatenate([method(batch) for batch in windows]))
        for name, method in methods.items()
    }


def mean_table(tables: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """The mean over people of their tables of the same methods."""
    return {
        name: {key: float(np.mean([table[name][key] for table in tables])) for key in values}
        for name, values in tables[0].items()
    }


def text_table(table: Mapping[str, Mapping[str, float]]) -> str:
    """Table 2, one line for each method, the paper's numbers beside ours."""
    columns = list(next(iter(table.values())))
    lines = [f"{'':20s}" + "".join(f"{c:>14s}" for c in columns) + f"{'paper':>16s}"]
    for name, values in table.items():
        paper = "{:.2f}, {:.2f}".format(*PAPER[name]) if name in PAPER else ""
        numbers = "".join(f"{values[c]:14.3f}" for c in columns)
        lines.append(f"{name:20s}{numbers}{paper:>16s}")
    return "\n".join(lines)
