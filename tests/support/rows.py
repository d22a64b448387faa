"""Rows of the usual table, and its columns."""

from __future__ import annotations

from realm_engine.bundle.columns import Column
from realm_engine.tables.rows import Measured, header

NUMBERS = (
    Column("mos", "mos", -3.0, 2.0, "high", "mean opinion score", None, 6, 0.01),
    Column("realness", "mos", 0.0, 100.0, "high", "the rating behind it", (64.0, 17.0), 4),
)
COLUMNS = tuple(header(NUMBERS))


def row(
    name: str,
    mos: float | None = None,
    realness: float | None = None,
    description: str | None = None,
    error: str | None = None,
) -> Measured:
    """A row with the two numbers of CORE."""
    return Measured(name, {"mos": mos, "realness": realness}, description or None, error or None)
