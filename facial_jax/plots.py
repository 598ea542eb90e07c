"""Curves and bars as SVG, for pages that need nothing else."""

import html

import numpy as np

PLOT_WIDTH, PLOT_LEFT = 920, 34
"""A plot's width, and where in it curves begin, in pixels."""
_WIDTH, _HEIGHT, _MARGIN = PLOT_WIDTH, 130, PLOT_LEFT
_COLORS = ("#2266bb", "#cc4422", "#228844", "#aa7711", "#7744aa", "#118899", "#667788")
_MAX_POINTS = 3000


def svg_plot(title: str, curves: dict[str, np.ndarray], times_s: np.ndarray | None = None) -> str:
    """Up to three curves (t,) by name, all to the same vertical scale.

    Gaps where values are not finite. Without `times_s` each curve spans the width, over its index.
    """
    values = np.concatenate([np.asarray(curve, np.float64) for curve in curves.values()])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    high = high if high > low else low + 1.0
    paths, legend = [], []
    for color, (name, curve) in zip(_COLORS, curves.items(), strict=False):
        step = max(1, len(curve) // _MAX_POINTS)
        x = np.linspace(0.0, 1.0, len(curve)) if times_s is None else _share(times_s)
        x, y = _MARGIN + x * (_WIDTH - _MARGIN), 16 + (high - curve) / (high - low) * (_HEIGHT - 32)
        points = _path(x[::step], y[::step])
        paths.append(f'<path d="{points}" fill="none" stroke="{color}"/>')
        legend.append(f'<tspan fill="{color}"> {html.escape(name)}</tspan>')
    axis = "" if times_s is None else _time_axis(times_s)
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="11">'
        f'<text x="{_MARGIN}" y="11">{html.escape(title)}:{"".join(legend)}</text>'
        f'<text x="0" y="22">{high:.3g}</text><text x="0" y="{_HEIGHT - 14}">{low:.3g}</text>'
        f"{axis}{''.join(paths)}</svg>"
    )


def svg_bars(title: str, groups: dict[str, dict[str, float]]) -> str:
    """Bars that start at 0: groups by name, in each its values by name, which all groups have."""
    names = list(next(iter(groups.values())))
    values = [value for group in groups.values() for value in group.values()]
    high = max([*values, 1e-9])
    bottom, width = _HEIGHT - 16, (_WIDTH - _MARGIN) / len(groups)
    bar = 0.8 * width / len(names)
    parts = []
    for i, (label, group) in enumerate(groups.items()):
        left = _MARGIN + (i + 0.1) * width
        for k, name in enumerate(names):
            height = max(group[name], 0.0) / high * (bottom - 16)
            parts.append(
                f'<rect x="{left + k * bar:.1f}" y="{bottom - height:.1f}" width="{bar:.1f}" '
                f'height="{height:.1f}" fill="{_COLORS[k % len(_COLORS)]}"/>'
            )
        parts.append(f'<text x="{left:.1f}" y="{_HEIGHT - 2}">{html.escape(label)}</text>')
    legend = "".join(
        f'<tspan fill="{_COLORS[k % len(_COLORS)]}"> {html.escape(name)}</tspan>'
        for k, name in enumerate(names)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="11">'
        f'<text x="{_MARGIN}" y="11">{html.escape(title)}:{legend}</text>'
        f'<text x="0" y="22">{high:.3g}</text>{"".join(parts)}</svg>'
    )


def _share(times_s: np.ndarray) -> np.ndarray:
    return (times_s - times_s[0]) / max(float(times_s[-1] - times_s[0]), 1e-6)


def _path(x: np.ndarray, y: np.ndarray) -> str:
    points, pen = [], "M"
    for a, b in zip(x, y, strict=True):
        if np.isfinite(b):
            points.append(f"{pen}{a:.1f} {b:.1f}")
        pen = "L" if np.isfinite(b) else "M"
    return "".join(points)


def _time_axis(times_s: np.ndarray) -> str:
    return (
        f'<text x="{_MARGIN}" y="{_HEIGHT - 2}">{times_s[0]:.1f} s</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 2}" text-anchor="end">{times_s[-1]:.1f} s</text>'
    )
