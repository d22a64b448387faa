"""Descriptions of pictures: the one reader of their CSV, and which description a picture has."""

from __future__ import annotations

import csv
import os
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from realm_engine.errors import TextError
from realm_engine.machine.csv_files import is_blank, number_of, read_csv, text_of

DESCRIPTIONS_FILE = "image_descriptions.csv"
_COLUMNS = frozenset({"filename", "description", "mos", "rating"})


def is_missing(text: str | None) -> bool:
    """Whether a description counts as missing: None, or nothing but white space."""
    return text is None or not text.strip()


def not_text(text: str) -> str | None:
    """Why a str cannot be encoded, None where it can: bytes that were no UTF-8, half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"is no valid text (character {error.start + 1} is half of one, or was no UTF-8); write it in UTF-8"
    return None


@dataclass(frozen=True)
class Descriptions:
    """Descriptions by file name, as read from `source`; `mos` where people's scores stand beside them.

    `unread`: further columns of the file.
    """

    source: str
    by_name: dict[str, str]
    mos: dict[str, float] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Whether a row is called so, in either Unicode form."""
        return name in self.by_name or _composed(name) in self._by_composed

    def lookup(self, name: str | os.PathLike[str]) -> str | None:
        """The description of an image, None if it is missing. Raises TextError as `row`."""
        row = self.row(name)
        return None if row is None else self.by_name[row]

    def row(self, name: str | os.PathLike[str]) -> str | None:
        """The file name of the row that an image belongs to, None if it is missing.

        Tried in this order: the relative path as written, the bare file name, the file name in a row with
        another base folder, the stem (so that a `.webp` finds the row of its `.png`). A row of a different
        folder never matches: `b/x.png` does not take the text of `a/x.png`. Letters with accents are the same in
        both of their Unicode forms: macOS writes names in the other one. Raises TextError where several rows match
        equally well.
        """
        if isinstance(name, str) and name in self.by_name:
            return name  # nearly always; the paths below took seconds for a hundred thousand
        path = PurePosixPath(Path(name).as_posix())
        for key in (str(path), path.name):
            if key in self.by_name:
                return key
        path = PurePosixPath(_composed(str(path)))
        for key in (str(path), path.name):
            alike = self._by_composed.get(key, [])
            if len(alike) > 1:
                raise TextError(
                    f"{self.source}: {path} matches several rows, which differ in their Unicode form alone; keep one"
                )
            if alike:
                return alike[0]
        rows = [row for row in self._by_stem.get(path.stem, ()) if _same_folder(_composed_path(row), path)]
        for matches in (
            [row for row in rows if _composed(row.name) == path.name],
            [row for row in rows if _composed_path(row.parent) == path.parent],
            rows,
        ):
            if len(matches) == 1:
                return str(matches[0])
            if matches:
                several = ", ".join(sorted(map(str, matches))[:3])
                raise TextError(
                    f"{self.source}: {path} matches several rows ({several}); write the full path"
                )
        return None

    @cached_property
    def _by_stem(self) -> dict[str, list[PurePosixPath]]:
        index: dict[str, list[PurePosixPath]] = {}
        for key in self.by_name:
            index.setdefault(_composed(PurePosixPath(key).stem), []).append(PurePosixPath(key))
        return index

    @cached_property
    def _by_composed(self) -> dict[str, list[str]]:
        index: dict[str, list[str]] = {}
        for key in self.by_name:
            index.setdefault(_composed(key), []).append(key)
        return index


def _composed(name: str) -> str:
    """Letters with their accents in one character, as most systems write them."""
    return unicodedata.normalize("NFC", name)


def _composed_path(path: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(_composed(str(path)))


def _same_folder(row: PurePosixPath, image: PurePosixPath) -> bool:
    """Whether two relative paths may name one folder from different bases: the shorter ends the longer."""
    short, long = sorted((row.parent.parts, image.parent.parts), key=len)
    return not short or long[-len(short) :] == short


def read_descriptions(path: str | os.PathLike[str]) -> Descriptions:
    """Read a CSV with the columns `filename` and `description` and perhaps `MOS`; further columns are named, not read.

    UTF-8, or UTF-16 with its mark; columns separated by commas, semicolons or tabs; blank rows, and "nan" or "None" as
    a text, count for nothing. A cell that was defused for spreadsheets (`csv_files.defused`) is what it was before.
    Raises TextError, with the line, for a missing column, an empty file name, a row with too few or too
    many fields, and a file name that stands twice (naming both lines).
    """
    path = Path(path)
    try:
        return _read_rows(path, text_of(path.read_bytes()))
    except OSError as error:
        raise TextError(f"{path}: cannot be read ({error.strerror}); give a CSV file") from error
    except UnicodeDecodeError as error:
        raise TextError(
            f"{path}: not {error.encoding.upper()} text (byte {error.start}); save it as CSV in UTF-8"
        ) from error
    except csv.Error as error:
        raise TextError(f"{path}: not a readable CSV ({error})") from error


def _read_rows(path: Path, text: str) -> Descriptions:
    names, rows = read_csv(text)
    header = [column.lower() for column in names]
    missing = [column for column in ("filename", "description") if column not in header]
    if missing:
        found = ", ".join(header) or "an empty file"
        raise TextError(
            f"{path}: no column {' and '.join(map(repr, missing))} (found {found}); add it to line 1"
        )
    name_at, text_at = header.index("filename"), header.index("description")
    mos_at = header.index("mos") if "mos" in header else None
    by_name: dict[str, str] = {}
    mos: dict[str, float] = {}
    lines: dict[str, int] = {}
    for start, row in rows:
        if len(row) != len(header):
            raise TextError(
                f"{path}, line {start}: {len(row)} fields, the header has {len(header)}; "
                "quote text that holds commas"
            )
        key = row[name_at].strip().replace("\\", "/")
        if "/" in key or key == ".":
            name = PurePosixPath(key)
            key = str(name) if name.parts else ""
        if not key:
            raise TextError(f"{path}, line {start}: the file name is empty")
        if key in lines:
            raise TextError(f"{path}: {key!r} stands twice, on lines {lines[key]} and {start}; keep one")
        lines[key] = start
        text = row[text_at].strip()
        by_name[key] = "" if is_blank(text) else text
        with suppress(ValueError):  # not rated
            if mos_at is not None:
                mos[key] = number_of(row[mos_at])
    unread = tuple(name for name in names if name and name.lower() not in _COLUMNS)
    return Descriptions(str(path), by_name, mos, unread)
