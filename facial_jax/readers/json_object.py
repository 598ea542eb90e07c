"""JSON objects from text that anybody may have written."""

import json
from typing import Any


def json_object(text: str) -> dict[str, Any]:
    """The object that a text holds.

    Raises:
        ValueError: it is no JSON, or no object.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {type(value).__name__}")
    return value
