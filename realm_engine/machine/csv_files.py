"""CSV as spreadsheets leave it and take it: encodings, separators, blank rows, cells that would be formulas."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

# The longer mark first: that of UTF-32 begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS = (",", ";", "\t")  # the comma, what spreadsheets put there in many countries, and what they copy
_MISSING = frozenset({"", "nan", "none", "null", "nil", "nat", "na", "n/a", "<na>", "#n/a"})
# What spreadsheets compute: a text with one of these signs (in East Asia in full width too) after whatever blanks. It
# may begin where our cell begins and, where they separate by other signs than we do, after those. Apostrophes change
# none of this, so that what is defused is told as what was not.
_BLANKS = r"['\s\x00-\x1f\ufeff]*"
_FORMULA = rf"(?={_BLANKS}[=+\-@＝＋－＠])"
_DANGER = re.compile(rf"(\A(?={_BLANKS}[\t\r\n])|(?:\A|[;\t\r\n]){_FORMULA})")
_DEFUSED = re.compile(rf"(\A(?='{_BLANKS}[\t\r\n])|(?:\A|[;\t\r\n])(?='{_FORMULA}))'")
_QUOTED = re.compile(r"[\",;\t\r\n]")


def defused(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula: what would be one gets an apostrophe before it.

    `restored` gives the text back, whatever it was.
    """
    return _DANGER.sub(r"\1'", text)


def restored(cell: str) -> str:
    """The text that `defused` made this cell of."""
    return _DEFUSED.sub(r"\1", cell)


def csv_line(cells: Sequence[str]) -> str:
    r"""Cells as a line of CSV with its "\n".

    A cell that holds a separator of any country is quoted, so that none is two where the comma separates nothing.
    """
    return ",".join('"{}"'.format(c.replace('"', '""')) if _QUOTED.search(c) else c for c in cells) + "\n"


def text_of(content: bytes, errors: str = "strict") -> str:
    """The text of a file: UTF-8, or UTF-16 and UTF-32 where a mark, or a NUL beside the first letter, says so.

    `errors` is for UTF-8 alone. Raises UnicodeDecodeError.
    """
    encoding = _encoding(content)
    return content.decode(encoding, errors if encoding.startswith("utf-8") else "strict")


def encoding_of(path: Path) -> str:
    """The encoding of a file as `text_of` would read it. Raises OSError."""
    with path.open("rb") as stream:
        return _encoding(stream.read(4))


def _encoding(content: bytes) -> str:
    """These leave out a mark."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    if len(content) > 1 and 0 in content[:2]:
        return "utf-16-be" if content[0] == 0 else "utf-16-le"
    return "utf-8"


def lines_of(text: str) -> Iterator[str]:
    """The lines of a text with their ends, which are not changed."""
    return iter(io.StringIO(text, newline=""))


def read_csv(text: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The header of a CSV, [] where there is none, and its rows: the number of their first line, and their cells.

    Columns are separated by commas, semicolons or tabs, or as a first line "sep=;" says. Blank rows are left out;
    texts that were `defused` are restored. Raises csv.Error, also while rows are taken.
    """
    source, skipped = lines_of(text), 0
    first, separator = next(source, ""), None
    named = re.fullmatch(r'"?sep=(.)"?[,;\t]*\s*', first)
    if named is not None:
        first, separator, skipped = next(source, ""), named[1], 1
    while first and not first.strip(' ,;\t\r\n"'):
        first, skipped = next(source, ""), skipped + 1
    if separator is None:
        separator = next((sign for sign in _SEPARATORS if sign in first), ",")
    lines = io.StringIO(first + "".join(source), newline="")
    reader = csv.reader(lines, strict=True, delimiter=separator)
    header = [cell.strip() for cell in next(reader, [])]

    def rows() -> Iterator[tuple[int, list[str]]]:
        line = skipped + reader.line_num + 1
        for cells in reader:
            start, line = line, skipped + reader.line_num + 1  # a quoted cell may span lines
            if "".join(cells).strip():  # spreadsheets leave blank rows at the end
                yield start, [restored(cell) if "'" in cell else cell for cell in cells]

    return header, rows()


def is_blank(cell: str) -> bool:
    """Whether a cell holds nothing, or what programs write where there is nothing: "nan", "None", "#N/A"..."""
    return cell.strip().lower() in _MISSING


def number_of(cell: str) -> float:
    """The number in a cell, with a decimal point or, as in many countries, a comma. Raises ValueError."""
    return float(cell.replace(",", ".") if "." not in cell else cell)
