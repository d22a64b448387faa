"""`bundle.json` as frozen dataclasses: every field checked once, with an error that names the field."""

from __future__ import annotations

import itertools
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Generic, Literal, TypeVar

from realm_engine.errors import BundleError

FORMAT = "realm-bundle"
FORMAT_MAJOR, FORMAT_MINOR = 1, 2
INTERPOLATIONS = ("bilinear", "bicubic")
# Beyond these a resample matrix, or the ids of one text, would fill the memory.
MOST_PIXELS = 1 << 14
MOST_TOKENS = 1 << 16
MOST = (1 << 31) - 1
MOST_POINTS = 1 << 12  # of a curve
# Columns that every table has.
RESERVED_COLUMNS = ("filename", "description", "error")


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a graph; a dimension is a number, or a name when it is free."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class GraphSpec:
    """One graph: its files by precision and its interface, the same in every precision."""

    name: str
    variants: Mapping[str, str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(tensor.name for tensor in self.inputs)

    def output(self, name: str) -> TensorSpec | None:
        """The output called `name`, None where the manifest does not list it."""
        return next((tensor for tensor in self.outputs if tensor.name == name), None)


@dataclass(frozen=True)
class TextSpec:
    """How text becomes token ids: tokenizer file, limit and the lengths ids are padded to."""

    tokenizer: str
    max_tokens: int
    pad_id: int
    fixed_length: bool
    buckets: tuple[int, ...]


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
    """One number of a measure.

    `name`: header in tables. `output`: of the measure's graph, the raw value. `line`: (offset, slope); the value is
    then offset + slope * raw, clipped to `low`..`high`. `curve`: the value is the curve at raw. With neither it is
    the raw one. `low`, `high`: usual range. `decimals`: as tables print it. `tolerance`: how far a lower precision
    may move it, None: no limit of its own. `interval`: how sure the value is; where there is one, the columns
    NAME_low and NAME_high follow. `flag_above`: a value above it is a reason to distrust the row. `bound`: what is
    added to the value of a line, and clipped again, or to the raw one: NAME_low and NAME_high alone have it.
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

    def value(self, raw: float, described: bool = False) -> float:
        """The column's value for a raw output of a picture that was looked at with a description or without."""
        if self.curve is not None:
            return self.curve.of(described).value(raw)
        more = 0.0 if self.bound is None else self.bound.of(described)
        if self.line is None:
            return raw + more
        offset, slope = self.line
        return self._clipped(self._clipped(offset + slope * raw) + more)

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


class Section:
    """A JSON object of the manifest together with the place it stands, for errors that name both."""

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, dict):
            raise BundleError(f"{where} must be a JSON object; export the bundle again")
        self.data: dict[str, Any] = data
        self.where = where

    def get(self, key: str, kind: type | tuple[type, ...]) -> Any:
        """The value at `key`, which must be there and of that kind (a bool is no number)."""
        value = self.data.get(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            state = "missing" if key not in self.data else f"{value!r}, of the wrong kind"
            raise BundleError(f"{self.where}: '{key}' is {state}; export the bundle again")
        return value

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = str(self.get(key, str))
        if not value:
            raise BundleError(f"{self.where}: '{key}' is empty; export the bundle again")
        return value

    def whole(self, key: str, least: int, most: int) -> int:
        """A whole number within limits."""
        value = int(self.get(key, int))
        if value < least:
            raise BundleError(f"{self.where}: '{key}' is {value}, below {least}; export the bundle again")
        if value > most:
            raise BundleError(f"{self.where}: '{key}' is {value}, above {most}; export the bundle again")
        return value

    def positive(self, key: str, most: int = MOST) -> int:
        """A whole number of at least 1."""
        return self.whole(key, 1, most)

    def number(self, key: str, otherwise: float | None = None) -> float:
        """A finite number; `otherwise` where there is no such key."""
        if otherwise is not None and key not in self.data:
            return otherwise
        value = float(self.get(key, (int, float)))
        if not math.isfinite(value):
            raise BundleError(f"{self.where}: '{key}' is {value}; export the bundle again")
        return value

    def positives(self, key: str) -> tuple[int, ...]:
        """A non-empty list of whole numbers of at least 1."""
        values = self.get(key, list)
        if not values or any(not isinstance(v, int) or isinstance(v, bool) or v < 1 for v in values):
            raise BundleError(f"{self.where}: '{key}' must list whole numbers from 1; export it again")
        return tuple(values)

    def numbers(self, key: str) -> tuple[float, ...]:
        """A non-empty list of finite numbers, at most `MOST_POINTS`."""
        values = self.get(key, list)
        finite = all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in values
        )
        if not 1 <= len(values) <= MOST_POINTS or not finite:
            raise BundleError(
                f"{self.where}: '{key}' must list 1 to {MOST_POINTS} finite numbers; export the bundle again"
            )
        return tuple(float(value) for value in values)

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of the given words."""
        value = str(self.get(key, str))
        if value not in choices:
            raise BundleError(f"{self.where}: '{key}' is {value!r}, must be one of {', '.join(choices)}")
        return value

    def section(self, key: str) -> Section:
        """The JSON object at `key`."""
        return Section(self.data.get(key), f"{self.where}, '{key}'")

    def section_items(self) -> list[tuple[str, Section]]:
        """The JSON objects in this one, with their names."""
        return [(name, self.section(name)) for name in self.data]

    def sections(self, key: str) -> dict[str, Section]:
        """The JSON objects inside the object at `key`, by name; none where there is no such object."""
        return dict(self.section(key).section_items()) if key in self.data else {}


def safe_relative(path: Any, where: str) -> str:
    """Return `path` when it is a plain relative POSIX path that cannot leave its folder.

    Raises BundleError for an absolute path, a drive, a backslash, or a `..` part.
    """
    plain = isinstance(path, str) and path and "\\" not in path and "\0" not in path
    if plain and not PureWindowsPath(path).drive:
        parts = PurePosixPath(path)
        if not parts.is_absolute() and ".." not in parts.parts and parts.parts:
            return str(path)
    raise BundleError(f"{where}: the path {path!r} leaves the bundle; do not use a bundle that asks for it")


def is_bundle_name(name: str) -> bool:
    """Whether a bundle may be called so: a name that is safe as one component of a path, on every system."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) is not None


