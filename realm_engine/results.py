"""Score tables on disk: CSV, JSON Lines or Parquet, complete or not there at all, resumable after a kill.

While a run goes on, its rows are appended to a journal beside the output, `<name>.partial` (JSON Lines
whatever the output's format). A run that ends writes the output under a temporary name, renames it and
removes the journal; a run that is killed leaves the journal, and `resume` picks it up.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from realm_engine.errors import OutputError, UsageError
from realm_engine.extras import install_command

COLUMNS = ("filename", "mos", "realness", "description", "error")
FORMATS = (".csv", ".jsonl", ".parquet")
# File names need not be valid Unicode; this lets any name through, byte for byte.
_ENCODING: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}


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


def check_output(path: str | os.PathLike[str], keep: Iterable[Path] = ()) -> Path:
    """Find out whether a table can be written to `path`, before there is anything to write.

    Creates missing parent folders. Leaves no file behind and changes none.

    Args:
        path: Where the table shall be.
        keep: Files that the run reads and that the table must not replace.

    Raises:
        UsageError: the extension is none of .csv, .jsonl, .parquet, or `path` is one of `keep`.
        OutputError: `path` is a directory, its folder cannot be made or written, or pyarrow is missing.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--output {path}: the name must end in {', '.join(FORMATS)}")
    if path.is_dir():
        raise OutputError(f"{path}: is a directory; give a file name such as {path / 'scores.csv'}")
    if path.suffix.lower() == ".parquet":
        _need_pyarrow()
    check_folder(path.parent)
    if any(path.exists() and other.exists() and path.samefile(other) for other in keep):
        raise UsageError(f"--output {path}: is the file of descriptions; choose another name")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{path}: exists and is write-protected; choose another name")
    return path


