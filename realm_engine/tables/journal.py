"""Score tables on disk: complete or not there at all, resumable after a kill, never of two models.

While a run goes on, its rows are appended to a journal beside the output, `<name>.partial` (JSON Lines
whatever the output's format). A run that ends writes the output under a temporary name, renames it, writes the
record of what made it (`run_record`) and removes the journal. A run that is killed leaves the journal.

`resume` continues the journal, where there is one: it holds all rows that its run has, those of the table it began
with included, so whatever a kill left of table and record does not matter. Without a journal it continues the table.
Either way the run must be the same, and a row counts only for the picture it was made from.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeAlias

from realm_engine.bundle.columns import Column
from realm_engine.errors import OutputError, UsageError
from realm_engine.machine.csv_files import encoding_of
from realm_engine.machine.files import check_folder, followed, hold, is_held, is_stream, write_atomically
from realm_engine.tables.record import (
    CURE,
    Picture,
    check_header,
    read_picture,
    read_record,
    record_path,
    run_header,
    table_record,
)
from realm_engine.tables.rows import (
    ENCODING,
    FORMATS,
    Measured,
    cells,
    json_line,
    need_pyarrow,
    read_rows,
    rounded,
    row_of,
    table_parts,
)

_Made: TypeAlias = tuple[Measured, Picture | None]
"""A row, and the picture that it was made from."""


def check_output(path: str | os.PathLike[str], keep: Iterable[Path] = ()) -> Path:
    """Find out whether a table can be written to `path`, before there is anything to write.

    Creates missing parent folders. Leaves no file behind and changes none. A link is followed. A pipe or a device may
    be called as it likes, and is not opened.

    Args:
        path: Where the table shall be.
        keep: Files that the run reads and that the table must not replace.

    Raises:
        UsageError: the extension is none of .csv, .jsonl, .parquet, or `path` is one of `keep`.
        OutputError: `path` is a directory, its folder cannot be made or written, or pyarrow is missing.
    """
    path = Path(path)
    if not is_stream(path) and path.suffix.lower() not in FORMATS:
        raise UsageError(f"--output {path}: the name must end in {', '.join(FORMATS)}")
    if path.is_dir():
        raise OutputError(f"{path}: is a directory; give a file name such as {path / 'scores.csv'}")
    if path.suffix.lower() == ".parquet":
        need_pyarrow()
    if is_stream(path):
        return path
    try:
        folder = followed(path).parent
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    check_folder(folder)
    if any(path.exists() and other.exists() and path.samefile(other) for other in keep):
        raise UsageError(f"--output {path}: is the file of descriptions; choose another name")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{path}: exists and is write-protected; choose another name")
    return path


def journal_path(output: Path) -> Path:
    """Where the rows of an unfinished run lie: beside the file itself, where `output` is a link to one."""
    output = followed(output)
    return output.with_name(output.name + ".partial")


class ResultFile:
    """A score table being written.

    A context manager: a clean exit completes the output, any other keeps the journal. Rows that it writes are in the
    journal and not in memory, which a hundred thousand pictures would fill.

    Attributes:
        done: Rows of an earlier run, by file name, that need not be made again: the image did not fail, and it is
            still the same picture.
        stands: Whether the table lies there as this run would write it. Where no row is to be added, there is then
            nothing to enter the context for, which takes seconds for a hundred thousand rows.
    """

    done: dict[str, Measured]
    stands: bool

    def __init__(
        self,
        path: Path,
        pictures: Mapping[str, Picture | None],
        run: Mapping[str, str],
        columns: Sequence[Column],
        resume: bool = False,
    ) -> None:
        """Open the table.

        Args:
            path: Output; see `check_output`.
            pictures: The images by file name, in the order in which they shall stand in the table: what lies there
                before any is read, so that one which changes meanwhile is seen as changed by the next run.
            run: What must be equal for rows of two runs to stand in one table (bundle, precision...).
            columns: Of the measures, in the order of the table.
            resume: Reuse rows of the journal of an unfinished run, or else of the output.

        Raises:
            OutputError: what is there cannot be read, nothing proves that this very run made it, or another run
                writes it now.
        """
        if is_held(journal_path(path)):
            raise OutputError(f"{path}: another run writes it now; wait for it, or choose another output")
        self._path = path
        self._pictures = dict(pictures)
        self._run = dict(run)
        self._columns = tuple(columns)
        self._earlier, as_written = self._earlier_rows() if resume else ({}, False)
        self.done = {
            name: row
            for name, (row, picture) in self._earlier.items()
            if not row.error and picture is not None and picture == self._pictures.get(name)
        }
        self.stands = (
            as_written
            and self.done.keys() >= self._pictures.keys()
            and list(self._earlier) == [*self._of_others(), *self._pictures]
        )
        # Where in the journal the row of each given picture begins, 0 (where the header is) if it is not made.
        self._numbers = {name: number for number, name in enumerate(self._pictures)}
        self._places = array("q", bytes(8 * len(self._numbers)))
        self._journal: IO[bytes] | None = None

    def __enter__(self) -> Self:
        # Rewriting what is kept heals a line cut by the kill; the rename keeps the old journal until then.
        lines = itertools.chain(
            [json_line(run_header(self._run))],
            (_journal_line(*made, self._columns) for made in self._earlier.values()),
        )
        journal = journal_path(self._path)
        write_atomically(journal, (f"{line}\n".encode(**ENCODING) for line in lines))
        self._journal = journal.open("ab")
        hold(self._journal)
        return self

    def write(self, row: Measured) -> None:
        """Add the row of a picture that was given; it is in the journal when this returns.

        Raises:
            OutputError: the journal cannot be written (disk full).
        """
        assert self._journal is not None
        line = _journal_line(rounded(row, self._columns), self._pictures[row.name], self._columns)
        try:
            place = self._journal.tell()
            self._journal.write(f"{line}\n".encode(**ENCODING))
            self._journal.flush()
        except OSError as error:
            raise OutputError(f"{journal_path(self._path)}: cannot be written ({error.strerror})") from error
        self._places[self._numbers[row.name]] = place

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._journal is not None
        try:
            self._journal.close()
        except (
            OSError
        ) as failed:  # what could not be written is tried once more; the error that ends the run is said
            if kind is None:
                raise OutputError(
                    f"{journal_path(self._path)}: cannot be written ({failed.strerror})"
                ) from failed
        if kind is None:
            self._complete()
        if kind is None or not (self._earlier or any(self._places)):
            journal_path(self._path).unlink(missing_ok=True)

    def _complete(self) -> None:
        """Replace the table, then its record; the journal is whole until both are there."""
        digest = hashlib.sha256()

        def parts() -> Iterator[bytes]:
            for part in table_parts(self._path, (row for row, _ in self._made()), self._columns):
                digest.update(part)
                yield part

        write_atomically(self._path, parts())
        pictures = ((row.name, picture) for row, picture in self._made() if picture is not None)
        write_atomically(record_path(self._path), table_record(self._run, digest.hexdigest(), pictures))

    def _made(self) -> Iterator[_Made]:
        """Rows of images that this run was not given stay in front; the others follow in the run's order."""
        yield from (self._earlier[name] for name in self._of_others())
        with journal_path(self._path).open("rb") as journal:
            for name, place in zip(self._pictures, self._places, strict=True):
                if place:
                    journal.seek(place)
                    yield _made_of(journal.readline().decode(**ENCODING), self._columns)
                elif name in self._earlier:
                    yield self._earlier[name]

    def _of_others(self) -> Iterator[str]:
        """Names of earlier rows whose images this run was not given."""
        return (name for name in self._earlier if name not in self._pictures)

    def _earlier_rows(self) -> tuple[dict[str, _Made], bool]:
        """Rows of the journal or else of the table, and whether they are the table's as it was written."""
        journal = journal_path(self._path)
        if journal.exists() and journal.stat().st_size > 0:
            return _read_journal(journal, self._run, self._columns), False
        if self._path.exists():
            rows = read_rows(self._path, self._columns)
            pictures, as_written = read_record(
                self._path, self._run, lambda: table_parts(self._path, rows, self._columns)
            )
            return {row.name: (row, pictures.get(row.name)) for row in rows}, as_written
        return {}, False


def _read_journal(path: Path, run: Mapping[str, str], columns: Sequence[Column]) -> dict[str, _Made]:
    rows = {}
    with path.open(encoding=encoding_of(path), errors=ENCODING["errors"], newline="") as lines:
        try:
            check_header(path, json.loads(lines.readline()), run)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise OutputError(f"{path}: not a journal that this realm-engine can continue; {CURE}") from None
        with suppress(ValueError, KeyError, TypeError):  # the kill came in the middle of a line
            for line in lines:
                made = _made_of(line, columns)
                rows[made[0].name] = made
    return rows


def _made_of(line: str, columns: Sequence[Column]) -> _Made:
    entry = json.loads(line)
    return row_of(entry, columns), None if entry["picture"] is None else read_picture(entry["picture"])


def _journal_line(row: Measured, picture: Picture | None, columns: Sequence[Column]) -> str:
    return json_line({**cells(row, columns), "picture": picture})
