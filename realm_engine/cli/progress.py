"""Progress on stderr: a bar on a terminal, elsewhere a line now and then when it takes long."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from realm_engine.cli.options import say

SECONDS_BETWEEN_LINES = 30.0

Advance = Callable[[float], None]


@contextmanager
def progress(what: str, total: int, bar: bool = True) -> Iterator[Advance]:
    """Yield a function that takes how many of `total` are done so far; fractions count as well.

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

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda done: shown.update(task, completed=round(done, 2))


def _lines(what: str, total: int) -> Advance:
    start = last = time.monotonic()

    def advance(done: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and done < total:
            last = now
            left = (now - start) / max(done, 1e-9) * (total - done)
            say(f"{what}: {done:.1f} of {total}, about {left:.0f} s left")

    return advance
