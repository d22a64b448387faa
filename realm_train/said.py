"""What a long command says while it works: a bar on a terminal, and in a pipe a line at least every half minute.

The lines come from a thread, so that a single step which takes minutes is no silence.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from realm_engine.errors import printable
from realm_engine.verbs.choices import spoken

SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def progress(description: str, total: int, show: bool = True) -> Iterator[Callable[[str], None]]:
    """Progress on stderr; call the yielded function after each step with a short status text."""
    if not show:
        yield lambda status: None
        return
    if _is_terminal():
        with _bar(description, total) as tick:
            yield tick
        return
    start, done, last = time.monotonic(), 0, ""

    def tick_line(status: str) -> None:
        nonlocal done, last
        done, last = done + 1, status

    def line() -> str:
        left = (time.monotonic() - start) / done * (total - done) if done else None
        parts = [f"{done} of {total}", "" if left is None else f"about {spoken(left)} left", last]
        return f"{description}: {', '.join(filter(None, parts))}"

    with _now_and_then(line):
        yield tick_line


@contextmanager
def phase(description: str, show: bool = True) -> Iterator[None]:
    """A piece of work without steps to count."""
    if not show:
        yield
    elif _is_terminal():
        from rich.console import Console

        with Console(stderr=True).status(description):
            yield
    else:
        start = time.monotonic()
        with _now_and_then(lambda: f"{description}: {spoken(time.monotonic() - start)} so far"):
            yield


@contextmanager
def _now_and_then(line: Callable[[], str]) -> Iterator[None]:
    """Say `line()` whenever another `SECONDS_BETWEEN_LINES` have passed within the block."""
    ended = threading.Event()

    def speak() -> None:
        while not ended.wait(SECONDS_BETWEEN_LINES):
            print(printable(line()), file=sys.stderr, flush=True)

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield
    finally:
        ended.set()
        speaker.join()


@contextmanager
def _bar(description: str, total: int) -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[status]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total, status="")
        yield lambda status: bar.update(task, advance=1, status=status)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
