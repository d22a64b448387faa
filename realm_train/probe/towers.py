"""What a linear probe looks with: the trunk of a bundle's CORE, or a backbone of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from realm_engine.arrays import Array
from realm_train.bundle_tower import BundleTower
from realm_train.features import Tower
from realm_train.probe.checkpoint import BACKBONE
from realm_train.probe.config import CORE, ProbeConfig


@dataclass(frozen=True)
class OpenedTower:
    """A tower, what a run says of it (with "sha256"), and the weights that no bundle holds, by their name in a run."""

    tower: Tower
    facts: dict[str, str]
    weights: Mapping[str, Array] = field(default_factory=dict)


@contextmanager
def opened_tower(config: ProbeConfig, bundle: str) -> Iterator[OpenedTower]:
    """The tower of a configuration; `bundle`: name or folder of the one whose trunk "core" is.

    Raises:
        BundleError: the bundle has no trunk.
        TowerError: see `backbones.backbone`.
    """
    if config.arch == CORE:
        with BundleTower.open(bundle) as tower:
            facts = {"bundle": tower.name, "tower": tower.tower, "graph": tower.graph, "sha256": tower.sha256}
            yield OpenedTower(tower, facts)
        return
    from realm_train.probe.backbones import backbone  # torch, which a bundle's trunk does without

    stem = backbone(config.arch, config.weights)
    facts = {"backbone": config.arch, "weights": config.weights, "sha256": stem.sha256}
    weights = {BACKBONE + key: value.cpu().numpy() for key, value in stem.network.state_dict().items()}
    yield OpenedTower(stem, facts, weights)
