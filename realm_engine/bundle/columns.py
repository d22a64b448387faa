"""The numbers and words of a measure as the manifest lists them: what each is, and how sure."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from realm_engine.bundle.manifest import Section, safe_name
from realm_engine.errors import BundleError

_MOST_WIDTHS = 100  # of its usual range, that a number may lie outside of it
# Columns that every table has.
RESERVED_COLUMNS = ("filename", "description", "error")

T = TypeVar("T")


@dataclass(frozen=True)
class ByText(Generic[T]):
    """What differs between pictures that are looked at with a description and without one."""

    with_text: T
    image_only: T

    def of(self, described: bool) -> T:
        """That of a picture with a description, or without."""
        return self.with_text if described else self.image_only


@dataclass(frozen=True)
class Curve:
    """Straight lines between points; before the first and after the last its ends. `x` rises strictly."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def value(self, x: float) -> float:
        """The curve at x, float64: y0 + (y1 - y0) * ((x - x0) / (x1 - x0)) in every host."""
        if math.isnan(x):
            return x
        right = bisect_right(self.x, x)
        if right == 0:
            return self.y[0]
        if right == len(self.x):
            return self.y[-1]
        (x0, x1), (y0, y1) = self.x[right - 1 : right + 1], self.y[right - 1 : right + 1]
        return y0 + (y1 - y0) * ((x - x0) / (x1 - x0))


@dataclass(frozen=True)
class Interval:
    """`share` of pictures that the model had not seen have their true value within +- `half_width` of the column's."""

    share: float
    half_width: ByText[float]


@dataclass(frozen=True)
class Column:
    """One number of a measure, or one word.

    `name`: header in tables. `output`: of the measure's graph, the raw value. `line`: (offset, slope); the value is
    then offset + slope * raw, clipped to `low`..`high`. `curve`: the value is the curve at raw. With neither it is
    the raw one. `low`, `high`: usual range. `decimals`: as tables print it. `tolerance`: how far a lower precision
    may move it, None: no limit of its own. `interval`: how sure the value is; where there is one, the columns
    NAME_low and NAME_high follow. `flag_above`: a value above it is a reason to distrust the row. `bound`: what is
    added to the value of a line, and clipped again, or to the raw one: NAME_low and NAME_high alone have it.
    `words`: of a column whose cells are words; its raw output is the place of one of them.
    """

    name: str
    output: str
    low: float
    high: float
    better: Literal["high", "low"]
    meaning: str
    line: tuple[float, float] | None = None
    decimals: int = 6
    tolerance: float | None = None
    curve: ByText[Curve] | None = None
    interval: Interval | None = None
    flag_above: float | None = None
    bound: ByText[float] | None = None
    words: tuple[str, ...] = ()

    def value(self, raw: float, described: bool = False) -> float:
        """The column's value for a raw output of a picture that was looked at with a description or without."""
        if self.curve is not None:
            return self.curve.of(described).value(raw)
        more = 0.0 if self.bound is None else self.bound.of(described)
        if self.line is None:
            return raw + more
        offset, slope = self.line
        return self._clipped(self._clipped(offset + slope * raw) + more)

    def plausible(self, raw: float, described: bool = False) -> bool:
        """Whether a raw output is a number that the column could have: finite, and no further outside its usual range
        (or, of a curve, the points of that) than 100 times its width. What a float16 that overflowed gives is not.
        Of words it is the place of one."""
        if self.words:
            return raw in range(len(self.words))
        if self.curve is not None:
            points = self.curve.of(described).x
            low, high, value = points[0], points[-1], raw
        else:
            offset, slope = self.line or (0.0, 1.0)
            low, high, value = self.low, self.high, offset + slope * raw
        reach = _MOST_WIDTHS * max(high - low, 1.0)
        return low - reach <= value <= high + reach

    @property
    def span(self) -> str:
        """Its usual range and direction, or its words, for eyes."""
        if self.words:
            return ", ".join(self.words)
        return f"{self.low:g} to {self.high:g}, {self.better} = better"

    def _clipped(self, value: float) -> float:
        return min(max(value, self.low), self.high)

    def flags(self, value: float | None) -> bool:
        """Whether a value of the column is a reason to distrust its row."""
        return self.flag_above is not None and value is not None and value > self.flag_above

    def bounds(self) -> tuple[Column, ...]:
        """The columns NAME_low and NAME_high of one with an interval; none of one without."""
        if self.interval is None:
            return ()
        share, width = self.interval.share, self.interval.half_width
        return tuple(
            replace(
                self,
                name=f"{self.name}_{end}",
                meaning=f"{end} end of {self.name}: {share:.0%} of pictures never seen lie between",
                interval=None,
                flag_above=None,
                bound=ByText(sign * width.with_text, sign * width.image_only),
            )
            for end, sign in (("low", -1.0), ("high", 1.0))
        )


