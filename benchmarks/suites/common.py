"""What the suites share: progress, rows of contenders, rounds into a case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.engines import Spec
from benchmarks.measure import Contender, one_line, run_rounds
from benchmarks.results import Book, Case, Row, clean
from benchmarks.settings import Settings

Say = Callable[[str], None]


@dataclass
class Entry:
    """A contender in preparation: its specification, and what is known of it before any case."""

    spec: Spec
    how: str = ""
    error: str = ""
    unit_s: float = 0.0  # seconds of one window or image, from the pass that measured accuracy
    accuracy: Mapping[str, float] | None = None

    def row(self, measured: int) -> Row:
        """An empty row of a table."""
        spec = self.spec
        return Row(
            spec.key,
            spec.family,
            spec.device,
            spec.precision,
            self.how,
            measured,
            accuracy=dict(self.accuracy or {}),
            error=self.error,
        )


def time_case(
    case: Case,
    entries: Sequence[Entry],
    calls: Mapping[str, tuple[Callable[[], object], int]],
    settings: Settings,
    headline: bool = False,
) -> None:
    """Run the rounds of a case and fill its rows.

    Args:
        case: Receives one row per entry.
        entries: All contenders, those without a call too: their rows say why.
        calls: By key: one pass, and how many of the case's units it does.
        settings: Rounds and budget.
        headline: The README quotes it: `--repeats` rounds at least, one fewer elsewhere.
    """
    contenders = [Contender(key, call, case.units / max(1, done)) for key, (call, done) in calls.items()]
    least = settings.repeats if headline else max(1, settings.repeats - 1)
    samples = run_rounds(contenders, least, settings.most_rounds, settings.budget_s, warm_up=0)
    for entry in entries:
        key = entry.spec.key
        row = entry.row(calls[key][1] if key in calls else 0)
        if key in samples:
            row.seconds, row.error = samples[key].seconds, clean(samples[key].error)
        case.rows.append(row)


def reference_note(entries: Sequence[Entry]) -> str:
    """What accuracy is measured against, where it is not the published loop."""
    first = next((entry.spec.key for entry in entries if entry.accuracy is not None), "")
    return "" if first in ("", "published fp32") else f" Accuracy is against {first}: {entries[0].error}."


def close(runners: Mapping[str, object]) -> None:
    """Free the engines' sessions, so that the next model has the memory."""
    for runner in runners.values():
        engine = getattr(runner, "engine", None)
        if engine is not None:
            engine.close()


def fastest(entries: Sequence[Entry], family: str, precision: str | None = None) -> Entry | None:
    """The entry of a family (and precision) with the fewest seconds per unit."""
    found = [
        entry
        for entry in entries
        if entry.spec.family == family and not entry.error and precision in (None, entry.spec.precision)
    ]
    return min(found, key=lambda entry: entry.unit_s, default=None)


def attempt(book: Book, what: str, action: Callable[[], None]) -> None:
    """Run a part of a suite; a failure is noted and the rest goes on."""
    try:
        action()
    except Exception as error:
        book.fail(what, one_line(error))