def check_folder(folder: Path) -> None:
    """Create `folder` with its parents and prove that a file can be made in it.

    Raises:
        OutputError: it cannot.
    """
    probe = folder / f".realm-probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({error.strerror or error}); choose another output"
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` under a temporary name, then rename it to `path`: complete or not there at all.

    Raises:
        OutputError: the disk is full, the folder went away...
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def journal_path(output: Path) -> Path:
    """Where the rows of an unfinished run lie."""
    return output.with_name(output.name + ".partial")


class ResultFile:
    """A score table being written.

    A context manager: a clean exit completes the output, any other keeps the journal.

    Attributes:
        done: Rows of an earlier run whose image did not fail, by file name; they need not be made again.
    """

    done: dict[str, Row]

    def __init__(
        self, path: Path, names: Sequence[str], run: Mapping[str, str], resume: bool = False
    ) -> None:
        """Open the table.

        Args:
            path: Output; see `check_output`.
            names: File names in the order in which they shall stand in the table.
            run: What must be equal for rows of two runs to stand in one table (bundle, precision...).
            resume: Reuse rows of the output and of the journal of an unfinished run.

        Raises:
            OutputError: an earlier table cannot be read, or its run was another one.
        """
        self._path = path
        self._names = list(names)
        self._run = dict(run)
        self._rows = self._earlier_rows() if resume else {}
        self.done = {name: row for name, row in self._rows.items() if not row.error}
        self._journal: IO[str] | None = None

    def __enter__(self) -> Self:
        # Rewriting what is kept heals a line cut by the kill; the rename keeps the old journal until then.
        lines = [json.dumps({"run": self._run})] + [_json_line(row) for row in self._rows.values()]
        journal = journal_path(self._path)
        write_atomically(journal, "".join(f"{line}\n" for line in lines).encode(**_ENCODING))
        self._journal = journal.open("a", newline="", **_ENCODING)
        return self

    def write(self, row: Row) -> None:
        """Add a row; it is in the journal when this returns.

        Raises:
            OutputError: the journal cannot be written (disk full).
        """
        assert self._journal is not None
        self._rows[row.filename] = row
        try:
            self._journal.write(_json_line(row) + "\n")
            self._journal.flush()
        except OSError as error:
            raise OutputError(f"{journal_path(self._path)}: cannot be written ({error.strerror})") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._journal is not None
        self._journal.close()
        if kind is None:
            write_atomically(self._path, _table(self._path, self._ordered()))
        if kind is None or not self._rows:
            journal_path(self._path).unlink(missing_ok=True)

    def _ordered(self) -> list[Row]:
        """Rows of images that this run was not given stay in front; the others follow in the run's order."""
        given = set(self._names)
        others = [row for name, row in self._rows.items() if name not in given]
        return others + [self._rows[name] for name in self._names if name in self._rows]

    def _earlier_rows(self) -> dict[str, Row]:
        rows = {}
        if self._path.exists():
            rows.update({row.filename: row for row in read_rows(self._path)})
        journal = journal_path(self._path)
        if journal.exists():
            rows.update({row.filename: row for row in _read_journal(journal, self._run)})
        return rows


class ResultStream:
    """The same interface over an open text stream: CSV rows, each flushed, nothing to resume."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._empty = True
        self.done: dict[str, Row] = {}

    def __enter__(self) -> Self:
        return self

    def write(self, row: Row) -> None:
        """Write one CSV row, before the first one the header: a run that cannot start prints nothing."""
        self._stream.write(_csv_text([row], header=self._empty))
        self._stream.flush()
        self._empty = False

    def __exit__(self, *_: object) -> None:
        return None


def read_rows(path: Path) -> list[Row]:
    """Read a table that this module wrote.

    Raises:
        OutputError: it is not such a table.
    """
    try:
        if path.suffix.lower() == ".parquet":
            _need_pyarrow()
            import pyarrow.parquet

            return [_row(entry) for entry in pyarrow.parquet.read_table(path).to_pylist()]
        with path.open(newline="", **_ENCODING) as file:
            if path.suffix.lower() == ".jsonl":
                return [_row(json.loads(line)) for line in file if line.strip()]
            reader = csv.DictReader(file, strict=True)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
            return [_row(entry) for entry in reader]
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        cause = f"no column {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise OutputError(f"{path}: not a score table to resume ({cause}); choose another output") from error


def _read_journal(path: Path, run: Mapping[str, str]) -> list[Row]:
    rows: list[Row] = []
    with path.open(newline="", **_ENCODING) as file:
        lines = file.readlines()
    try:
        earlier = json.loads(lines[0])["run"] if lines else dict(run)
    except (ValueError, KeyError, TypeError):
        raise OutputError(f"{path}: not a journal of realm-engine; remove it to start anew") from None
    if earlier != dict(run):
        differs = ", ".join(
            f"{key} {earlier.get(key)} then, {run.get(key)} now"
            for key in sorted({*earlier, *run})
            if earlier.get(key) != run.get(key)
        )
        raise OutputError(
            f"{path}: made by another run ({differs}); repeat it alike, or start without --resume"
        )
    for line in lines[1:]:
        try:
            rows.append(_row(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            break  # the kill came in the middle of this line
    return rows


def _row(entry: Mapping[str, Any]) -> Row:
    def number(value: Any) -> float | None:
        return None if value is None or value == "" else float(value)

    return Row(
        filename=str(entry["filename"]),
        mos=number(entry["mos"]),
        realness=number(entry["realness"]),
        description=str(entry["description"] or ""),
        error=str(entry["error"] or ""),
    )


def _table(path: Path, rows: Sequence[Row]) -> bytes:
    if path.suffix.lower() == ".parquet":
        return _parquet(rows)
    if path.suffix.lower() == ".jsonl":
        return "".join(f"{_json_line(row)}\n" for row in rows).encode(**_ENCODING)
    return _csv_text(rows, header=True).encode(**_ENCODING)


def _json_line(row: Row) -> str:
    return json.dumps(asdict(row), ensure_ascii=False, allow_nan=False)


def _csv_text(rows: Iterable[Row], header: bool) -> str:
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
        values = [getattr(row, column).encode(**_ENCODING).decode("utf-8", "replace") for row in rows]
        return pyarrow.array(values, pyarrow.string())

    def number(column: str) -> Any:
        return pyarrow.array([getattr(row, column) for row in rows], pyarrow.float64())

    columns = {name: number(name) if name in ("mos", "realness") else text(name) for name in COLUMNS}
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def _need_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        cure = f"{install_command('parquet')}, or write .csv or .jsonl"
        raise OutputError(f"Parquet needs pyarrow: {cure}") from None
