"""The terminal: lines and progress on stderr, a bar where it is a terminal, else a line now and then."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from realm_engine.errors import printable
from realm_engine.verbs.choices import Advance, spoken

SECONDS_BETWEEN_LINES = 30.0


class Terminal:
    """What verbs talk to (`verbs.console.Console`).

    Attributes:
        warned: The warnings of this run, which `--strict` makes a failure.
        quiet: Nothing but errors is said.
        verbose: Details are said, too.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As it is before a run."""
        self.warned: list[str] = []
        self.quiet = self.verbose = False

    def say(self, line: str) -> None:
        """One line on stderr: standard output holds results only."""
        if not self.quiet:
            self.error(line)

    def warn(self, line: str) -> None:
        """One line on stderr that is a warning."""
        self.warned.append(line)
        self.say(line)

    def error(self, line: str) -> None:
        """One line on stderr that is said whatever is asked for."""
        click.echo(printable(line), err=True)

    def detail(self, line: str) -> None:
        """One line on stderr for who asked for details."""
        if self.verbose:
            self.error(line)

    @contextmanager
    def progress(self, what: str, total: int, bar: bool = True) -> Iterator[Advance]:
        """Yield a function that takes how many of `total` are done so far, and a note that is shown beside it."""
        start = time.monotonic()
        if bar and not self.quiet and sys.stderr is not None and sys.stderr.isatty():
            with _bar(what, total) as advance:
                yield advance
        else:
            yield _lines(what, total)
        passed = time.monotonic() - start
        self.detail(f"{what}: {total} in {passed:.2f} s ({total / max(passed, 1e-9):.1f}/s)")


TERMINAL = Terminal()


def say(line: str) -> None:
    """One line to the user, on stderr."""
    TERMINAL.say(line)


@contextmanager
def _bar(what: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[counted]}"),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[note]}"),
    )
    start = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total, counted=f"0/{total}", left="", note="")

        def advance(done: float, note: str = "") -> None:
            shown.update(
                task,
                completed=done,
                counted=f"{int(done)}/{total}",
                left=_left(time.monotonic() - start, done, total),
                note=escape(printable(note)),
            )

        yield advance


def _lines(what: str, total: int) -> Advance:
    start = last = time.monotonic()

    def advance(done: float, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and done < total:
            last = now
            parts = [f"{int(done)} of {total}", _left(now - start, done, total), note]
            say(f"{what}: {', '.join(filter(None, parts))}")

    return advance


def _left(passed_s: float, done: float, total: int) -> str:
    """The time that the rest takes at the speed so far; "" where nothing is done yet."""
    return f"about {spoken(passed_s / done * (total - done))} left" if done > 0 else ""