NAME_RULE = "1 to 64 letters (a-z, A-Z), digits, '.', '_' and '-', the first a letter or digit"


def check_name(manifest: Section) -> str:
    """The bundle's name. Raises BundleError for one that is more than a name: files are called after it."""
    name = str(manifest.get("name", str))
    if not is_bundle_name(name):
        raise BundleError(
            f"{manifest.where}: 'name' is {name[:80]!r}, no name of a bundle ({NAME_RULE}); export the bundle again"
        )
    return name


def safe_name(name: str, where: str) -> str:
    """Return `name` when it can name a measure or a column: letters, digits, "-" and "_", a letter first."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name) is None:
        raise BundleError(
            f"{where}: {name!r} cannot be a name; use letters, digits, '-' and '_', a letter first"
        )
    return name


def check_version(manifest: Section) -> bool:
    """Whether a bundle is of a later minor version than this engine knows. Raises BundleError for another major one."""
    if manifest.data.get("format") != FORMAT:
        raise BundleError(f"{manifest.where}: 'format' is not {FORMAT!r}; this is no REALM bundle")
    version = str(manifest.get("format_version", str))
    major = version.split(".")[0]
    if not major.isdecimal():
        raise BundleError(
            f"{manifest.where}: format version {version!r} is not a version; export the bundle again"
        )
    if int(major) != FORMAT_MAJOR:
        cure = "update realm-engine" if int(major) > FORMAT_MAJOR else "export the bundle again"
        raise BundleError(
            f"{manifest.where}: format version {version}, but this engine reads {FORMAT_MAJOR}.x; {cure}"
        )
    minor = version.split(".")[1:2]
    return bool(minor) and minor[0].isdecimal() and int(minor[0]) > FORMAT_MINOR


def parse_graphs(section: Section, later: bool) -> dict[str, GraphSpec]:
    """The graphs by name. `later`: an entry without variants is of a form that a later version added, and left out."""
    graphs = {}
    for name, entry in section.section_items():
        if later and "variants" not in entry.data:
            continue
        variants = entry.section("variants").data
        if not variants:
            raise BundleError(f"{entry.where}: no variant; export the bundle again")
        graphs[name] = GraphSpec(
            name=name,
            variants={precision: safe_relative(path, entry.where) for precision, path in variants.items()},
            inputs=_tensors(entry, "inputs"),
            outputs=_tensors(entry, "outputs"),
        )
    return graphs


def _tensors(entry: Section, key: str) -> tuple[TensorSpec, ...]:
    tensors = []
    for item in entry.get(key, list):
        tensor = Section(item, f"{entry.where}, '{key}'")
        tensors.append(
            TensorSpec(tensor.get("name", str), tensor.get("dtype", str), tuple(tensor.get("shape", list)))
        )
    return tuple(tensors)


def parse_text(section: Section) -> TextSpec:
    """The "text" object of a tower."""
    max_tokens = section.positive("max_tokens", MOST_TOKENS)
    buckets = tuple(sorted(set(section.positives("buckets"))))
    if buckets[-1] != max_tokens:
        raise BundleError(f"{section.where}: 'buckets' must end with 'max_tokens'; export the bundle again")
    return TextSpec(
        tokenizer=safe_relative(section.get("tokenizer", str), section.where),
        max_tokens=max_tokens,
        pad_id=section.whole("pad_id", 0, MOST),
        fixed_length=bool(section.get("fixed_length", bool)),
        buckets=buckets,
    )


def parse_columns(section: Section) -> tuple[Column, ...]:
    """The columns of a measure: those that it lists, at least one, the bounds of each behind it, and then those that
    readers before 1.2 would read wrongly ("more_columns"). Their names are different.
    """
    listed = [_column(item) for item in _items(section, "columns")]
    if "more_columns" in section.data:
        listed += [_column(item) for item in _items(section, "more_columns")]
    columns = tuple(each for column in listed for each in (column, *column.bounds()))
    names = [column.name for column in columns]
    if not columns or len(set(names)) != len(names):
        raise BundleError(f"{section.where}: 'columns' must list numbers of different names; export it again")
    return columns


def _items(section: Section, key: str) -> list[Section]:
    return [Section(item, f"{section.where}, '{key}'") for item in section.get(key, list)]


def _column(section: Section) -> Column:
    name = safe_name(section.get("name", str), section.where)
    if name in RESERVED_COLUMNS:
        raise BundleError(f"{section.where}: a column cannot be called {name!r}; export the bundle again")
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
        better="high" if section.choice("better", ("high", "low")) == "high" else "low",
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
