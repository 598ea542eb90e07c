"""The command lines of the trainings: each option is documented, and shows its own text."""

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
import typing

import pytest
import tyro

from experiments import (
    evaluate_personalization,
    general_train,
    parse_preset,
    personalize,
    train_acoustic,
    train_rendering_to_video,
)

OPTIONS = {
    "general_train": general_train.Arguments,
    "train_rendering_to_video": train_rendering_to_video.Arguments,
    "train_acoustic": train_acoustic.Arguments,
    "personalize": personalize.Arguments,
    "evaluate_personalization": evaluate_personalization.Config,
}


def documented(options, prefix=""):
    """(option, the docstring under its field) of a dataclass and of those in it."""
    texts = {}
    for base in reversed(options.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body
        for field, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign):
                is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                texts[field.target.id] = after.value.value if is_text else None
    types = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        if dataclasses.is_dataclass(types[field.name]):
            yield from documented(types[field.name], f"{prefix}{field.name}.")
        elif typing.get_origin(types[field.name]) is not dict:  # an option for each key
            yield prefix + field.name, texts[field.name]


def parse(script, arguments):
    """What the script does with its command line."""
    module = sys.modules[f"experiments.{script}"]
    if hasattr(module, "parse"):
        return module.parse(arguments)
    if hasattr(module, "PRESETS"):
        return parse_preset(module.PRESETS, description=None, arguments=arguments)
    return tyro.cli(OPTIONS[script], args=arguments)


@pytest.mark.parametrize("script", OPTIONS)
def test_each_option_shows_the_text_under_its_own_field(script, capsys):
    with pytest.raises(SystemExit):
        parse(script, ["--help"])
    shown = shown_texts(capsys.readouterr().out)
    options = dict(documented(OPTIONS[script]))
    assert len(options) > 10
    for name, text in options.items():
        assert text, f"{name} has no docstring under its field"
        assert " ".join(text.split()) in shown[f"--{name.replace('_', '-')}"]


def shown_texts(help_text):
    """By option, what the boxes of a help say about it."""
    texts, option = {}, None
    for line in help_text.splitlines():
        line = line.strip("│ ")
        if line.startswith("--"):
            option = re.split("[ ,]", line)[0]
            texts[option] = f"{line} "
        elif line.startswith(("╰", "╭")):
            option = None
        elif option is not None:
            texts[option] += f"{line} "
    return {name: " ".join(text.split()) for name, text in texts.items()}


@pytest.mark.parametrize("script", ["general_train", "train_rendering_to_video", "train_acoustic"])
def test_trainings_share_their_options(script):
    names = {field.name for field in dataclasses.fields(OPTIONS[script])}
    assert names >= {"output", "training", "stop_after", "distributed"}


def test_presets_are_chosen_by_name_and_options_change_them():
    arguments = ["--preset", "paper", "--data", "x", "--training.seed", "3"]
    parsed = parse("general_train", arguments)
    assert (parsed.widths, parsed.training.batch, parsed.training.seed) == ("published", 64, 3)
    assert train_rendering_to_video.PRESETS["paper"].training.window_half == 5
