"""Results as columns, which every library of data frames takes; none is imported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from realm_engine.errors import UsageError
from realm_engine.tables.rows import Measured


def table(results: Iterable[Measured]) -> dict[str, list[Any]]:
    """Results as columns: `pandas.DataFrame(table(results))`, `polars.DataFrame(...)`, `pyarrow.table(...)`.

    Columns are "filename", those of the measures in the order in which the results have them, "description" and
    "error"; each has one value per result, None where it has none. Numbers are floats, everything else is text.
    Raises UsageError for what is no result of `Engine.score`.
    """
    rows = list(results)
    for row in rows:
        if not isinstance(row, Measured):
            raise UsageError(f"table takes what Engine.score gives, not {type(row).__name__}")
    dicts = [row.to_dict() for row in rows]
    last = ("description", "error")
    names = dict.fromkeys(name for each in dicts for name in each if name not in (*last, "flags"))
    names = {"filename": None, **names}
    return {name: [each.get(name) for each in dicts] for name in (*names, *last)}
