"""Subjects' folders that older versions wrote."""

from pathlib import Path

KEPT = Path(__file__).parent / "kept"