def numbers_of(columns: Iterable[Column]) -> list[Column]:
    """The columns that hold numbers, in order."""
    return [column for column in columns if not column.words]


def words_of(columns: Iterable[Column]) -> list[Column]:
    """The columns that hold words, in order."""
    return [column for column in columns if column.words]


def parse_columns(section: Section) -> tuple[Column, ...]:
    """The columns of a measure: those that it lists, at least one, the bounds of each behind it, and then those that
    readers before 1.2 ("more_columns") and before 1.4 ("word_columns") would read wrongly. Their names are different.
    """
    listed = [_column(item) for item in _items(section, "columns")]
    if "more_columns" in section.data:
        listed += [_column(item) for item in _items(section, "more_columns")]
    if "word_columns" in section.data:
        listed += [_word_column(item) for item in _items(section, "word_columns")]
    columns = tuple(each for column in listed for each in (column, *column.bounds()))
    names = [column.name for column in columns]
    if not columns or len(set(names)) != len(names):
        raise BundleError(f"{section.where}: 'columns' must list numbers of different names; export it again")
    return columns


def _items(section: Section, key: str) -> list[Section]:
    return [Section(item, f"{section.where}, '{key}'") for item in section.get(key, list)]


def _name(section: Section) -> str:
    name = safe_name(section.get("name", str), section.where)
    if name in RESERVED_COLUMNS:
        raise BundleError(f"{section.where}: a column cannot be called {name!r}; export the bundle again")
    return name


def _word_column(section: Section) -> Column:
    words = tuple(safe_name(str(word), section.where) for word in section.get("words", list))
    if len(words) < 2 or len(set(words)) != len(words):
        raise BundleError(
            f"{section.where}: 'words' must be two or more different ones; export the bundle again"
        )
    return Column(
        name=_name(section),
        output=section.get("output", str),
        low=0.0,
        high=len(words) - 1.0,
        better=_better(section),
        meaning=section.get("meaning", str),
        decimals=0,
        words=words,
    )


def _better(section: Section) -> Literal["high", "low"]:
    return "high" if section.choice("better", ("high", "low")) == "high" else "low"


def _column(section: Section) -> Column:
    name = _name(section)
    low, high = section.number("low"), section.number("high")
    if not low < high:
        raise BundleError(f"{section.where}: 'low' must be below 'high'; export the bundle again")
    line = section.section("line") if "line" in section.data else None
    curve = _by_text(section.section("curve"), _curve) if "curve" in section.data else None
    if curve is not None and (line is not None or "interval" in section.data):
        raise BundleError(f"{section.where}: a 'curve' has no line and no interval; export the bundle again")
    return Column(
        name=name,
        output=section.get("output", str),
        low=low,
        high=high,
        better=_better(section),
        meaning=section.get("meaning", str),
        line=None if line is None else (line.number("offset"), line.number("slope")),
        decimals=section.whole("decimals", 0, 12) if "decimals" in section.data else 6,
        tolerance=_above_zero(section, "tolerance") if "tolerance" in section.data else None,
        curve=curve,
        interval=_interval(section.section("interval")) if "interval" in section.data else None,
        flag_above=section.number("flag_above") if "flag_above" in section.data else None,
    )


def _above_zero(section: Section, key: str) -> float:
    value = section.number(key)
    if value <= 0:
        raise BundleError(f"{section.where}: '{key}' is {value}, not above 0; export the bundle again")
    return value


def _by_text(section: Section, read: Callable[[Section, str], T]) -> ByText[T]:
    """What stands under "with_text" and "image_only", or for both under "any"."""
    if "any" in section.data:
        both = read(section, "any")
        return ByText(both, both)
    return ByText(read(section, "with_text"), read(section, "image_only"))


def _curve(section: Section, key: str) -> Curve:
    points = section.section(key)
    x, y = points.numbers("x"), points.numbers("y")
    if len(x) != len(y) or any(not a < b for a, b in itertools.pairwise(x)):
        raise BundleError(
            f"{points.where}: 'x' must rise from point to point and have a 'y' each; export the bundle again"
        )
    return Curve(x, y)


def _interval(section: Section) -> Interval:
    share = section.number("share")
    if not 0 < share < 1:
        raise BundleError(
            f"{section.where}: 'share' is {share}, not between 0 and 1; export the bundle again"
        )
    return Interval(share, _by_text(section, _above_zero))
