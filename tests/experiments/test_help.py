"""What `--help` says: each option's text is its own field's or argument's."""

import ast
import dataclasses
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import tyro

SCRIPTS = sorted(
    path.stem
    for path in (Path(__file__).resolve().parents[2] / "experiments").glob("*.py")
    if path.stem != "__init__" and "tyro" in path.read_text()
)


class ParsedError(Exception):
    """A script has come to its command line: here is what it would be parsed into."""


def parsed_by(script: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The dataclasses or the function that a script's command line is parsed into."""

    parse = tyro.cli

    def cli(target, *args, **kwargs):
        if kwargs.get("return_unknown_args"):  # a look ahead, such as for the preset
            return parse(target, *args, **kwargs)
        raise ParsedError([target])

    def presets(configs, *args, **kwargs):
        raise ParsedError([type(config) for _, config in configs.values()])

    monkeypatch.setattr("tyro.cli", cli)
    monkeypatch.setattr("tyro.extras.overridable_config_cli", presets)
    monkeypatch.setattr(sys, "argv", [script])
    module = importlib.import_module(f"experiments.{script}")
    # What is done where the module is run, done where it was imported: as a main module its
    # classes would have no source.
    run = ast.parse(inspect.getsource(module)).body[-1]
    assert isinstance(run, ast.If)
    with pytest.raises(ParsedError) as parsed:
        exec(compile(ast.Module(run.body, []), module.__file__, "exec"), vars(module))
    return parsed.value.args[0]


def field_texts(cls: type) -> dict[str, str]:
    """The string literal under each of a dataclass's own fields, by name."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body
    texts = {}
    for field, below in zip(body, [*body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign):
            is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            texts[field.target.id] = below.value.value if is_text else ""
    return texts


def options(target: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each option of what tyro parses, and the text that belongs to it."""
    if not dataclasses.is_dataclass(target):
        yield from function_options(target, prefix)
        return
    hints = get_type_hints(target)
    texts = {k: v for cls in reversed(target.__mro__[:-1]) for k, v in field_texts(cls).items()}
    for field in dataclasses.fields(target):
        name = prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(hints[field.name]):
            yield from options(hints[field.name], f"{name}.")
        elif field.init:
            yield name, texts[field.name]


def function_options(function: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """The arguments of a function, with what its docstring says below `Args:`."""
    arguments = inspect.getdoc(function).partition("Args:\n")[2]
    texts, name = {}, ""
    for line in textwrap.dedent(arguments).splitlines():
        if line and not line.startswith(" "):
            name, _, line = line.partition(": ")
        texts[name] = f"{texts.get(name, '')} {line.strip()}".strip()
    for name, hint in get_type_hints(function).items():
        if dataclasses.is_dataclass(hint):
            yield from options(hint, f"{prefix}{name.replace('_', '-')}.")
        elif name != "return":
            yield prefix + name.replace("_", "-"), texts.get(name, "")


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_option_has_its_own_text(script, monkeypatch):
    with monkeypatch.context() as patch:
        targets = parsed_by(script, patch)
    for target in targets:
        expected = dict(options(target))
        without = [name for name, text in expected.items() if not words(text)]
        assert not without, f"options without a text: {without}"
        parser = tyro.extras.get_parser(target)
        shown = {
            option.removeprefix("--"): words(action.help or "")
            for action in parser._actions
            for option in (*action.option_strings, action.dest.replace("_", "-"))
        }
        # A dictionary is a group of options, one for each of its entries, under its text.
        groups = {words(group.description or "") for group in parser._action_groups}
        for name, text in expected.items():
            assert words(text) in shown[name] if name in shown else words(text) in groups, name


def documented() -> dict[str, set[str]]:
    """The options that README and guides give each script."""
    root = Path(__file__).resolve().parents[2]
    found: dict[str, set[str]] = {}
    for page in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for script, rest in re.findall(r"python -m experiments\.(\w+)([^\n`#&|]*)", text):
            names = re.findall(r"(?<=\s)--([a-z][\w.-]*)", rest)
            found.setdefault(script, set()).update(names)
    return found


@pytest.mark.parametrize("script", sorted(set(documented()) & set(SCRIPTS)))
def test_options_of_the_documents_exist(script, monkeypatch):
    with monkeypatch.context() as patch:
        targets = parsed_by(script, patch)
    parsers = [tyro.extras.get_parser(target) for target in targets]
    known = {option for p in parsers for action in p._actions for option in action.option_strings}
    assert {f"--{name}" for name in documented()[script]} <= known
