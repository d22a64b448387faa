"""What verbs say to the user, and how they open an engine; the command line brings the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from realm_engine.bundle.terms import Terms, alike
from realm_engine.engine import Engine, EngineOptions
from realm_engine.machine.memory import held_within
from realm_engine.pictures.descriptions import Descriptions
from realm_engine.pictures.find import Found
from realm_engine.pictures.inputs import Entry, count_described, rows_left_over
from realm_engine.verbs.choices import Advance

_NAMED = 3  # rows that are named of those without an image


class Console(Protocol):
    """Where a verb talks to the user; results go to files or stdout, everything said here to stderr."""

    def say(self, line: str) -> None:
        """One line to the user."""

    def warn(self, line: str) -> None:
        """One line to the user who may not have meant it so: something was left out, not used or not found."""

    def error(self, line: str) -> None:
        """One line to the user about what failed, even where nothing else is said."""

    def detail(self, line: str) -> None:
        """One line for who wants to know more."""

    def progress(self, what: str, total: int, bar: bool = True) -> AbstractContextManager[Advance]:
        """Show progress while the block runs; `bar` False keeps the terminal free for results printed there."""


@contextmanager
def open_engine(options: EngineOptions, part: Callable[[Engine], str], console: Console) -> Iterator[Engine]:
    """Open the engine and say which device, runtime and precision `part(engine)` uses; within the block the process
    cannot take more memory than its `ceiling_bytes`."""
    start = time.monotonic()
    with options.open() as engine, bounded(engine):
        console.detail(f"opened {options.bundle} in {time.monotonic() - start:.2f} s")
        name = part(engine)
        for used in [engine.describe(name) if engine.can(name) else engine.describe(), *engine.bundles()[1:]]:
            where = f"{used['runtime']} on {used['device']}, {used['precision']}, {used['threads']} threads"
            console.say(f"{used['bundle']}: {where} ({used['why']})")
        yield engine


def bounded(engine: Engine) -> AbstractContextManager[None]:
    """A block in which the process cannot take more memory than an engine's `ceiling_bytes`."""
    ceiling = engine.ceiling_bytes()
    return nullcontext() if ceiling is None else held_within(ceiling)


def say_terms(terms: Mapping[str, Terms], console: Console) -> None:
    """Say on what terms the weights of what is made may not be used commercially, each once; else nothing."""
    for each, names in alike(terms).items():
        if not each.commercial_use:
            console.say(f"licence of {', '.join(names)}: {each.line}; see realm-engine info")


def say_left_out(found: Found, console: Console) -> None:
    """Say what of the folders is no image of the run; a warning where somebody might miss it."""
    for sentence in found.left_out_as(drawn=True).sentences():
        console.say(sentence)
    for sentence in found.left_out_as(drawn=False).sentences():
        console.warn(sentence)


def say_descriptions(
    entries: Sequence[Entry], by_root: Mapping[Path, Descriptions], searched: Sequence[Path], console: Console
) -> None:
    """Say which files of descriptions are used, for how many images, and which of their columns and rows are not.

    `searched`: the paths that were given.
    """
    files = {texts.source: texts for texts in by_root.values()}
    for source, (described, total) in count_described(entries, by_root).items():
        say = console.say if described == total else console.warn
        say(f"descriptions: {source} ({described} of {total} images have one)")
        if files[source].unread:
            console.warn(f"descriptions: {source}: columns not used: {', '.join(files[source].unread)}")
    for source, names in rows_left_over(entries, by_root, searched).items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        console.warn(f"descriptions: {source}: no image for {', '.join(names[:_NAMED])}{more}")


def rate(what: str) -> Callable[[int], str]:
    """A function from a count to "N what/s", over all the time since this call."""
    start = time.monotonic()
    return lambda count: f"{count / max(time.monotonic() - start, 1e-9):.0f} {what}/s" if count else ""
