"""The notebook runs, the site builds, and the README's links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_notebook_runs_and_shows_what_it_makes(monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "examples" / "quickstart.ipynb", as_version=4)
    # The same cells with a shorter recording: whole sentences take a minute.
    for cell in notebook.cells:
        cell.source = cell.source.replace(
            "facial_jax.sample_speech()",
            "(0.1 * np.sin(np.arange(16000 * 50 // 25) * 0.09).astype(np.float32), 16000)",
        ).replace("Papa made a big apple pie.", "Papa.")
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    ).execute()
    shown = [
        "".join(output.get("data", {}))
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]
    assert sum("text/html" in output for output in shown) == 2  # videos
    assert sum("image/png" in output for output in shown) == 2  # curves and frames


def test_the_notebook_is_kept_without_results():
    text = (ROOT / "examples" / "quickstart.ipynb").read_text(encoding="utf-8")
    assert '"outputs": []' in text
    assert "image/png" not in text


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"^WARNING", done.stderr, re.MULTILINE)
    equations = (tmp_path / "equations" / "index.html").read_text(encoding="utf-8")
    assert 'href="../api/models/#facial_jax.models.facial_gan.losses.facial_loss"' in equations
    models = (tmp_path / "api" / "models" / "index.html").read_text(encoding="utf-8")
    assert "facial_jax/models/facial_gan/losses.py" in models  # with its source


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_to_files_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not re.match(r"https?:", link):
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_of_the_documents_exist(page):
    for module in re.findall(r"python -m ((?:experiments|benchmarks)[\w.]*)", page.read_text()):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


def test_moving_pictures_are_small():
    assert (ROOT / "docs" / "demo.webp").stat().st_size <= 1.5 * 2**20
