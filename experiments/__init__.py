"""Scripts that train, measure and draw, and the command line that several of them share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import tyro

Preset = Literal["demo", "paper"]


@dataclass(frozen=True)
class _Chosen:
    preset: Preset = "demo"


def parse_preset(
    presets: Mapping[str, Any], *, description: str | None, arguments: Sequence[str] | None = None
) -> Any:
    """The options of a command line: the preset's that `--preset` names, with what else is given.

    `presets`: an instance of the options' dataclass for each, with its name as field `preset`.
    """
    chosen, _ = tyro.cli(_Chosen, args=arguments, return_unknown_args=True, add_help=False)
    default = presets[chosen.preset]
    return tyro.cli(type(default), args=arguments, default=default, description=description)
