"""`results.md`: one table for each question that a book answers. Pure: a book in, Markdown out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks import names
from benchmarks.measure import percentile
from benchmarks.results import Book, Case, Row
from benchmarks.work import WORKS, Work
from realm_engine.runtimes.words import Precision

NOTHING = "-"  # a cell of what was not run
FAMILIES = ("published", "eager", "compile", "engine")
PRECISIONS = tuple(precision.value for precision in Precision)
_READING = (
    "Seconds are medians over rounds, (2.00 x) is how many times as fast as the published loop in the same rounds, "
    "* was measured on a sample and scaled, - was not run. realm-tiny is the embedded default; the other models have "
    "random weights. Who competes, and what a time includes: `benchmarks/README.md`"
)


def render(book: Book) -> str:
    """The whole report: the machine and the run, then a table for each question that was measured."""
    lines = ["# Benchmarks", "", *(f"* {fact}" for fact in _facts(book))]
    for question, answer in QUESTIONS:
        if table := answer(book):
            lines += ["", f"## {question}", *table]
    if missing := _missing(book):
        lines += ["", "## What could not be measured, and why?", *(f"* {reason}" for reason in missing)]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------ machine, run


def _facts(book: Book) -> list[str]:
    machine, settings = book.machine, book.settings
    packages = ", ".join(f"{name} {version}" for name, version in machine.get("packages", {}).items())
    cores = f"{machine.get('cores_usable')} cores usable ({machine.get('cores_present')} present)"
    peaks = f"; products of large matrices reach {_rates(book.peaks)}" if book.peaks else ""
    facts = [
        f"{machine.get('cpu')} (family/model/stepping {machine.get('cpu_family_model')}), {cores}, "
        f"{', '.join(machine.get('flags', [])) or 'vector units not known'}, {machine.get('memory_gib')} GiB; "
        f"GPU: {machine.get('gpu') or 'none'}{peaks}",
        f"{machine.get('system')}, Python {machine.get('python')}, {packages}",
        f"`{settings.get('command', '')}`, {settings.get('date', '')}, {settings.get('threads')} threads, "
        f"{sum(book.suite_seconds.values()) / 60:.1f} minutes, load before the run {machine.get('load_before')}",
    ]
    return [*facts, ". ".join(filter(None, [_READING, _spread(book.cases)]))]


def _rates(peaks: Mapping[str, float]) -> str:
    return ", ".join(
        f"{value:.0f} {'GOP/s' if name == 'int8' else 'GFLOP/s'} in {name}" for name, value in peaks.items()
    )


def _spread(cases: Iterable[Case]) -> str:
    """How far the rounds of a row differ, as a share of its median."""
    rows = [row for case in cases for row in case.rows if len(row.seconds) > 1]
    shares = [(max(row.seconds) - min(row.seconds)) / row.median_s for row in rows]
    if not shares:
        return ""
    return (
        f"Slowest and fastest round differ by {percentile(shares, 50):.0%} of the time in the table (median over "
        f"all times), {max(shares):.0%} at most"
    )


def _missing(book: Book) -> list[str]:
    """Failures, then the reasons of contenders without a time, each said once for a model."""
    keys: dict[tuple[str, str], list[str]] = {}
    for case in book.cases:
        for row in case.rows:
            if row.error:
                found = keys.setdefault((case.title, row.error), [])
                found += [row.key] if row.key not in found else []
    reasons = [f"{title}, {', '.join(found)}: {error}" for (title, error), found in keys.items()]
    for record in book.records(names.PROCESSES):
        if not math.isfinite(record["peak_memory_mb"]):
            reasons.append(f"{record['model']}, {record['pass']}, {record['contender']}: {record['note']}")
    for record in book.records(names.SIZES):
        if not math.isfinite(record["map_s"]) or not math.isfinite(record["score_s"]):
            reasons.append(f"{record['side_px']} px on {record['device']}: {record['note']}")
    return [*book.failures, *reasons]


# --------------------------------------------------------------- questions


def _contenders(work: Work, book: Book) -> list[str]:
    """Contenders by cases of one kind of work, and how far each one's answers are from the published loop's.

    A row without accuracy is a bound and no contender: its answers mean nothing.
    """
    cases = [case for case in book.cases if case.suite == work.name and not case.variation]
    keys = _ordered(row.key for case in cases for row in case.rows if row.seconds and row.accuracy)
    if not keys:
        return []
    header, columns = ["contender"], [keys]
    for model in dict.fromkeys(case.model for case in cases):
        of_model = [case for case in cases if case.model == model]
        for case in of_model:
            header.append(f"{case.title}, {_count(case.units, case.unit)}")
            columns.append([_time(case, case.row(key)) for key in keys])
        header.append(f"{of_model[0].title}: {work.fidelity_title}")
        columns.append([_fidelity(work, of_model, key) for key in keys])
    lines = markdown(header, list(zip(*columns, strict=True)))
    notes = [*dict.fromkeys(case.note.strip() for case in cases if case.note), *_variations(work, book)]
    return [*lines, *(["", " ".join(notes)] if notes else [])]


def _time(case: Case, row: Row | None) -> str:
    if row is None:
        return NOTHING
    text = duration(row.median_s) + ("*" if row.measured < case.units else "")
    ratio = case.speedup("published fp32", row.key)
    shown = ratio.count and row.family != "published"
    return f"{text} ({ratio.median:.2f} x)" if shown else text


def _fidelity(work: Work, cases: Sequence[Case], key: str) -> str:
    rows = [row for case in cases if (row := case.row(key)) is not None and row.accuracy]
    if not rows:
        return NOTHING
    agreement, difference = (rows[0].accuracy[name] for name in work.fidelity)
    return f"{number(agreement, 5)}, {number(difference, 2)}"


def _ordered(keys: Iterable[str]) -> list[str]:
    """Names of contenders without repetition: the baselines, then the engine by device and precision."""

    def place(key: str) -> tuple[int, str, int]:
        words = key.split(",")[0].split()
        return FAMILIES.index(words[0]), " ".join(words[1:-1]), PRECISIONS.index(words[-1])

    return sorted(dict.fromkeys(keys), key=place)


def _variations(work: Work, book: Book) -> list[str]:
    """One sentence for each case in which the engine is compared with itself."""
    sentences = []
    for case in book.cases:
        rows = [row for row in case.rows if row.seconds]
        if case.suite == work.name and case.variation and rows:
            rates = (f"{row.key.split()[-1]}: {number(case.throughput(row), 3)}" for row in rows)
            what = f"{case.title}, {case.units} {case.unit}, {rows[0].key.split(',')[0]}"
            sentences.append(f"{what}, {case.unit}/s by {case.variation}: {'; '.join(rates)}.")
    return sentences


def _sizes(book: Book) -> list[str]:
    records = book.records(names.SIZES)
    windows = {record["side_px"]: record["windows"] for record in records}
    header = ["", *(f"{side} px, {count} windows" for side, count in windows.items())]
    rows = []
    for what, column in (("map", "map_s"), ("score", "score_s")):
        for device, precision in dict.fromkeys((r["device"], r["precision"]) for r in records):
            seconds = {r["side_px"]: r[column] for r in records if r["device"] == device}
            cells = [duration(seconds[side]) if side in seconds else "" for side in windows]
            rows.append([f"{what}, {device} {precision}", *(cell or NOTHING for cell in cells)])
    return markdown(header, rows) if rows else []


def _fewer(book: Book) -> list[str]:
    """The settings as columns: they are many, and what is asked of each is little."""
    records = book.records(names.CURVE)
    preset = {record["setting"] for record in records if record["method"] == names.PRESET}
    shown = [
        record
        for record in records
        if record["method"] in (names.PRESET, names.STRIDE)
        or (record["method"] == names.FRACTION and record["setting"] not in preset)
    ]
    if not shown:
        return []
    shown.sort(key=lambda record: (record["method"] == names.STRIDE, record["share"]))
    rows = [
        [title, *(number(record[column], digits) for record in shown)]
        for title, column, digits in (
            ("times as fast", "speedup", 3),
            ("Pearson", "pearson_median", 4),
            ("Pearson, worst image", "pearson_min", 4),
            ("largest difference of a pixel", "max_abs_diff", 2),
        )
    ]
    return markdown([f"median of {shown[0]['images']} images", *map(_setting, shown)], rows)


def _setting(record: Mapping[str, Any]) -> str:
    share = f"{record['share']:.0%}"
    if record["method"] == names.STRIDE:
        return f"stride {record['setting']:.0f}: {share}"
    return f"`fast`: {share}" if record["method"] == names.PRESET else share


def _first_answers(book: Book) -> list[str]:
    """Whole commands and single processes by contender: seconds and peak memory."""
    cells: dict[str, dict[str, str]] = {}
    for record in book.records(names.COMMANDS):
        work = f"`realm-engine {record['command'].split(',')[0]}`,{record['command'].partition(',')[2]}"
        contender = f"engine {record['device']} {record['precision']}"
        cells.setdefault(work, {})[contender] = _cost(record["median_s"], record["peak_memory_mb"])
    for record in book.records(names.PROCESSES):
        if math.isfinite(record["peak_memory_mb"]):
            seconds = record["ready_s"] + record["first_s"]
            cost = _cost(seconds, record["peak_memory_mb"]) + (record["note"] and f", {record['note']}")
            cells.setdefault(f"{record['model']}, {record['pass']}", {})[record["contender"]] = cost
    contenders = _ordered(key for row in cells.values() for key in row)
    rows = [[work, *(row.get(key, NOTHING) for key in contenders)] for work, row in cells.items()]
    return markdown(["", *contenders], rows) if rows else []


def _cost(seconds: float, memory_mb: float) -> str:
    return f"{duration(seconds)}, {memory_mb:.0f} MB"


def _hosts(book: Book) -> list[str]:
    rows = [
        [
            record["work"],
            duration(record["python_s"]),
            duration(record["cpp_s"]),
            f"{record['ratio']:.2f} x ({record['ratio_low']:.2f} .. {record['ratio_high']:.2f})",
            str(record["rounds"]),
        ]
        for record in book.records(names.HOSTS)
    ]
    return markdown(["", "Python", "C++", "times as fast as Python", "rounds"], rows) if rows else []


def _measures(book: Book) -> list[str]:
    rows = [
        [
            f"`{record['command']}`",
            duration(record["seconds"]),
            f"{record['ratio']:.2f} x ({record['ratio_low']:.2f} .. {record['ratio_high']:.2f})",
            str(record["rounds"]),
        ]
        for record in book.records(names.MEASURES)
    ]
    for record in book.records(names.HEADS):
        what = f"graph `{record['graph']}` of {record['measure']} alone"
        rows.append([what, duration(record["seconds"]), "", str(record["rounds"])])
    return markdown(["", "a picture", "of the first alone", "rounds"], rows) if rows else []


def _worth(book: Book) -> list[str]:
    """A row per measure: its numbers are many, and the command that finds them is one."""
    found: dict[tuple[str, str], list[str]] = {}
    for record in book.records(names.WORTH):
        found.setdefault((record["measure"], record["command"]), []).append(
            f"{record['what']} {record['value']}"
        )
    rows = [[measure, "; ".join(told), f"`{command}`"] for (measure, command), told in found.items()]
    return markdown(["", "measured", "by"], rows) if rows else []


def _auto(book: Book) -> list[str]:
    rows = [
        [
            f"{record['model']}, {record['part']}",
            f"{record['auto']}, {number(record['auto_per_s'], 3)} {record['unit']}/s ({record['why']})",
            f"{record['tune']}, {number(record['tune_per_s'], 3)} {record['unit']}/s",
            f"{record['share']:.0%}",
        ]
        for record in book.records(names.AUTO)
    ]
    return markdown(["", "auto", "the fastest that tune finds", "share"], rows) if rows else []


def _gpu(book: Book) -> list[str]:
    rows = [
        [
            f"{record['what']}{', ' + record['precision'] if record['precision'] else ''}",
            record["device"],
            duration(record["first_s"]) if record["first_s"] else NOTHING,
            duration(record["median_s"]) if record["median_s"] else NOTHING,
            f"{record['units'] / record['median_s']:.0f}" if record["units"] and record["median_s"] else "",
            f"{record['share_of_peak']:.0%}" if record["share_of_peak"] else "",
            record["note"],
        ]
        for record in book.records(names.GPU)
    ]
    header = ["", "device", "first", "median", "a second", "of the peak", ""]
    return markdown(header, rows) if rows else []


def _serve(book: Book) -> list[str]:
    rows = [
        [
            record["load"],
            f"{record['per_second']:.1f}",
            f"{record['share']:.0%} ({record['share_low']:.0%} .. {record['share_high']:.0%})",
            duration(record["p50_s"]) if math.isfinite(record["p50_s"]) else NOTHING,
            duration(record["p99_s"]) if math.isfinite(record["p99_s"]) else NOTHING,
            duration(record["processor_s"]),
            str(record["rounds"]),
        ]
        for record in book.records(names.SERVE)
    ]
    if not rows:
        return []
    memory = ", ".join(
        f"{record['megabytes']:.0f} MB {record['when']}" for record in book.records(names.SERVE_MEMORY)
    )
    header = [
        "",
        "pictures a second",
        "of `score`",
        "a request, median",
        "99th percentile",
        "processor time a picture",
        "rounds",
    ]
    return [*markdown(header, rows), "", f"The server's process holds {memory}."]


QUESTIONS: tuple[tuple[str, Callable[[Book], list[str]]], ...] = (
    *((work.question, partial(_contenders, work)) for work in WORKS.values()),
    ("What does a larger picture cost? (64 px windows, stride 32)", _sizes),
    (f"What do fewer of the 64 px windows at stride 8 save and lose? ([curve]({names.CURVE}.png))", _fewer),
    ("How long until the first answer of a new process, and how much memory does it take?", _first_answers),
    ("What does a further measure cost beside the first one, 512 x 384 JPEG files, decoded once?", _measures),
    ("What is each measure worth?", _worth),
    ("How much of what `tune` finds does `auto` take by itself?", _auto),
    ("How fast is the C++ host?", _hosts),
    ("What does a GPU make of it?", _gpu),
    ("How fast is a server on loopback, beside `score` of the same files?", _serve),
)


# ------------------------------------------------------------------- cells


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [[cell.replace("|", "/") for cell in line] for line in (header, ["---"] * len(header), *rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


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
    """Three digits: `12.3 ms`, `1.40 s` or `2860 s`; "" for nan."""
    if not math.isfinite(seconds):
        return ""
    value, unit = (seconds * 1e3, "ms") if seconds < 0.9995 else (seconds, "s")
    return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:#.3g} {unit}"


def _count(count: int, unit: str) -> str:
    return f"{count} {unit.removesuffix('s') if count == 1 else unit}"
