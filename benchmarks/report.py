"""`results.md`: targets, then every case and table of a book. Pure: a book in, Markdown out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.measure import Spread, percentile
from benchmarks.results import Book, Case, Row, Table
from benchmarks.targets import Verdict, evaluate, format_ratio

_SUITES = {
    "dream": "DREAM: maps",
    "core": "CORE: scores",
    "fast": "Fewer windows",
    "startup": "Start-up and memory",
    "sizes": "Image sizes",
    "hosts": "Hosts: C++",
}
_METHOD = (
    "Contenders run one after the other in rounds, in alternating order; ratios are taken within a round and their "
    "median is given with the smallest and largest. Percentiles are of as many passes as the column n says: with few, "
    "p95 and p99 are close to the slowest. *Extrapolated* passes did a sample of the work and are scaled. "
    "Peak is what matrix products of the models' own shapes reach here, in the same run and precision, in PyTorch "
    "(int8: or in ONNX Runtime's MatMulInteger, whichever is faster); FLOPs are counted on the PyTorch model, for "
    "CORE at the text length that each of the two runs. Accuracy is against the published loop in fp32 on the same "
    "weights and image, measured on the artefact that was timed."
)


def render(book: Book, plots: Sequence[str] = ()) -> str:
    """The whole report."""
    lines = ["# Benchmarks", "", *_machine(book), "", "## Targets", "", *_targets(evaluate(book)), ""]
    lines += ["## Method", "", _METHOD, ""]
    for suite in dict.fromkeys([*(c.suite for c in book.cases), *(t.suite for t in book.tables)]):
        lines += [f"## {_SUITES.get(suite, suite)}", ""]
        lines += [f"![{name}]({name})\n" for name in plots if name.startswith(suite)]
        cases = [case for case in book.cases if case.suite == suite]
        for note in dict.fromkeys(case.note for case in cases if case.note):
            lines += [note, ""]
        for case in cases:
            lines += [f"### {case.title}", "", *_case(case), ""]
        for table in book.tables:
            if table.suite == suite and table.shown:
                lines += [
                    f"### {table.title}",
                    "",
                    *([table.note, ""] if table.note else []),
                    *_table(table),
                    "",
                ]
    if book.failures:
        lines += ["## Not available", "", *(f"* {failure}" for failure in book.failures), ""]
    return "\n".join(lines).rstrip() + "\n"


def _machine(book: Book) -> list[str]:
    machine = book.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine.get("packages", {}).items())
    cores = f"{machine.get('cores_usable')} cores usable ({machine.get('cores_present')} present)"
    parts = [
        f"{machine.get('cpu')} (family/model/stepping {machine.get('cpu_family_model')}), {cores}, "
        f"{machine.get('memory_gib')} GiB",
        f"Matrix and vector units: {', '.join(machine.get('flags', [])) or 'none known'}",
        f"GPU: {machine.get('gpu') or 'none'}",
        f"{machine.get('system')}, Python {machine.get('python')}, {packages}",
        f"Run: `{book.settings.get('command', '')}`, {book.settings.get('date', '')}, "
        f"{sum(book.suite_seconds.values()) / 60:.1f} minutes, {book.settings.get('threads')} threads",
    ]
    load = machine.get("load_before")
    if load is not None:
        parts.append(f"Load of the machine before the run: {load}")
    if machine.get("peaks"):
        parts.append("Measured matrix peaks: " + _peaks(book.peaks))
    return [f"* {part}" for part in parts]


def _peaks(peaks: dict[str, float]) -> str:
    return ", ".join(
        f"{name} {value:.0f} {'GOP/s' if name == 'int8' else 'GFLOP/s'}" for name, value in peaks.items()
    )


def _targets(verdicts: Iterable[Verdict]) -> list[str]:
    words = {True: "met", False: "**missed**", None: "not measured"}
    rows = [[v.target, v.wanted, v.measured, words[v.met], v.detail] for v in verdicts]
    return markdown(["target", "wanted", "measured", "", "how"], rows)


def _case(case: Case) -> list[str]:
    half = case.baseline_half()
    maps = case.unit == "windows"
    accuracy = ["Pearson", "max diff"] if maps else ["SROCC", "max diff, MOS"]
    header = ["contender", "how", "p50", "p95", "p99", "n", f"{case.unit}/s", "against published"]
    header += [f"against {half}"] if half else []
    rows = [_row(case, row, half, maps) for row in case.rows if row.seconds]
    lines = markdown([*header, "of peak", *accuracy, "note"], rows)
    missing = [f"{row.key}: {row.error or 'not run in this case'}" for row in case.rows if not row.seconds]
    if missing:
        lines += ["", "Not available:", "", *(f"* {text}" for text in missing)]
    return lines


def _row(case: Case, row: Row, half: str, maps: bool) -> list[str]:
    share = case.fraction_of_peak(row)
    accuracy = ["pearson", "max_abs_diff"] if maps else ["srocc", "mos_max_abs_diff"]
    cells = [row.key, row.how]
    cells += [duration(percentile(row.seconds, q)) for q in (50, 95, 99)]
    cells += [str(len(row.seconds)), number(case.throughput(row))]
    cells += [_ratio(case, "published fp32", row)]
    cells += [_ratio(case, half, row)] if half else []
    cells += [f"{share:.0%}" if math.isfinite(share) else ""]
    cells += [number(row.accuracy[name], 5) if name in row.accuracy else "" for name in accuracy]
    sampled = row.measured < case.units
    return [*cells, f"extrapolated from {row.measured} {case.unit}" if sampled else ""]


def _ratio(case: Case, base: str, row: Row) -> str:
    return "1" if base == row.key else format_ratio(_spread(case, base, row.key))


def _spread(case: Case, base: str, key: str) -> Spread:
    return case.speedup(base, key) if base else Spread.of([])


def _table(table: Table) -> list[str]:
    return markdown(table.columns, [[cell(value) for value in row] for row in table.rows])


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; columns that are empty in every row are left out."""
    keep = (
        [i for i in range(len(header)) if any(row[i] for row in rows)] if rows else list(range(len(header)))
    )
    pick = [[line[i].replace("|", "/") for i in keep] for line in (header, ["---"] * len(header), *rows)]
    return ["| " + " | ".join(line) + " |" for line in pick]


def cell(value: Any) -> str:
    """A value of a table as text."""
    if isinstance(value, float):
        return number(value)
    return str(value)


def number(value: float, digits: int = 4) -> str:
    """Significant digits without exponent for what is not tiny; "" for nan."""
    if not math.isfinite(value):
        return ""
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.1e}"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """`12.3 ms` or `4.56 s`."""
    if not math.isfinite(seconds):
        return ""
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
