"""From independent ways of variation to an orthogonal basis ordered by variance."""

import numpy as np
from jaxtyping import Float


def component_mixing(factors: Float[np.ndarray, "m n 3"], count: int) -> Float[np.ndarray, "m k"]:
    """How factors make up the principal components of x = Σ z_i · factor_i, z standard normal.

    Computed once and stored with the model: components of almost equal variance come out otherwise
    with every linear-algebra library, and a person's coefficients must mean the same face on all
    machines. The largest entry of each component is positive.
    """
    m, n, _ = factors.shape
    if m < count:
        raise ValueError(f"factors: {count} components need at least as many factors, got {m}")
    flat = factors.reshape(m, 3 * n)
    _, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64))
    mixing = vectors[:, ::-1][:, :count].astype(factors.dtype)
    basis = mixing.T @ flat
    return mixing * np.sign(basis[np.arange(count), np.abs(basis).argmax(axis=1)])


def mix_factors(
    factors: Float[np.ndarray, "m n 3"], mixing: Float[np.ndarray, "m k"]
) -> Float[np.ndarray, "n 3 k"]:
    """The principal components: orthogonal columns, each as long as its standard deviation."""
    m, n, _ = factors.shape
    return (mixing.T @ factors.reshape(m, 3 * n)).T.reshape(n, 3, -1)
