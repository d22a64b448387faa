"""Which pictures of a run are picked by their numbers, and what is done with them: listed, or copied elsewhere."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from realm_engine.bundle.columns import Column, numbers_of
from realm_engine.errors import OutputError, UsageError, did_you_mean, printable
from realm_engine.measures.measure import Listed
from realm_engine.pictures.inputs import Entry
from realm_engine.tables.rows import Measured
from realm_engine.verbs.compare.subjects import lead_column
from realm_engine.verbs.console import Console

USUAL = "realness"
"""The column that people set limits of, where the first measure has it: its scale is that of ratings."""


@dataclass(frozen=True)
class Pick:
    """Limits of a column, and what is done with pictures within them; see the help of `realm-engine score`.

    Both limits are exclusive. `by`: the column, None for `USUAL`, else for the one that stands for
    the first measure.
    """

    below: float | None = None
    above: float | None = None
    by: str | None = None
    listed: bool = False
    null: bool = False
    copy_to: Path | None = None

    def __post_init__(self) -> None:
        if self.below is None and self.above is None:
            given = {"--by": self.by, "--list": self.listed, "--copy-to": self.copy_to, "--null": self.null}
            for option in (option for option, value in given.items() if value):
                raise UsageError(f"{option} picks by a limit; add --below X or --above X")
        for option, limit in (("--below", self.below), ("--above", self.above)):
            if limit is not None and not math.isfinite(limit):
                raise UsageError(f"{option} {limit}: give a number")
        if self.below is not None and self.above is not None and self.above >= self.below:
            raise UsageError(f"nothing is above {self.above:g} and below {self.below:g}; give one of them")
        if self.null and not self.listed:
            raise UsageError("--null is about --list; give both")

    def __bool__(self) -> bool:
        return self.below is not None or self.above is not None


@dataclass(frozen=True)
class Picker:
    """A pick by a column that the run has."""

    pick: Pick
    column: Column

    @classmethod
    def of(cls, pick: Pick, measures: Sequence[Listed], columns: Sequence[Column]) -> Picker:
        """The pick, its column found. Raises UsageError for one that is not there, or holds words."""
        numbers = {column.name: column for column in numbers_of(columns)}
        if pick.by is None:
            first = measures[0].columns
            if not numbers_of(first):
                raise UsageError(f"{measures[0].name} answers in words; say by which column with --by")
            own = {column.name: column for column in numbers_of(first)}
            return cls(pick, own[USUAL] if USUAL in own else lead_column(first))
        if pick.by not in numbers:
            hint = did_you_mean(pick.by, numbers) or f"; there are {', '.join(numbers)}"
            raise UsageError(f"--by {pick.by}: no such column of numbers{hint}")
        return cls(pick, numbers[pick.by])

    def fits(self, row: Measured) -> bool:
        """Whether a picture is picked, by its value as tables hold it; one without an answer never is."""
        value = row.values.get(self.column.name)
        if value is None or math.isnan(value):
            return False
        value = round(float(value), self.column.decimals)
        pick = self.pick
        return (pick.below is None or value < pick.below) and (pick.above is None or value > pick.above)

    @property
    def words(self) -> str:
        """What is picked: "realness below 60"."""
        limits = (("above", self.pick.above), ("below", self.pick.below))
        return f"{self.column.name} " + " and ".join(
            f"{word} {limit:g}" for word, limit in limits if limit is not None
        )


def write_list(entries: Iterable[Entry], stdout: IO[str], null: bool) -> None:
    """Write where pictures lie, as it was given, one a line, or ended by NUL: what `--files-from -` and xargs take."""
    eyes = stdout.isatty()
    for entry in entries:
        path = str(entry.source) if isinstance(entry.source, Path) else entry.name
        stdout.write(f"{path}\0" if null else f"{printable(path) if eyes else path}\n")
    stdout.flush()


def check_copies(entries: Sequence[Entry], folder: Path, console: Console) -> None:
    """Find out before any work whether pictures can be copied to a folder. Raises OutputError where something lies
    there that a copy would replace.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; give a folder with --copy-to")
    if folder.is_dir():
        for target in (_target(folder, entry) for entry in entries):
            if os.path.lexists(target):
                raise OutputError(
                    f"{target}: is there already, and nothing is replaced; give --copy-to a new folder"
                )
    whole = folder.resolve()
    for root in dict.fromkeys(entry.root for entry in entries if entry.root is not None):
        if root.is_dir() and root.resolve() in (whole, *whole.parents):
            console.warn(f"{folder} lies in {root}: the next run over it would score the copies as well")


def copy_pictures(entries: Iterable[Entry], folder: Path) -> int:
    """Copy pictures to a folder under their names, with their times; returns how many.

    Raises OutputError where one cannot be written, or something lies there by now; none is replaced.
    """
    count = 0
    for entry in entries:
        target = _target(folder, entry)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(entry, target)
        except FileExistsError as error:
            raise OutputError(
                f"{target}: is there already, and nothing is replaced; {count} were copied"
            ) from error
        except OSError as error:
            raise OutputError(
                f"{target}: cannot be written ({error.strerror}); {count} were copied"
            ) from error
        count += 1
    return count


def _copy(entry: Entry, target: Path) -> None:
    with target.open("xb") as written:
        try:
            if isinstance(entry.source, Path):
                with entry.source.open("rb") as read:
                    shutil.copyfileobj(read, written)
            else:  # what came on standard input
                assert isinstance(entry.source, bytes)
                written.write(entry.source)
        except BaseException:
            target.unlink(missing_ok=True)  # no half of a picture stays
            raise
    if isinstance(entry.source, Path):
        shutil.copystat(entry.source, target)


def _target(folder: Path, entry: Entry) -> Path:
    """Where a picture's copy lies. A name may be a whole path, where pictures have no folder in common."""
    return folder.joinpath(*_parts(entry.name))


def _parts(name: str) -> Iterator[str]:
    for part in PurePosixPath(name).parts:
        if part not in ("/", "..") and not part.endswith(":"):
            yield part
