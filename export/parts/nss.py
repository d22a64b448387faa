"""NIQE and BRISQUE, with the parameters of their authors (export/data/nss). Knows no torch."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from export.errors import ExportError
from export.graph.machine import MachineGraph
from export.graph.model import Graph
from export.graph.nss import NSS_BLOCKS, NSS_WHOLE
from export.measures import Measure
from export.parts.part import MeasureAlone
from export.proof.exact_contrast import exact_moments_of_blocks, exact_moments_of_whole
from export.proof.limits import Tier, gate
from export.terms import Terms
from realm_engine import Engine
from realm_engine.arrays import Array, Float64
from realm_engine.bundle.columns import Column
from realm_engine.measures import brisque, niqe
from realm_engine.measures.gaussian import Gaussian, parse_gaussian
from realm_engine.measures.profiles import PROFILES
from realm_engine.verbs.fidelity import two_digits

DATA = Path(__file__).parents[1] / "data" / "nss"
GAUSSIAN_FILE = "niqe.json"
LEAST_BLOCKS_PX = 192  # two blocks on each side
LEAST_WHOLE_PX = 8  # neighbours that a pixel of half size is made of
BATCH_LIMIT = 1e-3
NO_MORE = "is it noisy, blurred or compressed, no more"


class SceneStatistics(MeasureAlone, ABC):
    """What both have in common: moments of one graph, parameters that come with the code, one column."""

    weights = "of their authors"
    limit: float  # how far the graph's moments, float32, may move the value
    terms: Terms

    @property
    @abstractmethod
    def measure(self) -> str:
        """Name of the measure, and of its column."""

    @property
    def name(self) -> str:
        """Its key in "fidelity", where other words are keys as well."""
        return f"measures.{self.measure}"

    @abstractmethod
    def graphs(self) -> Sequence[Graph]:
        """The moments first."""

    @abstractmethod
    def measures(self) -> Mapping[str, Measure]:
        """Itself."""

    @abstractmethod
    def value(self, picture: Array) -> float:
        """The right value for a picture uint8 [H, W, 3], float64."""

    def expected(self, pictures: Sequence[Array]) -> Float64:
        """Values float64 [pictures], without cancellation."""
        return np.array([self.value(picture) for picture in pictures])

    def compare(
        self, folder: Path, precision: str, pictures: Sequence[Array], expected: Float64, tier: Tier
    ) -> dict[str, float]:
        """Largest difference of the engine's values from `expected`, and of a batch from its pictures alone."""
        with Engine.open(folder, device="cpu", precision=precision, tuned=False) as engine:
            alone = self._values(engine, pictures, 1)
            difference = float(np.abs(alone - expected).max())
            gate(f"{self.measure} differs from float64", difference, self.limit)
            batch = [view for each in pictures[:2] for view in (each, each[:, ::-1].copy(), 255 - each)]
            together = self._values(engine, batch, len(batch))
            batched = float(np.abs(together - self._values(engine, batch, 1)).max())
            gate(f"{self.measure} of a picture changes with the others of its batch", batched, BATCH_LIMIT)
        return {"value_max_abs_diff": two_digits(difference), "batch_max_abs_diff": two_digits(batched)}

    def _values(self, engine: Engine, pictures: Sequence[Array], batch_size: int) -> Float64:
        rows = engine.score(list(pictures), metrics=self.measure, batch_size=batch_size)
        for row in rows:
            if row.error is not None:
                raise ExportError(f"{row.name}: {row.error}; give larger photographs with --verify-images")
        return np.array([row[self.measure] for row in rows], dtype=np.float64)


class Niqe(SceneStatistics):
    """NIQE: moments of blocks, and the Gaussian of undistorted photographs."""

    measure = "niqe"
    limit = 0.02
    terms = Terms(
        "Any purpose, with the notice of LIVE, The University of Texas at Austin",
        DATA / "LICENSE-NIQE.md",
        True,
        "125 undistorted photographs of the authors",
    )

    @cached_property
    def photographs(self) -> Gaussian:
        """The parameters."""
        path = DATA / GAUSSIAN_FILE
        return parse_gaussian(path.read_bytes(), str(path), niqe.FEATURES)

    def graphs(self) -> Sequence[Graph]:
        """`nss_blocks`."""
        return (NSS_BLOCKS,)

    def files(self) -> Mapping[str, Path]:
        """The Gaussian."""
        return {GAUSSIAN_FILE: DATA / GAUSSIAN_FILE}

    def measures(self) -> Mapping[str, Measure]:
        """Itself."""
        meaning = "distance of its blocks from those of undistorted photographs"
        column = Column("niqe", niqe.VALUE, 0.0, 20.0, "low", meaning, None, 4, 0.05)
        inside = {
            "graph": NSS_BLOCKS.name,
            "view": {"kind": "native", "least_px": LEAST_BLOCKS_PX},
            "gaussian": GAUSSIAN_FILE,
            "profiles": list(PROFILES),
        }
        says = f"How far it is from undistorted photographs (NIQE): {NO_MORE}."
        return {self.measure: Measure("niqe", says, (column,), inside)}

    def value(self, picture: Array) -> float:
        """See `SceneStatistics.value`."""
        return niqe.niqe(exact_moments_of_blocks(picture), self.photographs)


class Brisque(SceneStatistics):
    """BRISQUE: moments of the whole picture, and a support vector machine on what they say."""

    measure = "brisque"
    limit = 0.3
    terms = Terms(
        "Any purpose, with the notice of LIVE, The University of Texas at Austin",
        DATA / "LICENSE-BRISQUE.md",
        True,
        "the LIVE image quality database of the authors",
    )

    @cached_property
    def machine(self) -> MachineGraph:
        """The parameters."""
        found = json.loads((DATA / "brisque.json").read_text(encoding="utf-8"))
        arrays = {key: np.array(found[key]) for key in ("low", "high", "coefficients", "vectors")}
        return MachineGraph(gamma=found["gamma"], offset=found["offset"], **arrays)

    def graphs(self) -> Sequence[Graph]:
        """`nss_whole` and the machine."""
        return NSS_WHOLE, self.machine

    def measures(self) -> Mapping[str, Measure]:
        """Itself."""
        meaning = "distortion that people would see; about -15 to 110"
        column = Column("brisque", brisque.VALUE, 0.0, 100.0, "low", meaning, None, 3, 0.5)
        inside = {
            "graph": NSS_WHOLE.name,
            "view": {"kind": "native", "least_px": LEAST_WHOLE_PX},
            "machine": self.machine.name,
            "profiles": list(PROFILES),
        }
        says = f"How distorted it looks (BRISQUE): {NO_MORE}."
        return {self.measure: Measure("brisque", says, (column,), inside)}

    def value(self, picture: Array) -> float:
        """See `SceneStatistics.value`."""
        machine = self.machine
        found = brisque.features(exact_moments_of_whole(picture))
        x = 2 * (found - machine.low) / (machine.high - machine.low) - 1
        near = np.exp(-machine.gamma * ((machine.vectors - x) ** 2).sum(axis=1))
        return float(machine.coefficients @ near + machine.offset)
