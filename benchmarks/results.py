"""What a run found out, and its JSON file. Rows hold raw seconds; everything else is computed from them."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import Spread, paired_ratios, percentile
from benchmarks.settings import ROOT
from benchmarks.work import WORKS


@dataclass
class Row:
    """One contender in one case.

    Attributes:
        key: Name of the contender.
        family: published, eager, compile or engine.
        device: cpu, cuda or openvino.
        precision: fp32, fp16, bf16 or int8.
        how: Runtime, or batch size.
        measured: Units of one pass; fewer than the case has where the seconds are scaled up.
        seconds: Of the whole case, one per round.
        accuracy: Differences from the published loop in fp32, measured on the same artefact.
        error: Why there are no seconds.
    """

    key: str
    family: str
    device: str
    precision: str
    how: str = ""
    measured: int = 0
    seconds: list[float] = field(default_factory=list)
    accuracy: dict[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def median_s(self) -> float:
        """Median seconds; nan without any."""
        return percentile(self.seconds, 50)


@dataclass
class Case:
    """Contenders that did the same work in the same rounds.

    Attributes:
        suite: Name of the suite, key of `work.WORKS`.
        model: Key of the model.
        title: Name of the model in tables.
        units: How many windows or images the work has.
        rows: The contenders.
        gflop_per_unit: Arithmetic of one unit, counted on the PyTorch model; 0 where it was not.
        engine_gflop_per_unit: The same for the engine where it needs less, as for texts that are not padded.
        peak_gflops: GFLOP/s that matrix products of the model's shapes reach here, by precision.
        variation: What varies between the rows of a case that compares the engine with itself, "" for any other.
        note: What the reader must know.
    """

    suite: str
    model: str
    title: str
    units: int
    rows: list[Row] = field(default_factory=list)
    gflop_per_unit: float = 0.0
    engine_gflop_per_unit: float = 0.0
    peak_gflops: dict[str, float] = field(default_factory=dict)
    variation: str = ""
    note: str = ""

    @property
    def unit(self) -> str:
        """What is counted: windows or images."""
        return WORKS[self.suite].unit

    def row(self, key: str) -> Row | None:
        """A contender that was measured."""
        return next((row for row in self.rows if row.key == key and row.seconds), None)

    def speedup(self, base: str, key: str) -> Spread:
        """How many times faster `key` is than `base`, round by round."""
        slow, fast = self.row(base), self.row(key)
        if slow is None or fast is None:
            return Spread.of([])
        return Spread.of(paired_ratios(slow.seconds, fast.seconds))

    def throughput(self, row: Row) -> float:
        """Units per second by the median."""
        return self.units / row.median_s

    def fraction_of_peak(self, row: Row) -> float:
        """Share of the measured peak of its precision; nan where that was not measured."""
        peak = self.peak_gflops.get(row.precision, math.nan)
        trimmed = row.family == "engine" and self.engine_gflop_per_unit
        work = self.engine_gflop_per_unit if trimmed else self.gflop_per_unit
        return self.throughput(row) * work / peak if work else math.nan

    def baseline_half(self) -> str:
        """Key of the eager half-precision baseline."""
        found = [row.key for row in self.rows if row.family == "eager" and row.precision != "fp32"]
        return found[0] if found else ""


@dataclass
class Table:
    """Anything that is not rounds of contenders."""

    suite: str
    name: str
    columns: list[str]
    rows: list[list[Any]] = field(default_factory=list)

    def records(self) -> list[dict[str, Any]]:
        """The rows as objects."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass
class Book:
    """All results of a run."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    cases: list[Case] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    suite_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def peaks(self) -> dict[str, float]:
        """Measured matrix peaks, GFLOP/s (GOP/s for int8) by precision; empty where none were measured."""
        found = self.machine.get("peaks", {})
        return {name: value for name, value in found.items() if isinstance(value, float)}

    def fail(self, what: str, why: str) -> None:
        """Note that something has no result."""
        self.failures.append(f"{what}: {clean(why)}")

    def records(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table by its name; none of a table that was not measured."""
        return [record for table in self.tables if table.name == name for record in table.records()]

    def to_json(self) -> dict[str, Any]:
        """Everything, with the statistics beside the raw seconds."""
        data = dataclasses.asdict(self)
        for case, stored in zip(self.cases, data["cases"], strict=True):
            for row, entry in zip(case.rows, stored["rows"], strict=True):
                entry["statistics"] = statistics(case, row) if row.seconds else {}
        return {name: plain(value) for name, value in data.items()}

    def save(self, path: Path) -> None:
        """Write `results.json`: to a temporary name first, so that no half file is ever there."""
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)


def statistics(case: Case, row: Row) -> dict[str, Any]:
    """What follows from the seconds of a measured row."""
    half = case.baseline_half()
    ratios = {
        f"against {base}": dataclasses.asdict(case.speedup(base, row.key))
        for base in ("published fp32", "eager fp32", half)
        if base and case.row(base) is not None
    }
    return {
        "p50_s": row.median_s,
        "p95_s": percentile(row.seconds, 95),
        "p99_s": percentile(row.seconds, 99),
        "rounds": len(row.seconds),
        f"{case.unit}_per_s": case.throughput(row),
        "fraction_of_peak": case.fraction_of_peak(row),
        "extrapolated": row.measured < case.units,
        "speedup": ratios,
    }


def plain(value: Any) -> Any:
    """JSON values: nan and infinities are null, strings name no folder of this machine."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return clean(value) if isinstance(value, str) else value


def clean(text: str) -> str:
    """A message without the folders of this machine."""
    text = text.replace(f"{ROOT}/", "").replace(f"{ROOT.resolve()}/", "")
    return re.sub(r"(?<![\w.])/(?:[\w.+-]+/)+", "", text)
