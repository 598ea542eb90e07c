"""The page that shows an evaluation: self-contained, but for long videos, which lie beside it."""

import base64
import html
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facial_jax.evaluation.drawings import spectrogram, tracemap
from facial_jax.evaluation.measures import mouth_gap
from facial_jax.evaluation.observation import Observation
from facial_jax.evaluation.playable import MIME, is_playable, write_playable
from facial_jax.files import copy_file, write_text
from facial_jax.metrics.motion import blink_times, blinks_per_clip
from facial_jax.pictures import encode_png
from facial_jax.plots import PLOT_LEFT, PLOT_WIDTH, svg_bars, svg_plot

PAGE = "report.html"
NUMBERS = "evaluation.json"
MAX_INLINE_BYTES = 3 * 2**20
"""Larger videos are copied beside the page and linked."""
BLINK_CLIP_S = 4.0
_DURATION_EDGES_S = np.linspace(0, 0.6, 13)
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 960px; margin: 2em auto; padding: 0 1em;
  color: #222 }
h2 { font-size: 1.1em; margin: 1.6em 0 0.4em }
.videos, .traces { display: flex; flex-wrap: wrap; gap: 1em }
.videos figure { flex: 1 1 280px; margin: 0; min-width: 0 }
.traces figure { flex: 0 1 420px; margin: 0; min-width: 0 }
video, img { max-width: 100%; height: auto }
video { width: 100%; max-height: 480px; background: #000 }
figcaption { color: #555 }
.wide { overflow-x: auto } .wide svg, .wide img { display: block; max-width: none }
.spectrogram { margin-left: 34px } td, th { padding: 0 1.2em 0.2em 0; text-align: right }
td:first-child, th:first-child { text-align: left }
table { border-collapse: collapse }
tr:nth-child(even) td { background: #f4f4f4 } li { margin: 0.2em 0 }
"""
_PLAY = """
const films = [...document.querySelectorAll("video")];
document.getElementById("both").onclick = () => {
  const playing = films.some(film => !film.paused);
  films.forEach(film => {
    if (playing) { film.pause() } else { film.currentTime = 0; film.play() }
  });
};
"""


@dataclass(frozen=True)
class Evaluation:
    """Numbers by video and measure, and what is said about them."""

    rows: Mapping[str, Mapping[str, float]]
    # such as "generated" and "real"; a row may lack some
    notes: tuple[str, ...]
    # what was aligned, and what the measures are made with
    missing: tuple[str, ...]
    # what could not be measured, and why


def text_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """A line for each measure, a column for each video."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    wide = max(map(len, names), default=0) + 2
    lines = [" " * wide + "".join(f"{title:>16s}" for title in rows)]
    for name in names:
        cells = (f"{row[name]:16.4g}" if name in row else f"{'':16s}" for row in rows.values())
        lines.append(f"{name:<{wide}}" + "".join(cells))
    return "\n".join(lines)


def write_evaluation(
    folder: Path, title: str, videos: Mapping[str, Observation], evaluation: Evaluation
) -> Path:
    """Writes `evaluation.json` and the page into a folder, and returns the page's path.

    Args:
        folder: is created if it is missing.
        title: of the page.
        videos: one or two, by the names of `evaluation.rows`.
        evaluation: what was measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {
        "rows": {name: dict(row) for name, row in evaluation.rows.items()},
        "notes": evaluation.notes,
        "not measured": evaluation.missing,
    }
    # NaN is no JSON: what is not a number is none.
    for row in numbers["rows"].values():
        row.update({k: None for k, v in row.items() if not np.isfinite(v)})
    write_text(folder / NUMBERS, json.dumps(numbers, indent=1, allow_nan=False) + "\n")
    write_text(folder / PAGE, _page(folder, title, videos, evaluation))
    return folder / PAGE


def _page(folder, title, videos, evaluation) -> str:
    figures = "".join(_video(folder, name, x) for name, x in videos.items())
    button = "<p><button id=both>play or stop, from the start</button></p>"
    notes = "".join(f"<li>{_text(x)}</li>" for x in (*evaluation.notes, *evaluation.missing))
    traces = "".join(
        f"<figure>{_image(tracemap(x.points))}<figcaption>{_text(name)}</figcaption></figure>"
        for name, x in videos.items()
    )
    parts = [
        f"<h1>{_text(title)}</h1><div class=videos>{figures}</div>{button}",
        f"<h2>What was measured, and how</h2><ul>{notes}</ul>",
        f"<div class=wide>{_table(evaluation.rows)}</div>",
        "<h2>Over time</h2>" + _curves(videos),
        "<h2>Landmarks over time, from blue to red</h2>",
        f"<div class=traces>{traces}</div>",
        "<h2>Blinks</h2>" + _blinks(videos),
    ]
    head = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style>"
    )
    return head + "".join(parts) + f"<script>{_PLAY}</script></html>"


def _curves(videos) -> str:
    """Pose, blink and mouth of all videos, over the first one's time, and what sounds."""
    first = next(iter(videos.values()))
    times = first.start / first.fps + np.arange(len(first)) / first.fps

    def curves(values):
        return {name: _on_times(values(x), x, times) for name, x in videos.items()}

    plots = [
        svg_plot(f"{axis}, degrees", curves(lambda x, k=k: np.degrees(_pose(x, k))), times)
        for k, axis in enumerate(("pitch", "yaw", "roll"))
    ]
    plots.append(svg_plot("blink, AU45", curves(lambda x: np.asarray(x.attributes.blink)), times))
    plots.append(svg_plot("mouth's gap, cm", curves(lambda x: 10 * mouth_gap(x)), times))
    if first.samples is not None:
        image = spectrogram(first.samples, PLOT_WIDTH - PLOT_LEFT)
        plots.append(_image(image, "spectrogram", "spectrogram of the sound"))
    # One frame for all, so that they are scrolled together in a narrow window.
    return f"<div class=wide>{''.join(plots)}</div>"


def _pose(x: Observation, channel: int) -> np.ndarray:
    return np.where(x.valid, np.asarray(x.attributes.pose)[:, channel], np.nan)


def _on_times(values: np.ndarray, x: Observation, times: np.ndarray) -> np.ndarray:
    """The values at these times in seconds, NaN where the video has none."""
    frames = np.rint(times * x.fps).astype(int) - x.start
    there = (frames >= 0) & (frames < len(x))
    return np.where(there, values[np.clip(frames, 0, len(x) - 1)], np.nan)


def _blinks(videos) -> str:
    """Blinks in each clip of four seconds, as in FACIAL's Fig. 9, and how long each lasts."""
    blinks = {name: [np.asarray(x.attributes.blink)] for name, x in videos.items()}
    counts = {
        name: blinks_per_clip(blinks[name], x.fps, seconds=BLINK_CLIP_S)
        for name, x in videos.items()
    }
    most = max((int(c.max(initial=0)) for c in counts.values()), default=0)
    bins = {name: np.bincount(c, minlength=most + 1) for name, c in counts.items()}
    durations = {
        name: np.histogram(blink_times(blinks[name], x.fps).durations_s, _DURATION_EDGES_S)[0]
        for name, x in videos.items()
    }
    labels = [f"{a:.2f} s" for a in _DURATION_EDGES_S[:-1]]
    plots = (
        svg_bars("clips of 4 s by their number of blinks", _bins(bins, map(str, range(most + 1)))),
        svg_bars("blinks by their duration", _bins(durations, labels)),
    )
    return "".join(f"<div class=wide>{plot}</div>" for plot in plots)


def _bins(counts: dict[str, np.ndarray], labels: Iterable[str]) -> dict[str, dict[str, float]]:
    """Counts by name and then bin as counts by bin's label and then name."""
    return {
        label: {name: float(values[i]) for name, values in counts.items()}
        for i, label in enumerate(labels)
    }


def _video(folder: Path, name: str, x: Observation) -> str:
    """The video in the page, or beside it if it is large; re-encoded if browsers cannot play it.

    What lies beside the page is called `report_NAME`, so that no video of the user's is replaced.
    """
    path, said = x.video.path, ""
    if not is_playable(path):
        path, said = folder / f"report_{name}.mp4", ", as H.264"
        write_playable(path, x.video)
    caption = f"<figcaption>{_text(name)}: {_text(x.name)}{said}</figcaption>"
    beside = folder / f"report_{name}{path.suffix.lower()}"
    if path.stat().st_size <= MAX_INLINE_BYTES:
        data = base64.b64encode(path.read_bytes()).decode()
        source = f"data:{MIME[path.suffix.lower()]};base64,{data}"
        if beside.resolve() != x.video.path.resolve():
            beside.unlink(missing_ok=True)  # re-encoded now, or left by an earlier report
    else:
        if path != beside:
            copy_file(path, beside)
        source = html.escape(beside.name)
    return f'<figure><video controls playsinline src="{source}"></video>{caption}</figure>'


def _image(image: np.ndarray, kind: str = "", text: str = "") -> str:
    data = base64.b64encode(encode_png(image)).decode()
    return f'<img class="{kind}" alt="{_text(text)}" src="data:image/png;base64,{data}">'


def _table(rows: Mapping[str, Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    head = "".join(f"<th>{_text(title)}</th>" for title in rows)
    lines = [f"<tr><th></th>{head}</tr>"]
    for name in names:
        cells = "".join(
            f"<td>{row[name]:.4g}</td>" if name in row else "<td></td>" for row in rows.values()
        )
        lines.append(f"<tr><td>{_text(name)}</td>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _text(value: str) -> str:
    return html.escape(value)
