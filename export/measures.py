"""Measures as the manifest lists them: what each answers, in which columns, and under which licence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from export.errors import ExportError

NAME = re.compile(r"[a-z][a-z0-9-]*")
# Columns that every table has.
RESERVED = frozenset({"filename", "description", "error"})
# CORE and DREAM: their names, columns and graphs.
TAKEN = frozenset({"core", "core-text", "mos", "realness", "dream", "clip-text"})
MOST_PIXELS = 1 << 14  # of a side of a view, as readers have it


@dataclass(frozen=True)
class Column:
    """One number of a measure.

    Attributes:
        name: Header in tables.
        output: Which output of the measure's graph it is, float32 [batch] or [batch, 1].
        low: Usual range; a column with a line is clipped to it.
        high: See low.
        better: Which end is better.
        meaning: One line.
        line: offset and slope; the column is offset + slope * output.
        decimals: How tables print it.
        tolerance: How far a lower precision may move it.
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

    def manifest(self) -> dict[str, Any]:
        """The entry of a bundle's manifest."""
        entry: dict[str, Any] = {"name": self.name, "output": self.output}
        if self.line is not None:
            entry["line"] = {"offset": self.line[0], "slope": self.line[1]}
        entry |= {"low": self.low, "high": self.high, "better": self.better, "decimals": self.decimals}
        if self.tolerance is not None:
            entry["tolerance"] = self.tolerance
        return {**entry, "meaning": self.meaning}


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
    """A measure of a part: its kind with what that kind needs (graph, view), and its columns."""

    kind: str
    says: str
    columns: tuple[Column, ...]
    inside: Mapping[str, Any] = field(default_factory=dict)

    def manifest(
        self, licence: Mapping[str, Any], training_data: str, metrics: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The object of a bundle's manifest."""
        return {
            "kind": self.kind,
            **self.inside,
            "says": self.says,
            "columns": [column.manifest() for column in self.columns],
            "licence": dict(licence),
            "training_data": training_data,
            "metrics": dict(metrics),
        }


def check_name(name: str) -> str:
    """A measure's name, unchanged.

    Raises:
        ExportError: it is none, or the name of a column that tables have anyway.
    """
    if NAME.fullmatch(name) is None:
        raise ExportError(
            f"--measure {name}: a measure's name has lower case letters, digits and '-', and begins with a letter"
        )
    if name in RESERVED:
        raise ExportError(f"--measure {name}: every table has a column of that name; choose another")
    if name in TAKEN:
        raise ExportError(f"--measure {name}: the name is taken by CORE or DREAM; choose another")
    return name
