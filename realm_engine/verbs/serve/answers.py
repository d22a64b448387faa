"""Answers of the engine as the server gives them: rows as JSON; maps as their records, pictures or values."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from realm_engine.bundle.columns import Column
from realm_engine.engine import Engine, Measured
from realm_engine.errors import UsageError, printable
from realm_engine.machine.packages import engine_version
from realm_engine.maps.figure import Caption
from realm_engine.maps.files import Content, colour_limits, map_record
from realm_engine.maps.picture_map import Mapped, PictureMap
from realm_engine.tables.rows import rounded

JSON, PNG, NPY = "application/json", "image/png", "application/x-npy"


class AsciiJson(Response):
    """JSON in ASCII: whatever clients call their files, no terminal takes it for a command."""

    media_type = JSON

    def render(self, content: Any) -> bytes:
        """See `Response.render`."""
        return json.dumps(content, allow_nan=False).encode("ascii")


def engine_facts(engine: Engine, part: str | None = None) -> dict[str, str]:
    """What answers, ready for JSON. `part`: of the bundle; None: all of them."""
    used = engine.describe(part if part is not None and engine.can(part) else None)
    facts = {key: str(used[key]) for key in ("bundle", "device", "runtime", "precision")}
    return {"version": engine_version(), **facts}


def row_facts(row: Measured, columns: Sequence[Column]) -> dict[str, Any]:
    """A row of a table, ready for JSON: values rounded as every format of tables holds them."""
    shown = rounded(row, columns)
    values: dict[str, float | str | None] = {column.name: shown[column.name] for column in columns}
    return {
        "name": row.name,
        "values": values,
        "flags": list(row.flags),
        "description": row.description,
        "error": row.error,
    }


@dataclass(frozen=True)
class MapWishes:
    """How a map is shown.

    `kind`: one of `JSON`, `PNG`, `NPY`; `picture`: which one a PNG is, overlay, panel or heatmap; `limits`, `regions`:
    see `maps.files.MapFolder`.
    """

    kind: str
    picture: str
    limits: tuple[float, float] | None
    regions: int | None

    def __post_init__(self) -> None:
        low, high = self.limits or (0.0, 1.0)
        if not (-math.inf < low < high < math.inf):
            raise UsageError(f"range {low:g} {high:g}: give the lower value first, then the higher")

    def answer(self, found: Mapped[PictureMap]) -> dict[str, Any]:
        """A map ready for JSON, or with `content` where bytes are wanted; the arrays are gone afterwards."""
        name, error = found.name, found.error
        if found.map is None or found.image is None:
            message = error or "no map came out"
            return {"name": name, "map": None, "error": message}
        if self.kind == JSON:
            record = map_record(found.map, self.limits or colour_limits(found.map), self.regions)
            return {"name": name, "map": record, "error": None}
        content = Content(found.map, found.image, self.limits, self.regions, Caption(printable(name)), {})
        shown = content.of("npy" if self.kind == NPY else self.picture)
        return {"name": name, "map": None, "error": None, "content": shown}
