"""What verbs say to the user, and how they open an engine; the command line brings the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from realm_engine.bundle.terms import Terms, alike
from realm_engine.engine import Engine, EngineOptions
from realm_engine.pictures.descriptions import Descriptions
from realm_engine.pictures.inputs import Entry, count_described
from realm_engine.verbs.choices import Advance


class Console(Protocol):
    """Where a verb talks to the user; results go to files or stdout, everything said here to stderr."""

    def say(self, line: str) -> None:
        """One line to the user."""

    def progress(self, what: str, total: int, bar: bool = True) -> AbstractContextManager[Advance]:
        """Show progress while the block runs; `bar` False keeps the terminal free for results printed there."""


def open_engine(options: EngineOptions, part: Callable[[Engine], str], console: Console) -> Engine:
    """Open the engine and say which device, runtime and precision `part(engine)` uses."""
    engine = options.open()
    name = part(engine)
    for used in [engine.describe(name) if engine.can(name) else engine.describe(), *engine.bundles()[1:]]:
        where = f"{used['runtime']} on {used['device']}, {used['precision']}, {used['threads']} threads"
        console.say(f"{used['bundle']}: {where} ({used['why']})")
    return engine


def say_terms(terms: Mapping[str, Terms], console: Console) -> None:
    """Say on what terms the weights of what is made may not be used commercially, each once; else nothing."""
    for each, names in alike(terms).items():
        if not each.commercial_use:
            console.say(f"licence of {', '.join(names)}: {each.line}; see realm-engine info")


def say_descriptions(
    entries: Sequence[Entry], by_root: Mapping[Path, Descriptions], console: Console
) -> None:
    """Say which files of descriptions are used, and for how many images."""
    for source, (described, total) in count_described(entries, by_root).items():
        console.say(f"descriptions: {source} ({described} of {total} images have one)")


def rate(what: str) -> Callable[[int], str]:
    """A function from a count to "N what/s", over all the time since this call."""
    start = time.monotonic()
    return lambda count: f"{count / max(time.monotonic() - start, 1e-9):.0f} {what}/s" if count else ""
