"""What makes a linear probe: settings of `realm-train probe`, kept in a run's config.json."""

from __future__ import annotations

from dataclasses import dataclass, field

from realm_train.errors import ConfigError
from realm_train.probe.nested import Choice

CORE = "core"


@dataclass(frozen=True)
class ProbeConfig:
    """A linear probe and how it is measured.

    Attributes:
        arch: What it looks with: "core", the trunk of a bundle's CORE, or a backbone's name.
        weights: Of a backbone; see `backbones.backbone`.
        views: How many views of each picture it is fitted to: the picture itself, and degraded ones.
        outer_folds: Of the cross-validation that measures it.
        seeds: How many such cross-validations.
        seed: Of folds and of degraded views.
        choice: What is chosen on inner folds.
    """

    arch: str = CORE
    weights: str = "pretrained"
    views: int = 4
    outer_folds: int = 5
    seeds: int = 5
    seed: int = 42
    choice: Choice = field(default_factory=Choice)

    def __post_init__(self) -> None:
        for name in ("views", "seeds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; give at least 1")
        if min(self.outer_folds, self.choice.folds) < 2:
            raise ConfigError("outer_folds and choice.folds are at least 2")
        if not self.choice.c or min(self.choice.c) <= 0:
            raise ConfigError("choice.c lists numbers above 0")
        if not 0 < self.choice.wrong < 0.5:
            raise ConfigError(f"choice.wrong is {self.choice.wrong}; give a share between 0 and 0.5")
        if not 50 <= self.choice.unlike_percentile <= 100:
            raise ConfigError("choice.unlike_percentile is from 50 to 100")
