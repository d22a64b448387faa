"""The formats of score tables: rows to CSV, JSON Lines or Parquet, and back."""

import csv
import io
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from realm_engine.bundle.columns import Column, numbers_of, words_of
from realm_engine.errors import OutputError
from realm_engine.machine.csv_files import csv_line, defused, is_blank, lines_of, number_of, read_csv, text_of
from realm_engine.machine.packages import install_command

FORMATS = (".csv", ".jsonl", ".parquet")
ROWS_PER_PART = 512
T = TypeVar("T")
# File names need not be valid Unicode; this lets any name through, byte for byte.
ENCODING: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}


@dataclass(frozen=True)
class Measured:
    """One picture's numbers and words, and the row of a table.

    `name`: of the picture; in a table its path relative to the directory given, POSIX style. `values`: by column, None
    where the measure has no answer; they are attributes as well (`measured.mos`). `words`: the same of columns that
    hold words, as a verdict. `description`: the text that was looked at with the picture, None if there was no text.
    `error`: why a number is missing, None if none is.
    `flags`: columns whose value is a reason to distrust the row, as "unlike" where the picture is like none that the
    model has seen; () where there is none.
    """

    name: str
    values: Mapping[str, float | None]
    description: str | None = None
    error: str | None = None
    flags: tuple[str, ...] = ()
    words: Mapping[str, str | None] = field(default_factory=dict)

    def interval(self, column: str) -> tuple[float, float] | None:
        """Where the true value of a column lies, (low, high) in its unit; None where the bundle does not say.

        The share of pictures for which that holds stands in the column (`Column.interval`).
        """
        low, high = self.values.get(f"{column}_low"), self.values.get(f"{column}_high")
        return None if low is None or high is None else (low, high)

    def to_dict(self) -> dict[str, Any]:
        """Everything by name, of types that JSON knows; None where there is no answer, no description, no error.

        The keys of a table's columns ("filename", those of the measures, "description", "error"), and "flags", a list.
        """
        return {
            "filename": self.name,
            **self.values,
            **self.words,
            "description": self.description,
            "error": self.error,
            "flags": list(self.flags),
        }

    def to_json(self) -> str:
        """`to_dict` as one line of JSON, in ASCII: a file name need not be valid Unicode."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def __getitem__(self, column: str) -> Any:
        """The value of a column, float, or its word, str; None where there is no answer."""
        return self.words[column] if column in self.words else self.values[column]

    def __getattr__(self, column: str) -> Any:
        """See `__getitem__`."""
        has = {**self.__dict__.get("values", {}), **self.__dict__.get("words", {})}
        if not column.startswith("_") and column in has:
            return has[column]
        raise AttributeError(f"no column {column!r}, only {', '.join(has)}")


def rounded(row: Measured, columns: Sequence[Column]) -> Measured:
    """The row as every format holds it: values rounded once, so that all of them agree."""
    values: dict[str, float | None] = {}
    for column in numbers_of(columns):
        value = row.values.get(column.name)
        values[column.name] = None if value is None else round(float(value), column.decimals)
    return replace(row, values=values)


def flags_of(values: Mapping[str, float | None], columns: Sequence[Column]) -> tuple[str, ...]:
    """Names of the columns whose value is a reason to distrust the row."""
    return tuple(
        column.name
        for column in columns
        if column.flag_above is not None and column.flags(values.get(column.name))
    )


def header(columns: Sequence[Column]) -> list[str]:
    """The columns of a table, in order."""
    return ["filename", *(column.name for column in columns), "description", "error"]


def read_rows(path: Path, columns: Sequence[Column]) -> list[Measured]:
    """Read a table of these columns that this module wrote. Raises OutputError where it is not such a table."""
    try:
        if path.suffix.lower() == ".parquet":
            need_pyarrow()
            import pyarrow.parquet

            table = pyarrow.parquet.read_table(path).to_pylist()
            return [row_of({**entry, "filename": _name_of(entry["filename"])}, columns) for entry in table]
        text = text_of(path.read_bytes(), ENCODING["errors"])
        if path.suffix.lower() == ".jsonl":
            return [row_of(json.loads(line), columns) for line in lines_of(text) if line.strip()]
        names, rows = read_csv(text)
        if not set(header(columns)) <= set(names):
            raise ValueError(f"its columns are not {', '.join(header(columns))}")
        return [row_of(dict(zip(names, row, strict=True)), columns) for _, row in rows]
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        cause = f"no column {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise OutputError(f"{path}: not a score table to resume ({cause}); choose another output") from error


def row_of(entry: Mapping[str, Any], columns: Sequence[Column]) -> Measured:
    """A row from a line of a table. Raises KeyError, TypeError and ValueError where it is not one."""
    values = {column.name: _number(entry[column.name]) for column in numbers_of(columns)}
    return Measured(
        name=str(entry["filename"]),
        values=values,
        description=str(entry["description"]) if entry["description"] else None,
        error=str(entry["error"]) if entry["error"] else None,
        flags=flags_of(values, columns),
        words={column.name: _word(entry[column.name], column) for column in words_of(columns)},
    )


def _number(value: Any) -> float | None:
    """A cell's number, None where it has none. Raises ValueError and TypeError."""
    if value is None:
        return None
    try:
        found = float(value)
    except ValueError:  # a cell of a spreadsheet
        if is_blank(value):
            return None
        found = number_of(value)
    return found if math.isfinite(found) else None


