"""Whether it is the same person: cosines of a face embedder that the user brings."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8

Embedder = Callable[[UInt8[np.ndarray, "n h w 3"]], np.ndarray]
"""From faces, RGB, to a vector each (n, d); such as ArcFace's. None is bundled."""


def identity_similarity(
    embed: Embedder, made: UInt8[np.ndarray, "n h w 3"], real: UInt8[np.ndarray, "m h w 3"]
) -> float:
    """Mean cosine of the generated faces' vectors with the mean of the real ones, -1 to 1.

    Raises:
        ValueError: the embedder gives no finite vector for each face.
    """
    vectors: list[Float[np.ndarray, "n d"]] = []
    for name, faces in (("made", made), ("real", real)):
        found = np.asarray(embed(faces), np.float64)
        if found.ndim != 2 or len(found) != len(faces) or not np.isfinite(found).all():
            raise ValueError(
                f"embed: expected a finite vector for each of the {len(faces)} faces of `{name}`, "
                f"got shape {found.shape}"
            )
        vectors.append(found / np.linalg.norm(found, axis=1, keepdims=True))
    person = vectors[1].mean(axis=0)
    return float((vectors[0] @ person).mean() / np.linalg.norm(person))
