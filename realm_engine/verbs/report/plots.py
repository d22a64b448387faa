"""Plots as SVG that lives in a page: its texts are texts, its colours are the page's, light, dark and in print."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import scipy.stats
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from realm_engine.arrays import Float64
from realm_engine.verbs.report.shown import plain, shortened

# Colours that are nobody's, and the variable of the page's style that each becomes.
_INK, _MUTED, _GRID, _MARK, _FILL, _PAPER = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
_VARIABLES = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _GRID: "var(--line)",
    _MARK: "var(--mark)",
    _FILL: "var(--fill)",
    _PAPER: "var(--paper)",
}
_STYLE: Any = {
    "svg.fonttype": "none",  # texts stay texts: they can be read aloud, searched and translated
    "svg.hashsalt": "realm",  # the same plot is the same bytes
    "text.parse_math": False,  # a name with a dollar sign is a name
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _MUTED,
    "text.color": _INK,
    "xtick.color": _GRID,
    "ytick.color": _GRID,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}
_NAME_LETTERS = 26
_INCHES_PER_ROW = 0.38
_POINTS = 200


@dataclass(frozen=True)
class Dots:
    """A row of a plot: a name, a value with the ends of its interval, and the values it is of ([] for none)."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    values: Float64


@contextmanager
def _drawing(**more: str) -> Iterator[None]:
    """In our style. A letter that no font here has is no matter: the page's reader has his own fonts."""
    style: Any = {**_STYLE} | more
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def intervals(rows: Sequence[Dots], label: str, prefix: str, density: bool = True) -> Markup:
    """Dots with their intervals, a row each, and beside them how the values are spread (curve, 5 to 95 %, median).

    `prefix`: of the ids within it, different for every plot of a page.
    """
    with _drawing():
        figure = Figure(figsize=(9.2, 0.75 + _INCHES_PER_ROW * len(rows)))
        if density:
            left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.0, 1.15))
            _spread(right, rows)
            right.set_xlabel(f"{label}: all pictures (5 % to 95 %, median)")
        else:
            left = figure.subplots()
        for place, row in enumerate(rows):
            if row.value is None:
                continue
            if row.low is not None and row.high is not None:
                left.plot(
                    [row.low, row.high], [place, place], color=_MARK, linewidth=2.4, solid_capstyle="round"
                )
            left.plot([row.value], [place], "o", color=_MARK, markersize=7, markeredgecolor=_PAPER)
        left.set_xlabel(f"{label}: mean and 95 % interval" if density else label)
        left.set_yticks(range(len(rows)), [shortened(plain(row.name), _NAME_LETTERS) for row in rows])
        left.set_ylim(len(rows) - 0.4, -0.75)
        left.margins(x=0.08)
        for axes in figure.axes:
            axes.grid(axis="x", color=_GRID, linewidth=0.8)
            axes.set_axisbelow(True)
            axes.tick_params(axis="y", length=0)
        figure.tight_layout()
        return _svg(figure, prefix)


def _spread(axes: Axes, rows: Sequence[Dots]) -> None:
    known = [row.values for row in rows if len(row.values)]
    if not known:
        return
    low, high = min(v.min() for v in known), max(v.max() for v in known)
    margin = 0.04 * (high - low) or 1.0
    grid = np.linspace(low - margin, high + margin, _POINTS)
    curves = {place: _curve(row.values, grid) for place, row in enumerate(rows)}
    highest = max((curve.max() for curve in curves.values() if curve is not None), default=1.0)
    for place, row in enumerate(rows):
        curve = curves[place]
        if curve is not None:
            axes.fill_between(grid, place, place - 0.68 * curve / highest, color=_FILL, linewidth=0)
            axes.plot(grid, place - 0.68 * curve / highest, color=_MARK, linewidth=0.9)
        if len(row.values):
            p5, median, p95 = np.percentile(row.values, [5, 50, 95])
            axes.plot([p5, p95], [place, place], color=_MUTED, linewidth=1.2)
            axes.plot([median], [place], "|", color=_INK, markersize=9, markeredgewidth=1.8)


def _curve(values: Float64, grid: Float64) -> Float64 | None:
    """Density of values on a grid; None of so few or so equal ones that there is none."""
    if len(values) < 5 or np.ptp(values) < 1e-9 * max(1.0, float(np.abs(values).max())):
        return None
    return np.asarray(scipy.stats.gaussian_kde(values)(grid))


def histogram(values: Float64, label: str, prefix: str) -> Markup:
    """How the values of one folder are spread, with their median and the 5th and 95th percentile."""
    with _drawing(**{"ytick.labelcolor": _MUTED}):
        figure = Figure(figsize=(8.0, 2.9))
        axes = figure.subplots()
        bins = int(np.clip(np.sqrt(len(values)) * 1.5, 6, 40))
        axes.hist(values, bins=bins, color=_FILL, edgecolor=_MARK, linewidth=0.9)
        p5, median, p95 = np.percentile(values, [5, 50, 95])
        top = axes.get_ylim()[1] * 1.14
        for at, name, style in ((p5, "5 %", ":"), (median, "median", "-"), (p95, "95 %", ":")):
            axes.axvline(at, color=_INK, linewidth=1.3, linestyle=style, ymax=0.9)
            axes.text(at, top * 0.93, name, ha="center", va="bottom", fontsize=9)
        axes.set_ylim(0, top)
        axes.set_xlabel(label)
        axes.set_ylabel("pictures")
        axes.grid(axis="y", color=_GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        figure.tight_layout()
        return _svg(figure, prefix)


def _svg(figure: Figure, prefix: str) -> Markup:
    """A figure as an SVG element without size of its own, its ids made the page's."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue().decode("utf-8", "replace")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(id="|url\(#|href="#)', rf"\1{prefix}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    return Markup(text.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1))
