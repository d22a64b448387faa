"""A probe as a head on features that a bundle has already (`realm-train probe`): photograph or generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from export.errors import ExportError
from export.graph.linear_map import STAGE, ContributionMap
from export.graph.model import Graph
from export.graph.probe_head import P_FAKE, UNLIKE, VERDICT, ProbeHead
from export.measures import Measure
from export.parts.part import MeasureAlone
from export.proof.limits import Tier, gate
from export.towers.bundle_tower import ListedTower, check_fitted_on, listed_tower
from realm_engine import Engine
from realm_engine.arrays import Array, Float64
from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.columns import Column
from realm_engine.verbs.fidelity import two_digits
from realm_train.bundle_tower import BundleTower
from realm_train.probe.band import VERDICTS
from realm_train.probe.run import ProbeRun

NAME, HEAD, MAP = "real-fake", "real_fake", "real_fake_map"
SAYS = (
    "Is it a photograph or generated, to a probe that knows few cameras and generators: a hint, not a proof."
)
P_LIMIT = 1e-3  # of the same features: only float32's last bits may differ
TOWER_LIMIT = 0.02  # how far a lower precision of the tower may move p
LOGIT_LIMIT = 1e-3  # between the logit and the sum of its map
UNLIKE_HIGH = 5.0


def head_of(run: ProbeRun, prior: float) -> ProbeHead:
    """The head of a probe where a share `prior` of pictures is generated; verdicts are those of equal shares."""
    probe, band = run.probe, run.band
    shift = float(logit(prior))
    return ProbeHead(
        HEAD,
        probe.mean,
        probe.std,
        probe.weight / probe.temperature,
        probe.bias / probe.temperature + shift,
        float(expit(logit(band.real_below) + shift)),
        float(expit(logit(band.fake_above) + shift)),
        band.unlike_above,
    )


def columns_of(head: ProbeHead, prior: float) -> tuple[tuple[Column, Column], Column]:
    """p(fake) and how unlike, and the verdict."""
    columns = (
        Column(
            "p_fake", P_FAKE, 0.0, 1.0, "low",
            f"probability that it is generated, where a share of {prior:g} is", None, 4, TOWER_LIMIT,
        ),
        Column(
            f"{HEAD}_unlike", UNLIKE, 0.0, UNLIKE_HIGH, "low",
            "how far its features are from all that the probe was fitted to, 1 on average", None, 3,
            flag_above=head.unlike_above,
        ),
    )  # fmt: skip
    verdict = Column(
        "verdict",
        VERDICT,
        0.0,
        len(VERDICTS) - 1.0,
        "low",
        f"real to p {head.real_below:.2f}, fake from {head.fake_above:.2f}, uncertain between and where "
        "it is unlike all that was seen",
        words=VERDICTS,
    )
    return columns, verdict


@dataclass(frozen=True)
class RealFake(MeasureAlone):
    """The measure `real-fake`, of the kind "head", with its exact map.

    Attributes:
        run: The probe.
        bundle: Whose tower it was fitted on, and which it goes into.
        prior: Share of generated pictures where it will be used; .5 is what its p are for otherwise.
    """

    run: ProbeRun
    bundle: Bundle
    prior: float = 0.5

    weights = "trained"
    replaces = True
    name = f"measures.{NAME}"

    def __post_init__(self) -> None:
        if not 0 < self.prior < 1:
            raise ExportError(f"--prior {self.prior:g}: give a share between 0 and 1")
        fitted_on = {self.run.tower["graph"]: self.run.tower["sha256"]}
        check_fitted_on(NAME, fitted_on, self.bundle, self.tower.graph, "realm-train probe")

    @cached_property
    def tower(self) -> ListedTower:
        """What gives it features."""
        return listed_tower(self.bundle)

    @cached_property
    def head(self) -> ProbeHead:
        """The probe for its prior; verdicts are those of equal priors."""
        return head_of(self.run, self.prior)

    @cached_property
    def map(self) -> ContributionMap:
        """Where its logit comes from, counted from an average training picture."""
        graph = self.bundle.graphs[self.tower.graph]
        shown = [output for output in graph.outputs if output.name.startswith(STAGE)]
        first = int(shown[0].name.removeprefix(STAGE))
        stages = [(int(c), int(h), int(w)) for _, c, h, w in (stage.shape for stage in shown)]
        weights, bias = self.run.probe.folded(self.prior)
        return ContributionMap(MAP, weights, bias, tuple(stages), self.run.probe.mean, first)

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What it is worth: nested cross-validation, and what it was fitted to."""
        return {**(self.run.metrics or {}), "fitted_to": self.run.pictures, "prior": self.prior}

    def graphs(self) -> Sequence[Graph]:
        """The head and its map."""
        return self.head, self.map

    def measures(self) -> Mapping[str, Measure]:
        """Itself."""
        columns, verdict = columns_of(self.head, self.prior)
        inside = {
            "graph": HEAD,
            "fitted_on": {self.tower.graph: self.run.tower["sha256"]},
            "map": {
                "graph": MAP,
                "stages": [port.name for port in self.map.inputs],
                "speaks_for": "fake",
            },
        }
        return {NAME: Measure("head", SAYS, columns, inside, words=(verdict,), ranks=False, tower=self.tower)}

    def expected(self, pictures: Sequence[Array]) -> Float64:
        """p float64 [pictures]: the probe as it was fitted, on features of the bundle that there was."""
        with BundleTower.open(str(self.bundle.root)) as tower:
            features = tower.features(pictures)
        return np.asarray(expit(self.run.probe.logit(features) + logit(self.prior)))

    def compare(
        self, folder: Path, precision: str, pictures: Sequence[Array], expected: Float64, tier: Tier
    ) -> dict[str, float]:
        """Largest differences of p from `expected`, with every precision of the tower, and of maps from their logit."""
        with Engine.open(folder, device="cpu", precision=precision, tuned=False) as engine:
            exact = float(np.abs(_p(engine, pictures) - expected).max())
            gate(f"{NAME} differs from float64", exact, P_LIMIT)
            left_over = 0.0
            for picture in pictures:
                made = engine.map(picture, metric=NAME)
                total = made.bias + float(made.values.sum(dtype=np.float64))
                left_over = max(
                    left_over, abs(total - made.logit), abs(expit(made.logit) - _p(engine, [picture])[0])
                )
            gate(f"the map of {NAME} does not add up to its logit", left_over, LOGIT_LIMIT)
        found = {"p_max_abs_diff": two_digits(exact), "map_left_over": two_digits(left_over)}
        for lower in sorted(set(self.bundle.graphs[self.tower.graph].variants) - {precision, "bf16"}):
            with Engine.open(folder, device="cpu", precision=lower, tuned=False) as engine:
                moved = float(np.abs(_p(engine, pictures) - expected).max())
            gate(f"{NAME} with the tower in {lower}", moved, TOWER_LIMIT)
            found[f"p_{lower}_max_abs_diff"] = two_digits(moved)
        return found


def _p(engine: Engine, pictures: Sequence[Array]) -> Float64:
    rows = engine.score(list(pictures), metrics=NAME)
    for row in rows:
        if row.error is not None:
            raise ExportError(f"{row.name}: {row.error}; give other photographs with --verify-images")
    return np.array([row["p_fake"] for row in rows], dtype=np.float64)
