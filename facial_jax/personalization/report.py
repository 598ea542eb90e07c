"""What personalization made of a person, as one HTML page that needs nothing else."""

import base64
import html
from pathlib import Path

import numpy as np

from facial_jax.pictures import encode_png
from facial_jax.plots import svg_plot

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 960px; margin: 2em auto; color: #222 }
td, th { padding: 0 1.5em 0.2em 0; text-align: right } td:first-child { text-align: left }
svg { display: block; margin: 0 0 1em } img { max-width: 100% } h2 { font-size: 1.05em }
"""
_COLUMNS = {
    "psnr_db": "PSNR, dB",
    "ssim": "SSIM",
    "perceptual": "perceptual distance",
    "cpbd": "CPBD",
    "whole_psnr_db": "whole, dB",
    "face_psnr_db": "face, dB",
    "mouth_psnr_db": "mouth, dB",
    "eyes_psnr_db": "eyes, dB",
    "closed_eyes_psnr_db": "closed eyes, dB",
    "specks_permille": "specks, ‰",
    "folding": "folding pattern",
    "lmd_percent": "LMD, %",
    "mouth_lmd_percent": "mouth LMD, %",
    "opening_error": "error of eyes' opening",
    "gaze_error_deg": "error of gaze, °",
    "opening_closed": "opening when closed",
    "opening_open": "opening when open",
    "seen": "face found",
}
"""How columns of numbers.json are named for readers; others are named as they are."""


def report_page(
    name: str,
    facts: dict[str, str],
    tables: dict[str, dict[str, dict[str, float]]],
    curves: dict[str, dict[str, np.ndarray]],
    pictures: dict[str, np.ndarray | Path],
) -> str:
    """The page.

    Args:
        name: who it is about.
        facts: what is said at the top.
        tables: numbers by title, row and column; a row may lack some.
        curves: (t,) values by title and name; gaps where they are not finite.
        pictures: by title, an (h, w, 3) uint8 array or a PNG file.
    """
    rows = "".join(f"<tr><td>{_text(k)}</td><td>{_text(v)}</td></tr>" for k, v in facts.items())
    parts = [f"<table>{rows}</table>"]
    parts += [f"<h2>{_text(title)}</h2>{_table(rows)}" for title, rows in tables.items()]
    for title, picture in pictures.items():
        data = picture.read_bytes() if isinstance(picture, Path) else encode_png(picture)
        encoded = base64.b64encode(data).decode()
        parts.append(f'<h2>{_text(title)}</h2><img src="data:image/png;base64,{encoded}">')
    parts += [svg_plot(title, lines) for title, lines in curves.items()]
    head = f"<!doctype html><meta charset=utf-8><title>{_text(name)}</title>"
    return f"{head}<style>{_STYLE}</style><h1>{_text(name)}</h1>" + "".join(parts)


def _text(value: str) -> str:
    return html.escape(value)


def _table(rows: dict[str, dict[str, float]]) -> str:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    head = "".join(f"<th>{_text(_COLUMNS.get(column, column))}</th>" for column in columns)
    lines = [f"<tr><th></th>{head}</tr>"]
    for name, row in rows.items():
        cells = "".join(f"<td>{row[c]:.4g}</td>" if c in row else "<td></td>" for c in columns)
        lines.append(f"<tr><td>{_text(name)}</td>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"
