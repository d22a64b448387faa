"""Measures as the manifest lists them: what each answers, in which columns, and under which licence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from export.errors import ExportError
from export.towers.bundle_tower import ListedTower
from realm_engine.bundle.columns import RESERVED_COLUMNS, ByText, Column
from realm_engine.bundle.manifest import MOST_PIXELS

T = TypeVar("T")

NAME = re.compile(r"[a-z][a-z0-9-]*")
# CORE and DREAM: their names, columns and graphs, and what DREAM makes.
TAKEN = frozenset({"core", "core-text", "mos", "realness", "unlike", "dream", "clip-text", "maps"})


def column_entry(column: Column) -> dict[str, Any]:
    """A column as the manifest holds it."""
    entry: dict[str, Any] = {"name": column.name, "output": column.output}
    if column.line is not None:
        entry["line"] = {"offset": column.line[0], "slope": column.line[1]}
    if column.curve is not None:
        entry["curve"] = _by_text(column.curve, lambda curve: {"x": list(curve.x), "y": list(curve.y)})
    if column.interval is not None:
        entry["interval"] = {"share": column.interval.share, **_by_text(column.interval.half_width, float)}
    if column.flag_above is not None:
        entry["flag_above"] = column.flag_above
    entry |= {"low": column.low, "high": column.high, "better": column.better, "decimals": column.decimals}
    if column.tolerance is not None:
        entry["tolerance"] = column.tolerance
    return {**entry, "meaning": column.meaning}


def word_column_entry(column: Column) -> dict[str, Any]:
    """A column of words as the manifest holds it."""
    return {
        "name": column.name,
        "output": column.output,
        "words": list(column.words),
        "better": column.better,
        "meaning": column.meaning,
    }


def _by_text(values: ByText[T], entry: Callable[[T], Any]) -> dict[str, Any]:
    if values.with_text == values.image_only:
        return {"any": entry(values.image_only)}
    return {"with_text": entry(values.with_text), "image_only": entry(values.image_only)}


@dataclass(frozen=True)
class View:
    """How a graph looks at a picture: resized as a whole to a fixed size, or as it is ("native").

    Attributes:
        kind: "whole" or "native".
        height_px: Of "whole".
        width_px: Of "whole".
        interpolation: Of "whole": "bilinear" or "bicubic".
    """

    kind: Literal["whole", "native"]
    height_px: int = 0
    width_px: int = 0
    interpolation: str = "bilinear"

    @classmethod
    def parse(cls, text: str) -> View:
        """Read "native" or "whole:WIDTHxHEIGHT", with ":bicubic" where the resize is not bilinear.

        Raises:
            ExportError: it is neither.
        """
        if text == "native":
            return cls("native")
        found = re.fullmatch(r"whole:(\d{1,5})x(\d{1,5})(?::(bilinear|bicubic))?", text)
        if found is None:
            raise ExportError(
                f"--view {text}: write whole:WIDTHxHEIGHT, whole:WIDTHxHEIGHT:bicubic or native"
            )
        width, height = int(found[1]), int(found[2])
        if not 1 <= min(width, height) <= max(width, height) <= MOST_PIXELS:
            raise ExportError(f"--view {text}: sides are 1 to {MOST_PIXELS} pixels")
        return cls("whole", height, width, found[3] or "bilinear")

    def manifest(self) -> dict[str, Any]:
        """The object of a bundle's manifest."""
        if self.kind == "native":
            return {"kind": "native"}
        return {
            "kind": "whole",
            "height_px": self.height_px,
            "width_px": self.width_px,
            "interpolation": self.interpolation,
        }


@dataclass(frozen=True)
class Measure:
    """A measure of a part: its kind with what that kind needs (graph, view), and its columns.

    `more`: those that a reader before 1.2 would read wrongly, as one with a curve, which it would take for the raw
    output. `words`: columns of words, which a reader before 1.4 does not know. `ranks`: whether pictures and generators
    may be put in an order by it. `tower`: whose features one of the kind "head" takes.
    """

    kind: str
    says: str
    columns: tuple[Column, ...]
    inside: Mapping[str, Any] = field(default_factory=dict)
    more: tuple[Column, ...] = ()
    words: tuple[Column, ...] = ()
    ranks: bool = True
    tower: ListedTower | None = None

    def manifest(self, terms: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
        """The object of a bundle's manifest; `terms` are those of its weights."""
        return {
            "kind": self.kind,
            **({"tower": self.tower.name} if self.tower is not None else {}),
            **self.inside,
            "says": self.says,
            "columns": [column_entry(column) for column in self.columns],
            **({"more_columns": [column_entry(column) for column in self.more]} if self.more else {}),
            **({"word_columns": [word_column_entry(column) for column in self.words]} if self.words else {}),
            **({} if self.ranks else {"ranks": False}),
            **terms,
            "metrics": dict(metrics),
        }


def check_name(name: str) -> str:
    """A measure's name, unchanged.

    Raises:
        ExportError: it is not a name, or the name of a column that tables have anyway.
    """
    if NAME.fullmatch(name) is None:
        raise ExportError(
            f"--measure {name}: a measure's name has lower case letters, digits and '-', and begins with a letter"
        )
    if name in RESERVED_COLUMNS:
        raise ExportError(f"--measure {name}: every table has a column of that name; choose another")
    if name in TAKEN:
        raise ExportError(f"--measure {name}: the name is taken by CORE or DREAM; choose another")
    return name
