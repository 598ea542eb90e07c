"""Scripts that train, measure and draw, and what their command lines share."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import tyro

from facial_jax.interrupts import stop_on_request

Preset = Literal["demo", "paper"]
GOES_ON = "started again with the same options, it goes on from its last checkpoint"


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


@contextmanager
def ends_in_one_line(
    interrupted: str, errors: tuple[type[Exception], ...] = (ValueError, OSError)
) -> Iterator[None]:
    """Ends the script with one line where it was asked to stop, or what it was given is wrong.

    Args:
        interrupted: what is said of the former.
        errors: what says what is wrong.
    """
    with stop_on_request() as stop:
        try:
            yield
        except BaseException as error:
            if stop.came or isinstance(error, KeyboardInterrupt):  # JAX may make another of it
                sys.exit(f"interrupted: {interrupted}")
            if isinstance(error, errors):
                sys.exit(f"error: {error}")
            raise
