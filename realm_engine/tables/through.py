"""Tables that are written through, row by row, and not kept: standard output, a pipe, a device."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from realm_engine.bundle.columns import Column
from realm_engine.errors import OutputError, printable
from realm_engine.machine.files import open_stream
from realm_engine.tables.rows import (
    ENCODING,
    FORMATS,
    Measured,
    cells,
    csv_text,
    json_line,
    rounded,
    table_parts,
)

STDOUT = "standard output"


class ResultStream:
    """The interface of `journal.ResultFile` over an open stream: rows, each flushed, nothing to resume.

    A terminal gets names and texts as `printable`. Parquet has no rows to flush: it is written at the end.
    """

    def __init__(
        self, stream: IO[str], columns: Sequence[Column], format: str = ".csv", called: str = STDOUT
    ) -> None:
        """`format`: one of `FORMATS`; `called`: what errors call the stream."""
        self._stream = stream
        self._columns = tuple(columns)
        self._format = format
        self._called = called
        self._own = False
        self._rows: list[Measured] = []
        self._empty = True
        self.done: dict[str, Measured] = {}

    @classmethod
    def through(cls, path: Path, columns: Sequence[Column]) -> Self:
        """Into a pipe or a device, in the format that its name says, else CSV; waits for who reads it.

        Raises OutputError.
        """
        suffix = path.suffix.lower()
        try:
            stream = io.TextIOWrapper(open_stream(path), newline="", **ENCODING)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
        table = cls(stream, columns, suffix if suffix in FORMATS else ".csv", str(path))
        table._own = True
        return table

    def __enter__(self) -> Self:
        return self

    def write(self, row: Measured) -> None:
        """Write one row, before the first one the header: a run that cannot start prints nothing.

        Raises:
            OutputError: the stream cannot be written.
        """
        row = rounded(row, self._columns)
        if self._format == ".parquet":
            self._rows.append(row)
        elif self._format == ".jsonl":
            self._put(json_line(cells(row, self._columns)) + "\n")
        else:
            shown = _for_eyes(row) if self._stream.isatty() else row
            self._put(csv_text([shown], self._columns, first=self._empty))
        self._empty = False

    def _put(self, content: str | bytes) -> None:
        try:
            if isinstance(content, bytes):
                self._stream.buffer.write(content)  # type: ignore[attr-defined]
            else:
                self._stream.write(content)
            self._stream.flush()
        except BrokenPipeError:  # who reads has enough
            raise
        except OSError as error:
            raise OutputError(f"{self._called}: cannot be written ({error.strerror})") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._format == ".parquet":
            for part in table_parts(Path(f"table{self._format}"), self._rows, self._columns):
                self._put(part)
        if self._own:
            with suppress(OSError):  # every row was flushed, or its error is said
                self._stream.close()


def _for_eyes(row: Measured) -> Measured:
    description, error = (None if text is None else printable(text) for text in (row.description, row.error))
    return replace(row, name=printable(row.name), description=description, error=error)
