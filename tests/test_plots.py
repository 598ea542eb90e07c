import re

import numpy as np

from facial_jax.plots import svg_plot


def points(svg):
    """Of each path: lists of (x, y), a new one at each gap."""
    paths = re.findall(r'<path d="([^"]*)"', svg)
    return [
        [[tuple(map(float, p.split())) for p in part.split("L")] for part in path.split("M")[1:]]
        for path in paths
    ]


def test_a_curve_spans_the_plot_and_breaks_where_it_is_not_finite():
    (parts,) = points(svg_plot("t", {"a": np.array([0.0, 1.0, np.nan, 0.5, 0.0])}))
    assert [len(part) for part in parts] == [2, 2]
    assert parts[0] == [(34.0, 114.0), (255.5, 16.0)]
    assert parts[1] == [(698.5, 65.0), (920.0, 114.0)]


def test_curves_share_one_scale_and_their_times():
    curves = {"a": np.zeros(3), "b": np.full(3, 2.0)}
    svg = svg_plot("<title>", curves, np.array([2.0, 3.0, 6.0]))
    low, high = points(svg)
    assert low == [[(34.0, 114.0), (255.5, 114.0), (920.0, 114.0)]]
    assert high == [[(34.0, 16.0), (255.5, 16.0), (920.0, 16.0)]]
    assert ">2.0 s<" in svg
    assert ">6.0 s<" in svg
    assert "&lt;title&gt;" in svg


def test_a_curve_without_finite_values_is_an_empty_plot():
    assert points(svg_plot("t", {"a": np.full(4, np.nan)})) == [[]]
