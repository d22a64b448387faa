"""The terminal: lines and progress on stderr, a bar where it is a terminal, else a line now and then."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from realm_engine.cli.options import say
from realm_engine.errors import printable
from realm_engine.verbs.choices import Advance

SECONDS_BETWEEN_LINES = 30.0


class Terminal:
    """What verbs talk to (`verbs.console.Console`).

    Attributes:
        warned: The warnings of this run, which `--strict` makes a failure.
    """

    def __init__(self) -> None:
        self.warned: list[str] = []

    def say(self, line: str) -> None:
        """One line on stderr."""
        say(line)

    def warn(self, line: str) -> None:
        """One line on stderr that is a warning."""
        self.warned.append(line)
        say(line)

    @contextmanager
    def progress(self, what: str, total: int, bar: bool = True) -> Iterator[Advance]:
        """Yield a function that takes how many of `total` are done so far, and a note that is shown beside it."""
        if bar and sys.stderr is not None and sys.stderr.isatty():
            with _bar(what, total) as advance:
                yield advance
        else:
            yield _lines(what, total)


TERMINAL = Terminal()


@contextmanager
def _bar(what: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total, note="")

        def advance(done: float, note: str = "") -> None:
            shown.update(task, completed=round(done, 2), note=escape(printable(note)))

        yield advance


def _lines(what: str, total: int) -> Advance:
    start = last = time.monotonic()

    def advance(done: float, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and done < total:
            last = now
            left = (now - start) / max(done, 1e-9) * (total - done)
            say(f"{what}: {done:.1f} of {total}, about {left:.0f} s left{note and ', '}{note}")

    return advance
