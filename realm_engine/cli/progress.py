"""Progress on stderr: a bar on a terminal, elsewhere a line now and then when it takes long."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from realm_engine.cli.options import say

SECONDS_BETWEEN_LINES = 30.0


class Advance(Protocol):
    """Takes how many of the total are done so far (fractions count), and what else there is to say."""

    def __call__(self, done: float, note: str = "") -> None:
        """Show it."""


@contextmanager
def progress(what: str, total: int, bar: bool = True) -> Iterator[Advance]:
    """Yield a function that takes how many of `total` are done so far, and a note that is shown beside it.

    `bar` False keeps the terminal free for results printed there.
    """
    if bar and sys.stderr.isatty():
        with _bar(what, total) as advance:
            yield advance
    else:
        yield _lines(what, total)


@contextmanager
def _bar(what: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
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
            shown.update(task, completed=round(done, 2), note=note)

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


def rate(what: str) -> Callable[[int], str]:
    """A function from a count to "N what/s", over all the time since this call."""
    start = time.monotonic()
    return lambda count: f"{count / max(time.monotonic() - start, 1e-9):.0f} {what}/s" if count else ""
