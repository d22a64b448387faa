"""Pictures of a book: latency by windows, ratios, the trade-off of fewer windows. PNG, without a display."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.ticker import PercentFormatter

from benchmarks.measure import Spread
from benchmarks.models import MODELS
from benchmarks.results import Book, Case

FAMILIES = {"published": "#8c8c8c", "eager": "#dd8452", "compile": "#c44e52", "engine": "#4c72b0"}
MARKERS = {"fp32": "o", "bf16": "s", "fp16": "D", "int8": "^"}


def draw(book: Book, output: Path) -> list[str]:
    """Write every picture that the book has data for; returns their file names."""
    names = []
    for model in dict.fromkeys(case.model for case in book.cases if case.suite == "dream"):
        cases = [case for case in book.cases if (case.suite, case.model) == ("dream", model)]
        if len(cases) > 1:
            names.append(_latency(cases, output / f"dream-latency-{model}.png"))
    for suite, units in (("dream", 165), ("core", 64)):
        for model in MODELS:
            case = book.find(suite, model, units)
            if case is not None and case.row("published fp32") is not None:
                names.append(_ratios(case, output / f"{suite}-ratios-{model}.png"))
    table = book.table("fast-curve")
    if table is not None and table.rows:
        names.append(_fast(table.records(), output / "fast-curve.png"))
    return names


def _latency(cases: list[Case], path: Path) -> str:
    figure, axes = plt.subplots(figsize=(7, 4.5))
    keys = dict.fromkeys(row.key for case in cases for row in case.rows if row.seconds)
    for key in keys:
        points = [(case.units, case.row(key)) for case in cases]
        known = [(units, row) for units, row in points if row is not None]
        row = known[0][1]
        axes.plot(
            [units for units, _ in known],
            [row.median_s for _, row in known],
            marker=MARKERS[row.precision],
            color=FAMILIES[row.family],
            linestyle="--" if row.device == "openvino" else "-",
            alpha=0.85,
            label=key,
        )
    axes.set(xscale="log", yscale="log", xlabel="windows", ylabel="seconds of one map (median)")
    axes.set_title(MODELS[cases[0].model].title)
    counts = [case.units for case in cases]
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xticks([], minor=True)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    return _save(figure, path)


def _ratios(case: Case, path: Path) -> str:
    rows = [row for row in case.rows if row.seconds]
    spreads: list[Spread] = [case.speedup("published fp32", row.key) for row in rows]
    figure, axes = plt.subplots(figsize=(7, 0.38 * len(rows) + 1.4))
    places = range(len(rows))
    medians = [spread.median for spread in spreads]
    errors = [[s.median - s.low for s in spreads], [s.high - s.median for s in spreads]]
    axes.barh(places, medians, xerr=errors, color=[FAMILIES[row.family] for row in rows], ecolor="#333333")
    axes.set_yticks(places, [row.key for row in rows], fontsize=8)
    axes.invert_yaxis()
    for place, spread in zip(places, spreads, strict=True):
        axes.text(spread.high, place, f"  {spread.median:.1f} x", va="center", fontsize=8)
    axes.set(xlabel="times as fast as the published loop; lines: all rounds")
    axes.set_title(case.title)
    axes.margins(x=0.12)
    return _save(figure, path)


def _fast(records: list[dict[str, Any]], path: Path) -> str:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2))
    styles = {
        "fraction": ("#4c72b0", "o-"),
        "coarser stride": ("#8c8c8c", "s--"),
        "preset fast": ("#c44e52", "*"),
    }
    for method, (color, style) in styles.items():
        rows = sorted((r for r in records if r["method"] == method), key=lambda r: float(r["share"]))
        share = [row["share"] for row in rows]
        size = 14 if method == "preset fast" else 5
        options: dict[str, Any] = {"color": color, "markersize": size}
        left.plot(share, [row["pearson_median"] for row in rows], style, label=f"{method}, median", **options)
        if method != "preset fast":
            left.plot(
                share, [row["pearson_min"] for row in rows], ":", color=color, label=f"{method}, worst image"
            )
        right.plot(share, [row["max_abs_diff"] for row in rows], style, label=method, **options)
    left.axhline(0.99, color="#333333", linewidth=0.8)
    left.axvline(0.2, color="#333333", linewidth=0.8)
    left.set(xlabel="share of the windows encoded", ylabel="Pearson with the full grid")
    right.set(xlabel="share of the windows encoded", ylabel="largest difference of a pixel")
    for axes in (left, right):
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    return _save(figure, path)


def _save(figure: Any, path: Path) -> str:
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return path.name
