"""The spectral features: a projection that is computed at the end of the training, not trained."""

import numpy as np


def spectral_projection(
    channels: np.ndarray, count: int, deviation: float
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias that reduce channels to their first principal components, turned at random.

    The turn spreads the components' variance evenly: what standardises the columns afterwards does
    not blow up the faint ones.

    Args:
        channels: (n, width), the channels of many rows.
        count: features to be had, at most as many as channels.
        deviation: root mean square of the features' standard deviations.
    """
    mean = channels.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(np.cov(channels.T.astype(np.float64)))
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(count, count)))[0]
    kernel = axes[:, ::-1][:, :count] @ turn
    kernel *= deviation / np.sqrt(np.var((channels - mean) @ kernel, axis=0).mean())
    return kernel.astype(np.float32), (-mean @ kernel).astype(np.float32)
