"""What may import what, and how large the scripts are."""

import ast
import graphlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("facial_jax", "data_specs", "experiments", "benchmarks")
SCRIPTS = sorted(
    path.stem for path in (ROOT / "experiments").glob("*.py") if path.stem != "__init__"
)
MAX_SCRIPT_LINES = 120


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def modules() -> dict[str, ast.Module]:
    return {
        module_name(path): ast.parse(path.read_text(encoding="utf-8"))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def imports(tree: ast.Module, known: set[str]) -> set[str]:
    """Modules of ours that are imported, also within functions."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "an import relative to the package"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return found & known


def test_imports_have_no_cycle_not_even_within_functions():
    trees = modules()
    graph = {name: imports(tree, set(trees)) for name, tree in trees.items()}
    assert len(graph["facial_jax"]) > 10
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_library_imports_neither_scripts_nor_data_sets():
    trees = modules()
    wrong = {
        (name, other)
        for name, tree in trees.items()
        for other in imports(tree, set(trees))
        if name.startswith("facial_jax") and not other.startswith("facial_jax")
    }
    assert not wrong
    wrong = {
        (name, other)
        for name, tree in trees.items()
        for other in imports(tree, set(trees))
        if name.startswith("data_specs") and other.startswith(("experiments", "benchmarks"))
    }
    assert not wrong


def test_no_two_classes_of_the_library_share_a_name_and_command_lines_are_called_arguments():
    where: dict[str, list[str]] = {}
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and name.startswith(("facial_jax", "data_specs")):
                where.setdefault(node.name, []).append(name)
            elif isinstance(node, ast.ClassDef):
                assert node.name != "Config", name
    assert {name: found for name, found in where.items() if len(found) > 1} == {}


def test_the_library_parses_no_arguments_and_prints_nothing():
    for name, tree in modules().items():
        if not name.startswith("facial_jax"):
            continue
        for node in ast.walk(tree):
            called = node.func if isinstance(node, ast.Call) else None
            assert not (isinstance(called, ast.Name) and called.id == "print"), name
            if isinstance(node, ast.Import):
                assert not {"argparse", "tyro"} & {alias.name for alias in node.names}, name


def test_scripts_are_thin():
    lines = {
        name: len((ROOT / "experiments" / f"{name}.py").read_text().splitlines())
        for name in SCRIPTS
    }
    assert "synthesize" in lines
    assert {name: count for name, count in lines.items() if count > MAX_SCRIPT_LINES} == {}


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_file_beside_the_scripts_is_one(name):
    source = (ROOT / "experiments" / f"{name}.py").read_text(encoding="utf-8")
    assert 'if __name__ == "__main__":' in source
    assert importlib.util.find_spec(f"experiments.{name}") is not None


def test_importing_and_synthesizing_needs_no_heavy_package(tmp_path):
    code = (
        "import sys, numpy as np, facial_jax\n"
        "heavy = ('mediapipe', 'torch', 'tensorflow', 'cv2', 'grain', 'orbax', 'matplotlib',"
        " 'chex', 'dm_pix', 'librosa')\n"
        "print([m for m in heavy if m in sys.modules])\n"
        "speech = np.zeros(1600, np.float32), 16000\n"
        "frame = next(iter(facial_jax.synthesize(speech, progress=False)))\n"
        "assert frame.shape == (256, 256, 3)\n"
        "print([m for m in heavy if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stdout.splitlines() == ["[]", "[]"], done.stderr
