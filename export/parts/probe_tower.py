"""A probe that brings its backbone: a tower that sees the centre of a picture, and a head on its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.errors import ExportError
from export.graph.model import Graph
from export.graph.published_head import FEATURES, P_FAKE, VERDICT, WORDS, PublishedHead
from export.measures import Measure, check_name
from export.parts.part import MeasureAlone
from export.proof.limits import Tier, gate
from export.towers.backbone_graph import backbone_export
from export.towers.bundle_tower import ListedTower
from realm_engine import Engine
from realm_engine.arrays import Array, Float64
from realm_engine.bundle.columns import Column
from realm_engine.verbs.fidelity import two_digits
from realm_train.probe.checkpoint import OpenedProbe

REAL_FAKE = "real-fake"
P_LIMIT = 1e-3
BATCH_LIMIT = 1e-3
SAYS = "Photograph (real) or generated (fake), as a published probe judges it: a hint, not a proof."


@dataclass(frozen=True)
class ProbeTower(MeasureAlone):
    """A measure of the kind "head" with a tower of its own.

    Attributes:
        probe: The published probe.
        measure: The measure's name; columns of another than `real-fake` begin with it.
    """

    probe: OpenedProbe
    measure: str = REAL_FAKE

    weights = "trained"

    def __post_init__(self) -> None:
        check_name(self.measure)

    @property
    def name(self) -> str:
        """Its key in "fidelity", where other words are keys as well."""
        return f"measures.{self.measure}"

    @property
    def graph(self) -> str:
        """Name of the head's graph; the tower's has `_tower` behind it."""
        return self.measure.replace("-", "_")

    @property
    def tower(self) -> ListedTower:
        """The backbone as the manifest lists it."""
        look = self.probe.stem.look
        view = {
            "kind": "centre-crop",
            "size_px": look.size_px,
            "short_px": look.short_px,
            "interpolation": look.interpolation,
        }
        name = f"{self.graph}_tower"
        return ListedTower(name, {"graph": name, "output": FEATURES, "view": view})

    def column(self, output: str) -> str:
        """Name of the column of an output."""
        return output if self.measure == REAL_FAKE else f"{self.graph}_{output}"

    def graphs(self) -> Sequence[Graph]:
        """The backbone and the head."""
        head = PublishedHead(self.probe.weight, self.probe.bias, self.graph)
        return backbone_export(self.probe.stem, self.tower.graph, FEATURES), head

    def measures(self) -> Mapping[str, Measure]:
        """p(fake), and the word for it. Nothing is ranked by it."""
        selected = ", its epoch chosen on test pictures" if self.probe.selected_on == "test" else ""
        meaning = f"p(generated) by a probe on {self.probe.stem.name}{selected}; equally many of both assumed"
        number = Column(self.column(P_FAKE), P_FAKE, 0.0, 1.0, "low", meaning, decimals=3, tolerance=0.02)
        word = Column(VERDICT, VERDICT, 0.0, 1.0, "low", "fake where p(generated) is .5 or more", words=WORDS)
        inside = {"graph": self.graph}
        columns = {"columns": (number,), "words": (word,)}
        return {self.measure: Measure("head", SAYS, inside=inside, ranks=False, tower=self.tower, **columns)}

    def expected(self, pictures: Sequence[Array]) -> Float64:
        """p(fake) float64 [pictures], by Pillow and PyTorch."""
        return np.asarray(self.probe.p_fake(self.probe.stem.features(pictures)), np.float64)

    def compare(
        self, folder: Path, precision: str, pictures: Sequence[Array], expected: Float64, tier: Tier
    ) -> dict[str, float]:
        """Largest difference of the engine's p(fake) from PyTorch's, and of a batch from its pictures alone."""
        with Engine.open(folder, device="cpu", precision=precision, tuned=False) as engine:
            alone = self._values(engine, pictures, 1)
            difference = float(np.abs(alone - expected).max())
            gate(f"{P_FAKE} differs from PyTorch", difference, P_LIMIT)
            batch = [view for each in pictures[:2] for view in (each, each[:, ::-1].copy(), 255 - each)]
            together = self._values(engine, batch, len(batch))
            batched = float(np.abs(together - self._values(engine, batch, 1)).max())
            gate(f"{P_FAKE} of a picture changes with the others of its batch", batched, BATCH_LIMIT)
        return {"value_max_abs_diff": two_digits(difference), "batch_max_abs_diff": two_digits(batched)}

    def _values(self, engine: Engine, pictures: Sequence[Array], batch_size: int) -> Float64:
        rows = engine.score(list(pictures), metrics=self.measure, batch_size=batch_size)
        for row in rows:
            if row.error is not None:
                raise ExportError(f"{row.name}: {row.error}")
        return np.array([row[self.column(P_FAKE)] for row in rows], dtype=np.float64)
