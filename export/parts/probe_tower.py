"""A probe that brings its backbone: a tower that sees the centre of a picture, and a head on its features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from export.errors import ExportError
from export.graph.model import Graph
from export.graph.published_head import FEATURES, P_FAKE, VERDICT, WORDS, PublishedHead
from export.measures import Measure
from export.parts.part import MeasureAlone
from export.parts.real_fake import NAME, P_LIMIT, SAYS, columns_of, head_of
from export.proof.limits import Tier, gate
from export.towers.backbone_graph import backbone_export
from export.towers.bundle_tower import ListedTower
from realm_engine import Engine
from realm_engine.arrays import Array, Float32, Float64
from realm_engine.bundle.columns import Column
from realm_engine.verbs.fidelity import two_digits
from realm_train.probe.backbones import Backbone
from realm_train.probe.checkpoint import OpenedProbe, backbone_of_run, open_probe, recipe_of
from realm_train.probe.run import ProbeRun, load_run

TOWER, HEAD = "real_fake_tower", "real_fake"
PUBLISHED_SAYS = "Photograph (real) or generated (fake), as a published probe judges it: a hint, not a proof."


class ProbeTower(MeasureAlone):
    """The measure `real-fake`, of the kind "head", with a tower of its own."""

    weights = "trained"
    replaces = True
    name = f"measures.{NAME}"

    @property
    @abstractmethod
    def stem(self) -> Backbone:
        """The backbone, with its weights."""

    @property
    @abstractmethod
    def head(self) -> Graph:
        """Features to `p_fake` and `verdict`."""

    @property
    @abstractmethod
    def metrics(self) -> Mapping[str, Any]:
        """What it is worth."""

    @abstractmethod
    def measures(self) -> Mapping[str, Measure]:
        """p(fake) and a word for it. Nothing is ranked by it."""

    @abstractmethod
    def p_fake(self, features: Float32) -> Float64:
        """Of features float32 [N, F], float64 [N], without the graph."""

    @property
    def tower(self) -> ListedTower:
        """The backbone as the manifest lists it."""
        look = self.stem.look
        view = {
            "kind": "centre-crop",
            "size_px": look.size_px,
            "short_px": look.short_px,
            "interpolation": look.interpolation,
        }
        return ListedTower(TOWER, {"graph": TOWER, "output": FEATURES, "view": view})

    def graphs(self) -> Sequence[Graph]:
        """The backbone and the head."""
        return backbone_export(self.stem, TOWER, FEATURES), self.head

    def expected(self, pictures: Sequence[Array]) -> Float64:
        """p(fake) float64 [pictures], by Pillow and PyTorch."""
        return self.p_fake(self.stem.features(pictures))

    def compare(
        self, folder: Path, precision: str, pictures: Sequence[Array], expected: Float64, tier: Tier
    ) -> dict[str, float]:
        """Largest difference of the engine's p(fake) from PyTorch's, and of a batch from its pictures alone."""
        with Engine.open(folder, device="cpu", precision=precision, tuned=False) as engine:
            alone = _values(engine, pictures, 1)
            difference = float(np.abs(alone - expected).max())
            gate(f"{NAME} differs from PyTorch", difference, P_LIMIT)
            batch = [view for each in pictures[:2] for view in (each, each[:, ::-1].copy(), 255 - each)]
            together = _values(engine, batch, len(batch))
            batched = float(np.abs(together - _values(engine, batch, 1)).max())
            gate(f"{NAME} of a picture changes with the others of its batch", batched, P_LIMIT)
        return {"p_max_abs_diff": two_digits(difference), "batch_max_abs_diff": two_digits(batched)}


@dataclass(frozen=True)
class PublishedTower(ProbeTower):
    """Of a published probe: fake from p = .5 on, nothing is uncertain."""

    probe: OpenedProbe

    @property
    def stem(self) -> Backbone:
        """See `ProbeTower`."""
        return self.probe.stem

    @property
    def head(self) -> Graph:
        """See `ProbeTower`."""
        return PublishedHead(self.probe.weight, self.probe.bias, HEAD)

    @property
    def metrics(self) -> Mapping[str, Any]:
        """See `ProbeTower`."""
        return self.probe.summary

    def p_fake(self, features: Float32) -> Float64:
        """See `ProbeTower`."""
        return np.asarray(expit(features.astype(np.float64) @ self.probe.weight + self.probe.bias))

    def measures(self) -> Mapping[str, Measure]:
        """p(fake), and the word for it."""
        selected = ", its epoch chosen on test pictures" if self.probe.selected_on == "test" else ""
        meaning = f"p(generated) by a probe on {self.stem.name}{selected}; equally many of both assumed"
        number = Column(P_FAKE, P_FAKE, 0.0, 1.0, "low", meaning, decimals=4, tolerance=0.02)
        said = "fake where p(generated) is .5 or more"
        word = Column(VERDICT, VERDICT, 0.0, 1.0, "low", said, words=WORDS)
        inside = {"graph": HEAD}
        measure = Measure(
            "head", PUBLISHED_SAYS, (number,), inside, words=(word,), ranks=False, tower=self.tower
        )
        return {NAME: measure}


@dataclass(frozen=True)
class LinearTower(ProbeTower):
    """Of a linear probe on a backbone, with its band.

    Attributes:
        run: The probe.
        backbone: With the weights of the run.
        prior: Share of generated pictures where it will be used.
    """

    run: ProbeRun
    backbone: Backbone
    prior: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.prior < 1:
            raise ExportError(f"--prior {self.prior:g}: give a share between 0 and 1")

    @property
    def stem(self) -> Backbone:
        """See `ProbeTower`."""
        return self.backbone

    @cached_property
    def head(self) -> Graph:  # type: ignore[override]
        """See `ProbeTower`."""
        return head_of(self.run, self.prior)

    @property
    def metrics(self) -> Mapping[str, Any]:
        """See `ProbeTower`."""
        return {**(self.run.metrics or {}), "fitted_to": self.run.pictures, "prior": self.prior}

    def p_fake(self, features: Float32) -> Float64:
        """See `ProbeTower`."""
        return np.asarray(expit(self.run.probe.logit(features) + logit(self.prior)))

    def measures(self) -> Mapping[str, Measure]:
        """p(fake), how unlike, and the verdict."""
        columns, verdict = columns_of(head_of(self.run, self.prior), self.prior)
        inside = {"graph": HEAD}
        return {NAME: Measure("head", SAYS, columns, inside, words=(verdict,), ranks=False, tower=self.tower)}


def probe_tower(run: Path, prior: float) -> ProbeTower | None:
    """The part of a run whose probe brings its backbone; None where it stands on a bundle's trunk.

    Raises:
        ExportError: a published probe is to be shifted by a prior.
        RunError, TowerError: the run is incomplete, or its backbone is another.
    """
    recipe = recipe_of(run)
    if recipe == "published":
        if prior != 0.5:
            raise ExportError("--prior is of linear probes; a published one says what its authors' said")
        return PublishedTower(open_probe(run))
    if recipe == "core":
        return None
    return LinearTower(load_run(run), backbone_of_run(run), prior)


def _values(engine: Engine, pictures: Sequence[Array], batch_size: int) -> Float64:
    rows = engine.score(list(pictures), metrics=NAME, batch_size=batch_size)
    for row in rows:
        if row.error is not None:
            raise ExportError(f"{row.name}: {row.error}; give other photographs with --verify-images")
    return np.array([row[P_FAKE] for row in rows], dtype=np.float64)
