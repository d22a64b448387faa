"""Tables of comparisons: `generator,filename,prompt,<columns>,error`, written for people and read again."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from realm_engine.bundle.columns import Column
from realm_engine.errors import TextError
from realm_engine.machine.csv_files import csv_line, defused, is_blank, number_of, read_csv, text_of
from realm_engine.tables.rows import ENCODING

GENERATOR, FILENAME, PROMPT, ERROR = "generator", "filename", "prompt", "error"
_WORDS = (GENERATOR, FILENAME, PROMPT, "seed", "description", ERROR)


@dataclass(frozen=True)
class Row:
    """One picture of a generator: its numbers by column, None where a measure has no answer, and why.

    `prompt`: with its white space normalised, None without one. `path`: the picture; None where only numbers are there.
    `words`: what columns of words say, by column.
    """

    generator: str
    filename: str
    values: Mapping[str, float | None]
    prompt: str | None = None
    error: str | None = None
    path: Path | None = None
    words: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoreTable:
    """Finished scores. `names`: of all columns that hold answers, in order; `columns`: those of numbers; `texts`: what
    occurs in the others.
    """

    rows: tuple[Row, ...]
    names: tuple[str, ...]
    columns: tuple[str, ...]
    texts: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Cells:
    """A CSV by its columns: rows with the number of the line that each begins on; names in lower case."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...] = field(repr=False)

    def need(self, *names: str) -> None:
        """Raises TextError where a column is missing."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise TextError(
                f"{self.path}: no column {' and '.join(map(repr, missing))} "
                f"(found {', '.join(self.columns) or 'an empty file'}); add it to line 1"
            )


def read_cells(path: Path) -> Cells:
    """Read a CSV. Raises TextError, with the line, for what is none."""
    try:
        names, rows = read_csv(text_of(path.read_bytes(), ENCODING["errors"]))
        header = tuple(name.lower() if name.lower() in _WORDS else name for name in names)
        if len(set(header)) != len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise TextError(f"{path}: the column {twice!r} stands twice; keep one")
        found = []
        for line, cells in rows:
            if len(cells) != len(header):
                raise TextError(
                    f"{path}, line {line}: {len(cells)} fields, the header has {len(header)}; "
                    "quote text that holds commas"
                )
            found.append((line, dict(zip(header, cells, strict=True))))
        return Cells(path, header, tuple(found))
    except OSError as error:
        raise TextError(f"{path}: cannot be read ({error.strerror}); give a CSV file") from error
    except UnicodeDecodeError as error:
        raise TextError(f"{path}: not UTF-8 text (byte {error.start}); save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise TextError(f"{path}: not a readable CSV ({error})") from error


def normalised(prompt: str | None) -> str | None:
    """A prompt with its white space normalised; None where it holds nothing."""
    return None if prompt is None or is_blank(prompt) else " ".join(prompt.split())


def read_scores(path: Path, generator: str | None = None) -> ScoreTable:
    """The rows of a table of scores; a column whose cells are not all numbers is one of texts.

    `generator`: whose all rows are, for a table without that
    column, as `realm-engine score` writes them. Raises TextError for a table without rows, a missing column, an empty
    name, and a picture that stands twice.
    """
    cells = read_cells(path)
    cells.need(*([FILENAME] if generator is not None else [GENERATOR, FILENAME]))
    names = tuple(name for name in cells.columns if name not in _WORDS)
    numbers = {
        name: found for name in names if (found := _numbers([row[name] for _, row in cells.rows])) is not None
    }
    texts = [name for name in names if name not in numbers]
    rows: list[Row] = []
    lines: dict[tuple[str, str], int] = {}
    for index, (line, row) in enumerate(cells.rows):
        owner = row.get(GENERATOR, "").strip() or generator or ""
        name = row[FILENAME].strip()
        if not owner or not name:
            raise TextError(f"{path}, line {line}: the {'file name' if owner else 'generator'} is empty")
        if (owner, name) in lines:
            raise TextError(
                f"{path}: {name!r} of {owner} stands twice, on lines {lines[owner, name]} and {line}; keep one"
            )
        lines[owner, name] = line
        values = {column: found[index] for column, found in numbers.items()}
        prompt, error = normalised(row.get(PROMPT)), row.get(ERROR, "").strip() or None
        words = {column: row[column].strip() or None for column in texts}
        rows.append(Row(owner, name, values, prompt, error, words=words))
    if not rows:
        raise TextError(f"{path}: holds no rows; give a table of scores")
    said = {name: frozenset(filter(None, (row.words[name] for row in rows))) for name in texts}
    return ScoreTable(tuple(rows), names, tuple(numbers), said)


def _numbers(cells: Sequence[str]) -> list[float | None] | None:
    """The numbers in cells, None for what is blank or not finite; None altogether where one holds something else."""
    found: list[float | None] = []
    for cell in cells:
        try:
            value = None if is_blank(cell) else number_of(cell)
        except ValueError:
            return None
        found.append(value if value is not None and math.isfinite(value) else None)
    return found if any(value is not None for value in found) else None


def scores_csv(rows: Sequence[Row], decimals: Mapping[str, int | None]) -> bytes:
    """Rows as CSV; `decimals`: of every column, in their order, None of words. Texts are safe in spreadsheets."""
    lines = [csv_line([GENERATOR, FILENAME, PROMPT, *decimals, ERROR])]
    for row in rows:
        answers = [_answer(row, name, places) for name, places in decimals.items()]
        generator, filename, prompt, error = map(
            defused, (row.generator, row.filename, row.prompt or "", row.error or "")
        )
        lines.append(csv_line([generator, filename, prompt, *answers, error]))
    return "".join(lines).encode(**ENCODING)


def decimals_of(columns: Iterable[Column]) -> dict[str, int | None]:
    """Decimals of columns by name, None of words."""
    return {column.name: None if column.words else column.decimals for column in columns}


def _answer(row: Row, name: str, places: int | None) -> str:
    if places is None:
        return defused(row.words.get(name) or "")
    return "" if (value := row.values.get(name)) is None else f"{value:.{places}f}"
