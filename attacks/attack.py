"""What an attack is: a hostile thing that a script builds, a command that meets it, and what must happen."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from attacks.victim import Victim
from attacks.watch import Watched

MEMORY = "1G"  # --max-memory of every command that takes it
MOST_MB = 1.1 * 1024
MOST_SECONDS = 5.0  # of processor time, beside those that an honest run takes
STARTUP_SECONDS = 4.0


@dataclass(frozen=True)
class Must:
    """What a command must answer: one of `exit_codes`, and `says` somewhere in its output (a regular expression)."""

    exit_codes: tuple[int, ...]
    says: str

    def problem(self, done: Watched) -> str | None:
        """What is wrong with what happened, in words; None where nothing is."""
        output = done.stdout + done.stderr
        if done.timed_out:
            return f"hangs (more than {done.seconds:.0f} s)"
        if "Traceback (most recent call last)" in output:
            return "a traceback: " + done.stderr.strip().splitlines()[-1][:200]
        if done.exit_code not in self.exit_codes:
            return (
                f"exit code {done.exit_code}, not {' or '.join(map(str, self.exit_codes))}: {last_line(done)}"
            )
        if re.search(self.says, output) is None:
            return f"does not say {self.says!r} but {last_line(done)}"
        if "\x1b" in output or "\x07" in output:
            return "an escape code of a name reaches the terminal"
        if done.cpu_seconds > MOST_SECONDS + STARTUP_SECONDS:
            return f"{done.cpu_seconds:.1f} s of processor time"
        if done.peak_mb > MOST_MB:
            return f"{done.peak_mb:.0f} MB"
        return None


def refused(says: str) -> Must:
    """The bundle is refused as a whole, before a picture is scored."""
    return Must((2,), rf"(?m)^error: .*{says}")


def failed(says: str) -> Must:
    """Every picture fails in its own row, or as a map of its own, and the run ends well."""
    return Must((1,), says)


Build = Callable[[Victim], None]


@dataclass(frozen=True)
class Attack:
    """A hostile bundle: `build` makes one of a copy of the embedded one.

    `verb`: what of the command line meets it. `text`: the picture's description, "" for none. `python`, `cpp`: what
    must happen there; None where the host has no such thing.
    """

    name: str
    build: Build
    python: Must
    cpp: Must | None
    verb: str = "score"
    text: str = "the face is melted"


@dataclass(frozen=True)
class CommandAttack:
    """Another hostile thing: `build` makes it in an empty folder and returns the command that meets it."""

    name: str
    build: Callable[[Path], Sequence[str]]
    python: Must


def last_line(done: Watched) -> str:
    """The last line of what a command said on stderr, cut."""
    lines = done.stderr.strip().splitlines() or ["(nothing)"]
    return lines[-1][:300]


def all_attacks() -> dict[str, Attack | CommandAttack]:
    """The attacks of every script, by name."""
    from attacks import scripts

    found: dict[str, Attack | CommandAttack] = {}
    for module in pkgutil.iter_modules(scripts.__path__):
        for attack in importlib.import_module(f"{scripts.__name__}.{module.name}").ATTACKS:
            assert attack.name not in found, attack.name
            found[attack.name] = attack
    return found
