"""Whether it is the same person: cosines of a face embedder that the user brings."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8

Embedder = Callable[[UInt8[np.ndarray, "n h w 3"]], np.ndarray]
"""From faces, RGB, to a vector each (n, d); such as ArcFace's. None is bundled."""


def identity_similarity(
    embed: Embedder, generated: UInt8[np.ndarray, "n h w 3"], real: UInt8[np.ndarray, "m h w 3"]
) -> float:
    """Mean cosine of the generated faces' vectors with the mean of the real ones, -1 to 1.

    Raises:
        ValueError: the embedder gives no finite vector for each face.
    """
    vectors: list[Float[np.ndarray, "n d"]] = []
    for name, faces in (("generated", generated), ("real", real)):
        embedded = np.asarray(embed(faces), np.float64)
        if embedded.ndim != 2 or len(embedded) != len(faces) or not np.isfinite(embedded).all():
            raise ValueError(
                f"embed: expected a finite vector for each of the {len(faces)} faces of `{name}`, "
                f"got shape {embedded.shape}"
            )
        vectors.append(embedded / np.linalg.norm(embedded, axis=1, keepdims=True))
    person = vectors[1].mean(axis=0)
    return float((vectors[0] @ person).mean() / np.linalg.norm(person))
