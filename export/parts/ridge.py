"""Somebody's own ratings as a head on the features that a bundle has already (`realm-train ridge`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from export.errors import ExportError
from export.graph.linear import VALUE, LinearGraph
from export.graph.model import Graph
from export.measures import Measure, check_name
from export.parts.part import MeasureAlone
from export.proof.limits import Tier, gate
from export.towers.bundle_tower import ListedTower, check_fitted_on, listed_tower
from realm_engine import Engine
from realm_engine.arrays import Array, Float64
from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.columns import Column
from realm_engine.verbs.fidelity import two_digits
from realm_train.bundle_tower import BundleTower
from realm_train.ridge.run import SavedRidge

LIMIT = 1e-3  # of the range of the ratings: features are the same, so only float32's last bits may differ
TOLERANCE = 0.02  # of that range: how far a lower precision of the tower may move a value


@dataclass(frozen=True)
class OwnRatings(MeasureAlone):
    """A measure of the kind "head": features of the bundle's tower -> a rating.

    Attributes:
        saved: The run.
        bundle: Whose tower it was fitted on, and which it goes into.
    """

    saved: SavedRidge
    bundle: Bundle

    weights = "fitted to ratings"

    def __post_init__(self) -> None:
        check_name(self.measure)
        check_fitted_on(
            self.measure, self.saved.fitted_on, self.bundle, self.tower.graph, "realm-train ridge"
        )

    @property
    def measure(self) -> str:
        """Name of the measure."""
        return self.saved.config.name

    @property
    def name(self) -> str:
        """Its key in "fidelity", where other words are keys as well."""
        return f"measures.{self.measure}"

    @property
    def column(self) -> str:
        """Name of its column, and of its graph."""
        return self.measure.replace("-", "_")

    @cached_property
    def tower(self) -> ListedTower:
        """What gives it features."""
        return listed_tower(self.bundle)

    def graphs(self) -> Sequence[Graph]:
        """The ridge, its standardisation inside."""
        return (LinearGraph(self.column, *self.saved.ridge.folded),)

    def measures(self) -> Mapping[str, Measure]:
        """Itself."""
        (low, high), ratings = self.saved.range, self.saved.metrics["images"]
        decimals = max(0, 3 - math.ceil(math.log10(high - low)))
        meaning = f"rating, learnt from {ratings} between {low:g} and {high:g}"
        tolerance = two_digits(TOLERANCE * (high - low))
        column = Column(self.column, VALUE, low, high, "high", meaning, None, decimals, tolerance)
        says = f"How whoever gave {ratings} ratings would rate it; a ridge regression, as good as its metrics say."
        inside = {"graph": self.column, "fitted_on": dict(self.saved.fitted_on)}
        return {self.measure: Measure("head", says, (column,), inside, tower=self.tower)}

    def expected(self, pictures: Sequence[Array]) -> Float64:
        """Values float64 [pictures]: the ridge as it was fitted, on features of the bundle that there was."""
        with BundleTower.open(str(self.bundle.root)) as tower:
            return self.saved.ridge.predict(tower.features(pictures))

    def compare(
        self, folder: Path, precision: str, pictures: Sequence[Array], expected: Float64, tier: Tier
    ) -> dict[str, float]:
        """Largest difference of the engine's values from `expected`, and of a batch from its pictures alone."""
        limit = LIMIT * (self.saved.range[1] - self.saved.range[0])
        with Engine.open(folder, device="cpu", precision=precision, tuned=False) as engine:
            alone = self._values(engine, pictures, 1)
            difference = float(np.abs(alone - expected).max())
            gate(f"{self.measure} differs from float64", difference, limit)
            batched = float(np.abs(self._values(engine, pictures, len(pictures)) - alone).max())
            gate(f"{self.measure} of a picture changes with the others of its batch", batched, limit)
        return {"value_max_abs_diff": two_digits(difference), "batch_max_abs_diff": two_digits(batched)}

    def _values(self, engine: Engine, pictures: Sequence[Array], batch_size: int) -> Float64:
        rows = engine.score(list(pictures), metrics=self.measure, batch_size=batch_size)
        for row in rows:
            if row.error is not None:
                raise ExportError(f"{row.name}: {row.error}; give other photographs with --verify-images")
        return np.array([row[self.column] for row in rows], dtype=np.float64)
