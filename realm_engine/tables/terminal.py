"""A table of scores for eyes: as many digits as a number supports, and a mark at what is to be distrusted.

Files and pipes hold every digit (`rows`); this is what a terminal shows where a bundle says how sure its numbers are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import IO, Self

from realm_engine.bundle.columns import Column
from realm_engine.errors import printable
from realm_engine.tables.rows import Measured

MOST_DECIMALS = 3
MARK = "!"
_GAP = "  "


class TerminalTable:
    """Rows in aligned columns, each flushed; the interface of `through.ResultStream`.

    A value with an interval stands before it, "61 (45-77)"; one that is a reason to distrust its row has the mark "!".
    """

    def __init__(self, stream: IO[str], measures: Sequence[Sequence[Column]], names: Sequence[str]) -> None:
        """`measures`: the columns of each; `names`: of all pictures, so that they can be aligned."""
        self._stream = stream
        self._columns = [
            (column, digits(column, own)) for own in measures for column in own if not column.bound
        ]
        self._widths = [max((len(printable(name)) for name in ("filename", *names)), default=0)]
        self._widths += [max(len(column.name), _width(column, places)) for column, places in self._columns]
        self._empty = True
        self.done: dict[str, Measured] = {}

    def __enter__(self) -> Self:
        return self

    def write(self, row: Measured) -> None:
        """Write one line, before the first one the header."""
        if self._empty:
            self._line(["filename", *(column.name for column, _ in self._columns)])
        cells = [cell(row, *shown) for shown in self._columns]
        self._line([printable(row.name), *cells], printable(row.error or ""))
        self._stream.flush()
        self._empty = False

    def __exit__(self, *_: object) -> None:
        return None

    def _line(self, cells: Sequence[str], error: str = "") -> None:
        aligned = [text.ljust(width) for text, width in zip(cells, self._widths, strict=True)]
        self._stream.write(_GAP.join([*aligned, error]).rstrip() + "\n")


def digits(column: Column, measure: Sequence[Column]) -> int:
    """How many decimals a terminal shows of a column of a measure.

    The first digit of the half width is the last that is shown, whole numbers at the least. Another column of the same
    output has so many that it tells the same pictures apart. A picture's place on a curve is a whole number.
    """
    if column.curve is not None:
        return 0
    width = _half_width(column)
    if width:
        return min(column.decimals, max(0, -math.floor(math.log10(width))))
    for other in measure:
        if other.output == column.output and column.line is None and other.line and _half_width(other):
            places = digits(other, measure) + math.floor(math.log10(abs(other.line[1]) or 1.0))
            return min(column.decimals, max(0, places))
    return min(column.decimals, MOST_DECIMALS)


def _half_width(column: Column) -> float:
    """The wider of both, 0 without an interval."""
    if column.interval is None:
        return 0.0
    return max(column.interval.half_width.with_text, column.interval.half_width.image_only)


def cell(row: Measured, column: Column, places: int) -> str:
    """A value as a terminal shows it."""
    if column.words:
        return row.words.get(column.name) or "-"
    value = row.values.get(column.name)
    if value is None:
        return "-"
    text = _number(value, places)
    ends = row.interval(column.name) if column.interval is not None else None
    if ends is not None:
        low, high = (_number(end, places) for end in ends)
        text += f" ({low} to {high})" if ends[0] < 0 else f" ({low}-{high})"
    return f"{text} {MARK}" if column.flags(value) else text


def _number(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _width(column: Column, places: int) -> int:
    """Of the longest value in the usual range, or the longest word."""
    if column.words:
        return max(map(len, column.words))
    ends = (column.low, column.high)
    longest = max(len(_number(end, places)) for end in ends)
    if column.interval is None:
        return longest + (2 if column.flag_above is not None else 0)
    return 3 * longest + (7 if column.low < 0 else 4)
