"""What a GPU does with the engine, beside the CPU and PyTorch, in minutes: many are lent for no longer."""

from __future__ import annotations

from typing import Any

from benchmarks import names
from benchmarks.gpu import QUESTIONS, answers
from benchmarks.results import Book, Table
from benchmarks.settings import Settings
from benchmarks.suites.common import Say
from realm_engine.runtimes.devices import available

COLUMNS = ("question", "device", "what", "precision", "units", "first_s", "median_s", "share_of_peak", "note")


def run(settings: Settings, book: Book, say: Say) -> None:
    """Every question to every GPU runtime that works here, and to the CPU; with --quick a little of each."""
    states = available()
    devices = [name for name, state in states.items() if not state.startswith("not available")]
    gpus = [name for name in devices if name not in ("cpu", "openvino")]
    if not gpus:
        say("gpu: no GPU works here, so the CPU answers alone")
    table = Table("gpu", names.GPU, list(COLUMNS))
    raw = Table("gpu", names.GPU_ANSWERS, ["answer"])
    book.tables += [table, raw]
    for name in QUESTIONS:
        say(f"gpu: {name}")
        for answer in answers([name], [*gpus, "cpu"], settings.quick):
            raw.rows.append([answer])
            if "error" in answer:
                book.fail(f"gpu, {name} on {answer['device']}", str(answer["error"]))
            elif "what" in answer:
                table.rows.append(row(answer))
        book.save(settings.output / "results.json")


def row(answer: dict[str, Any]) -> list[Any]:
    """The table's row of one answer; what has no column of its own is its note."""
    known = {*COLUMNS, "all_s", "at_s", "settings", "sampled"}
    notes = [
        f"{key.replace('_', ' ')} {value:.6g}"
        for key, value in answer.items()
        if key not in known and isinstance(value, float)
    ]
    notes += [str(answer[key]) for key in ("settings", "runtime") if key in answer]
    notes += ["a sample, scaled"] if answer.get("sampled") else []
    return [answer.get(key) for key in COLUMNS[:-1]] + ["; ".join(notes)]
