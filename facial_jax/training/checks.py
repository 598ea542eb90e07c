"""Shapes of what enters a training, checked before its step is compiled.

Later, the same faults would be errors of a matrix product that name no argument.
"""

from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import chex

from facial_jax.data.clips import ClipSource


def check_shape(name: str, array: Any, expected: Sequence[int | EllipsisType | None]) -> None:
    """Raises ValueError if an array has another shape.

    Args:
        name: of the array, for the message.
        array: NumPy's or JAX's, also while it is traced.
        expected: its shape; None for any length, an ellipsis for any axes.
    """
    try:
        chex.assert_shape(array, tuple(expected))
    except AssertionError as error:
        lengths = ", ".join({None: "any", ...: "…"}.get(n, str(n)) for n in expected)
        raise ValueError(f"{name}: expected shape ({lengths}), got {array.shape}") from error


def check_columns(name: str, arrays: Sequence[Any]) -> None:
    """Raises ValueError if the last axes of these arrays differ in length."""
    try:
        chex.assert_equal_shape_suffix(arrays, 1)
    except AssertionError as error:
        counts = ", ".join(map(str, sorted({array.shape[-1] for array in arrays})))
        raise ValueError(f"{name}: expected the same number of columns, got {counts}") from error


def check_features(clips: ClipSource, validation: ClipSource) -> None:
    """Raises ValueError if the speech features of clips and validation have other widths.

    They have if they come from different acoustic models.
    """
    check_columns(
        "features of clips and validation",
        [source[0].features for source in (clips, validation) if len(source)],
    )


def check_rows(name: str, tree: Any, rows: int) -> None:
    """Raises ValueError if the first axis of an array of the tree has another length."""
    chex.assert_tree_shape_prefix(
        tree,
        (rows,),
        custom_message=f"{name}: expected {rows} rows, as many as the batch has",
        exception_type=ValueError,
    )


def check_same_shapes(name: str, tree: Any, expected: Any) -> None:
    """Raises ValueError if two trees differ in structure, or in an array's shape or dtype."""
    chex.assert_trees_all_equal_shapes_and_dtypes(
        tree,
        expected,
        custom_message=f"{name}: expected the same structure, shapes and dtypes as before",
        exception_type=ValueError,
    )
