"""The scores that stand beside maps: those of the bundle's first measure, of pictures that are decoded already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from realm_engine.arrays import UInt8
from realm_engine.bundle.terms import Terms
from realm_engine.engine import Engine
from realm_engine.measures.measure import Measure
from realm_engine.pictures.inputs import Texts
from realm_engine.tables.rows import Measured, rounded
from realm_engine.tables.terminal import cell, digits
from realm_engine.verbs.console import Console

SHOWN_IN = frozenset({"overlay", "panel", "contact", "json"})
"""Formats in which scores stand."""


class MapScores:
    """Scores pictures of an engine's maps by its first measure."""

    def __init__(self, engine: Engine, measure: Measure, console: Console) -> None:
        self._engine, self._measure, self._console = engine, measure, console
        columns = [column for column in measure.columns if not column.bound]
        sure = [column for column in columns if column.interval is not None]
        self._headline = list(dict.fromkeys(column.name for column in [*sure, *columns[:1]]))
        self._columns = {column.name: (column, digits(column, measure.columns)) for column in columns}

    @classmethod
    def of(cls, engine: Engine, console: Console) -> MapScores | None:
        """The scores of an engine; None where its bundle has no measure, or, which is said, not in this precision."""
        measures = engine.contents.measures.all
        if not measures:
            return None
        if not engine.can(measures[0].part.name):
            precision = engine.describe()["precision"]
            console.say(f"no scores stand beside the maps: {measures[0].name} is not there as {precision}")
            return None
        return cls(engine, measures[0], console)

    @property
    def terms(self) -> Mapping[str, Terms]:
        """Those of the measure."""
        return {self._measure.name: self._measure.terms}

    @property
    def identity(self) -> str:
        """What must be equal for the scores of two runs to lie in one folder."""
        used = self._engine.describe(self._measure.part.name)
        return f"{self._measure.name} {used['precision']}"

    def row(self, name: str, image: UInt8, texts: Texts) -> Measured | None:
        """The numbers of a picture, uint8 RGB (H, W, 3), with the texts of its map as its description, joined like
        sentences; None, and a line to the user, where there are none."""
        text = texts if texts is None or isinstance(texts, str) else ". ".join(texts)
        (row,) = self._engine.look([image], [text], self._measure.name)
        if row.error is not None:
            self._console.warn(
                f"{name}: no score stands beside the map: {row.error}; --no-score leaves scores and their memory out"
            )
            return None
        return rounded(row, self._measure.columns)

    def words(self, row: Measured | None) -> str:
        """The headline as a terminal shows it, "realness 66 (48-85), mos 0.1", and what is to be distrusted."""
        if row is None:
            return ""
        return ", ".join(
            f"{name} {cell(row, *self._columns[name])}" for name in (*self._headline, *row.flags)
        )

    @staticmethod
    def facts(row: Measured | None) -> dict[str, Any]:
        """What the record of a map says of the scores."""
        return {} if row is None else {"scores": {**row.values, **row.words}}