def _word(value: Any, column: Column) -> str | None:
    """A cell's word, None where it has none. Raises ValueError for one that the column does not know."""
    if value is None or is_blank(str(value)):
        return None
    if value not in column.words:
        raise ValueError(f"{column.name} is {value!r}, none of {', '.join(column.words)}")
    return str(value)


def table_parts(path: Path, rows: Iterable[Measured], columns: Sequence[Column]) -> Iterator[bytes]:
    """The content of a table, some rows at a time, in the format that the extension of `path` says."""
    parts = batched(rows, ROWS_PER_PART)
    if path.suffix.lower() == ".parquet":
        yield _parquet(parts, columns)
    elif path.suffix.lower() == ".jsonl":
        for part in parts:
            yield "".join(f"{json_line(cells(row, columns))}\n" for row in part).encode(**ENCODING)
    else:
        yield csv_text((), columns, first=True).encode(**ENCODING)
        for part in parts:
            yield csv_text(part, columns, first=False).encode(**ENCODING)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of so many items, the last with what is left."""
    each = iter(items)
    while part := list(itertools.islice(each, size)):
        yield part


def cells(row: Measured, columns: Sequence[Column]) -> dict[str, Any]:
    """A row by column."""
    return {
        "filename": row.name,
        **{column.name: row[column.name] for column in columns},
        "description": row.description or "",
        "error": row.error or "",
    }


def json_line(entry: Mapping[str, Any]) -> str:
    """One line of JSON Lines, without its end, as `ENCODING` writes and reads it."""
    return json.dumps(entry, ensure_ascii=False, allow_nan=False)


def csv_text(rows: Iterable[Measured], columns: Sequence[Column], first: bool) -> str:
    """Rows as CSV, "\n" at the end of every line; `first`: after the header.

    What strangers wrote (names, descriptions) is `defused`; `read_rows` restores it.
    """
    lines = [csv_line(header(columns))] if first else []
    for row in rows:
        answers = [_csv_cell(row, column) for column in columns]
        texts = (row.name, row.description or "", row.error or "")
        name, description, error = map(defused, texts)
        lines.append(csv_line([name, *answers, description, error]))
    return "".join(lines)


def _csv_cell(row: Measured, column: Column) -> str:
    answer = row[column.name]
    return "" if answer is None else answer if column.words else f"{answer:.{column.decimals}f}"


def _parquet(parts: Iterable[Sequence[Measured]], columns: Sequence[Column]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    numbers = {column.name for column in numbers_of(columns)}
    texts = ("filename", "description", "error")
    types = {name: pyarrow.float64() if name in numbers else pyarrow.string() for name in header(columns)}

    def values(table: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
        found = [row[name] for row in table]
        if name in numbers:
            return found
        if name == "filename":
            found = [_unicode_name(text) for text in found]
        if name not in texts:
            return found
        # Parquet strings are Unicode: an error that names such a file gets replacement characters.
        return [text.encode(**ENCODING).decode("utf-8", "replace") for text in found]

    chunks: dict[str, list[Any]] = {name: [] for name in types}
    for part in parts:
        table = [cells(row, columns) for row in part]
        for name, kind in types.items():
            chunks[name].append(pyarrow.array(values(table, name), kind))
    arrays = {name: pyarrow.chunked_array(chunks[name], kind) for name, kind in types.items()}
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays), stream)
    return stream.getvalue()


def _unicode_name(name: str) -> str:
    r"""A name as Parquet holds it: bytes that are no UTF-8 as \xNN, and therefore a backslash as two."""
    doubled = name.replace("\\", "\\\\")
    return doubled.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _name_of(stored: str) -> str:
    """The name that `_unicode_name` made this of."""
    return re.sub(
        rb"\\(\\|x[0-9a-f]{2})",
        lambda found: b"\\" if found[1] == b"\\" else bytes.fromhex(found[1][1:].decode()),
        stored.encode(),
    ).decode("utf-8", "surrogateescape")


def need_pyarrow() -> None:
    """Raises OutputError, with the cure, where pyarrow is missing."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        cure = f"{install_command('parquet')}, or write .csv or .jsonl"
        raise OutputError(f"Parquet needs pyarrow: {cure}") from None
