"""The formats of score tables: rows to CSV, JSON Lines or Parquet, and back."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from realm_engine.errors import OutputError
from realm_engine.machine.packages import install_command

COLUMNS = ("filename", "mos", "realness", "description", "error")
FORMATS = (".csv", ".jsonl", ".parquet")
# File names need not be valid Unicode; this lets any name through, byte for byte.
ENCODING: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}


@dataclass(frozen=True)
class Row:
    """One line of a score table.

    Attributes:
        filename: Name of the image, relative to the directory given, POSIX style.
        mos: Mean opinion score, a z-score, higher = more real; None when the image failed.
        realness: The 0-100 rating; None when the image failed.
        description: The text that was scored with the image; empty when there was none.
        error: Why the image failed; empty when it did not.
    """

    filename: str
    mos: float | None = None
    realness: float | None = None
    description: str = ""
    error: str = ""

    def __post_init__(self) -> None:
        # Six and four decimals are beyond float32's precision here; rounding once makes all formats agree.
        object.__setattr__(self, "mos", None if self.mos is None else round(float(self.mos), 6))
        object.__setattr__(
            self, "realness", None if self.realness is None else round(float(self.realness), 4)
        )


def read_rows(path: Path) -> list[Row]:
    """Read a table that this module wrote.

    Raises:
        OutputError: it is not such a table.
    """
    try:
        if path.suffix.lower() == ".parquet":
            need_pyarrow()
            import pyarrow.parquet

            return [row_of(entry) for entry in pyarrow.parquet.read_table(path).to_pylist()]
        with path.open(newline="", **ENCODING) as file:
            if path.suffix.lower() == ".jsonl":
                return [row_of(json.loads(line)) for line in file if line.strip()]
            reader = csv.DictReader(file, strict=True)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
            return [row_of(entry) for entry in reader]
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        cause = f"no column {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise OutputError(f"{path}: not a score table to resume ({cause}); choose another output") from error


def row_of(entry: Mapping[str, Any]) -> Row:
    """A row from a line of a table. Raises KeyError, TypeError and ValueError where it is none."""

    def number(value: Any) -> float | None:
        return None if value is None or value == "" else float(value)

    return Row(
        filename=str(entry["filename"]),
        mos=number(entry["mos"]),
        realness=number(entry["realness"]),
        description=str(entry["description"] or ""),
        error=str(entry["error"] or ""),
    )


def table_bytes(path: Path, rows: Sequence[Row]) -> bytes:
    """The content of a table, in the format that the extension of `path` says."""
    if path.suffix.lower() == ".parquet":
        return _parquet(rows)
    if path.suffix.lower() == ".jsonl":
        return "".join(f"{json_line(asdict(row))}\n" for row in rows).encode(**ENCODING)
    return csv_text(rows, header=True).encode(**ENCODING)


def json_line(entry: Mapping[str, Any]) -> str:
    """One line of JSON Lines, without its end, as `ENCODING` writes and reads it."""
    return json.dumps(entry, ensure_ascii=False, allow_nan=False)


def csv_text(rows: Iterable[Row], header: bool) -> str:
    """Rows as CSV, "\\n" at the end of every line, `header` first or not."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    for row in rows:
        mos = "" if row.mos is None else f"{row.mos:.6f}"
        realness = "" if row.realness is None else f"{row.realness:.4f}"
        writer.writerow([row.filename, mos, realness, row.description, row.error])
    return text.getvalue()


def _parquet(rows: Sequence[Row]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    def text(column: str) -> Any:
        # Parquet strings are Unicode; a name that is not gets replacement characters.
        values = [getattr(row, column).encode(**ENCODING).decode("utf-8", "replace") for row in rows]
        return pyarrow.array(values, pyarrow.string())

    def number(column: str) -> Any:
        return pyarrow.array([getattr(row, column) for row in rows], pyarrow.float64())

    columns = {name: number(name) if name in ("mos", "realness") else text(name) for name in COLUMNS}
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def need_pyarrow() -> None:
    """Raises OutputError, with the cure, where pyarrow is missing."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        cure = f"{install_command('parquet')}, or write .csv or .jsonl"
        raise OutputError(f"Parquet needs pyarrow: {cure}") from None
