"""The table that a person fills in: which pictures are real, and which are fake."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from realm_engine.machine.csv_files import is_blank, read_csv, text_of
from realm_train.errors import DataError

REAL, FAKE = "real", "fake"
NAME_COLUMNS = ("name", "filename")
"""The first that there is names the picture."""


@dataclass(frozen=True)
class Labels:
    """Labels by the picture's name, and how many rows have none yet."""

    by_name: Mapping[str, str]
    blank: int


def read_labels(
    table: Path, pool: Collection[str], known: Mapping[str, str], correct: bool = False
) -> Labels:
    """Read a CSV with the columns `filename` (or `name`) and `label`; a row whose label is empty has none yet.

    Args:
        table: It.
        pool: Names that pictures may have.
        known: Labels that were given before.
        correct: Whether one of those may be changed.

    Raises:
        DataError: it cannot be read, a label is neither real nor fake, or a picture is unknown, labelled twice or
            otherwise than before; names the line.
    """
    members = frozenset(pool)
    try:
        header, rows = read_csv(text_of(table.read_bytes()))
        found, blank = {}, 0
        lines: dict[str, int] = {}
        for line, name, label in _cells(table, header, rows):
            where = f"{table}, line {line}"
            if name not in members:
                raise DataError(
                    f"{where}: no picture {name!r} in the pool; correct the name, or remove the row"
                )
            if name in lines:
                raise DataError(f"{where}: {name!r} stands on line {lines[name]} already; keep one")
            lines[name] = line
            if is_blank(label):
                blank += 1
                continue
            if label.lower() not in (REAL, FAKE):
                raise DataError(f"{where}: label {label!r}; write real or fake")
            if known.get(name, label.lower()) != label.lower() and not correct:
                raise DataError(f"{where}: {name!r} was labelled {known[name]} before; --correct changes it")
            found[name] = label.lower()
        return Labels(found, blank)
    except OSError as error:
        raise DataError(f"{table}: cannot be read ({error.strerror}); give a CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as UTF-8 CSV ({error})") from error


def _cells(
    table: Path, header: Sequence[str], rows: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, str, str]]:
    """The line, the name and the label of each row."""
    names = [name.lower() for name in header]
    column = next((name for name in NAME_COLUMNS if name in names), None)
    for missing in [*(["filename"] if column is None else []), *(["label"] if "label" not in names else [])]:
        raise DataError(f"{table}, line 1: no column {missing!r}; found {', '.join(header) or 'nothing'}")
    assert column is not None
    for line, cells in rows:
        if len(cells) != len(names):
            raise DataError(
                f"{table}, line {line}: {len(cells)} cells, the header has {len(names)}; quote what holds commas"
            )
        record = dict(zip(names, cells, strict=True))
        yield line, record[column].strip(), record["label"].strip()
