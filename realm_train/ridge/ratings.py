"""Own ratings: a CSV of file names and numbers on any scale, and the pictures that they are about."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from realm_engine.errors import TextError
from realm_engine.machine.csv_files import is_blank, number_of, read_csv, text_of
from realm_engine.pictures.descriptions import Descriptions
from realm_engine.pictures.find import collect_images
from realm_train.errors import DataError

RATING_COLUMNS = ("rating", "mos")


@dataclass(frozen=True)
class Rating:
    """A row of the table: what it calls the picture, the number, and the line where it begins."""

    name: str
    value: float
    line: int


@dataclass(frozen=True)
class Rated:
    """A picture, the name that the table calls it, and its rating."""

    name: str
    path: Path
    rating: float


def read_rated(table: Path, folder: Path) -> list[Rated]:
    """The rated pictures of a folder, in the order of the table.

    Args:
        table: See `read_ratings`.
        folder: Where the pictures lie, subfolders included. A name in the table is a path in it, a file name, or one
            without its extension.

    Raises:
        DataError: the table is wrong, or a picture of it is not there, or two rows mean one; names the line.
        ImageError: there is no picture in the folder.
    """
    files = {file.name: file.path for file in collect_images([folder])}
    pictures = Descriptions(str(folder), dict.fromkeys(files, ""))
    lines: dict[str, int] = {}
    rated = []
    for rating in read_ratings(table):
        where = f"{table}, line {rating.line}"
        try:
            name = pictures.row(rating.name)
        except TextError:
            raise DataError(
                f"{where}: several pictures in {folder} are called {rating.name}; write its path"
            ) from None
        if name is None:
            raise DataError(
                f"{where}: no picture {rating.name} in {folder}; correct the name, or remove the row"
            )
        if name in lines:
            raise DataError(f"{where}: {rating.name} is rated on line {lines[name]} already; keep one")
        lines[name] = rating.line
        rated.append(Rated(rating.name, files[name], rating.value))
    return rated


def read_ratings(table: Path) -> list[Rating]:
    """Rows of a CSV with the columns `filename` and `rating`, or `MOS`; others are not read, nor rows without a number.

    Raises:
        DataError: it cannot be read, lacks a column or has no rating, or a cell is wrong; names the line.
    """
    try:
        header, rows = read_csv(text_of(table.read_bytes()))
        names = [name.lower() for name in header]
        ratings = list(_ratings(table, names, rows))
    except OSError as error:
        raise DataError(f"{table}: cannot be read ({error.strerror}); give a CSV file") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as UTF-8 CSV ({error})") from error
    if not ratings:
        raise DataError(f"{table}: has no rating; write numbers into the column {RATING_COLUMNS[0]!r}")
    return ratings


def _ratings(table: Path, header: Sequence[str], rows: Iterator[tuple[int, list[str]]]) -> Iterator[Rating]:
    found = ", ".join(header) or "nothing"
    column = next((name for name in RATING_COLUMNS if name in header), None)
    if "filename" not in header or column is None:
        missing = "'filename'" if "filename" not in header else "'rating' or 'MOS'"
        raise DataError(f"{table}, line 1: no column {missing}; found {found}")
    for line, cells in rows:
        where = f"{table}, line {line}"
        if len(cells) != len(header):
            raise DataError(
                f"{where}: {len(cells)} cells, the header has {len(header)}; quote what holds commas"
            )
        record = dict(zip(header, cells, strict=True))
        name, cell = record["filename"].strip(), record[column].strip()
        if not name:
            raise DataError(f"{where}: the file name is empty")
        if is_blank(cell):
            continue
        try:
            value = number_of(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f"{where}: {column} {cell!r} is no number; write one, or leave the cell empty")
        yield Rating(name, value, line)
