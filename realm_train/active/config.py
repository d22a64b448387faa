"""Settings of active learning, kept in a run's config.json."""

from __future__ import annotations

from dataclasses import dataclass

from realm_train.active.acquisitions import ACQUISITIONS
from realm_train.active.passes import KINDS
from realm_train.errors import ConfigError

DEFAULT, PUBLISHED = "default", "published"


@dataclass(frozen=True)
class QueryConfig:
    """How pictures are chosen.

    Attributes:
        acquisition: Of `ACQUISITIONS`.
        passes: Where the stochastic answers come from: "bootstrap", "views" or "dropout".
        count: How many of them, T.
        subset: Of how many pictures, drawn at random, the best are taken.
        balanced: Half of each query is predicted fake, and half real.
        c: Inverse strength of the heads' L2 penalty, fixed: what `realm-train probe` chooses among 1e-4 to 10 by
            cross-validation, few labels cannot tell.
        seed: Of every draw.
    """

    acquisition: str = "max-entropy"
    passes: str = "bootstrap"
    count: int = 10
    subset: int = 10_000
    balanced: bool = False
    c: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if self.acquisition not in ACQUISITIONS:
            raise ConfigError(f"acquisition {self.acquisition!r}: choose one of {', '.join(ACQUISITIONS)}")
        if self.passes not in KINDS:
            raise ConfigError(f"passes {self.passes!r}: choose one of {', '.join(KINDS)}")
        for name in ("count", "subset"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; give at least 1")
        if self.c <= 0 or self.seed < 0:
            raise ConfigError("c is above 0, and seed is 0 or above")


@dataclass(frozen=True)
class SimulationConfig:
    """How acquisitions are compared where all labels are known.

    Attributes:
        acquisitions: Which, by name.
        folds: Of each seed's cross-validation, whose held-out pictures test.
        seeds: How many of those.
        start: Labels that a run begins with, half of each kind.
        query: Labels a round.
        most: Labels at the end.
        profile: "default", or "published" with the defects of the published code.
        weighted: "published": what was queried weighs 1 to 8 in the loss.
        decay: Of these weights, an epoch.
        choose: How pictures are chosen; its acquisition is not read, its seed is the first.
        warm_up: "published": epochs on the first labels.
        epochs: "published": epochs of a later round.
    """

    acquisitions: tuple[str, ...] = tuple(ACQUISITIONS)
    folds: int = 5
    seeds: int = 10
    start: int = 20
    query: int = 20
    most: int = 400
    profile: str = DEFAULT
    weighted: bool = False
    decay: float = 0.75
    choose: QueryConfig = QueryConfig()
    warm_up: int = 30
    epochs: int = 30

    def __post_init__(self) -> None:
        for name in self.acquisitions:
            if name not in ACQUISITIONS:
                raise ConfigError(f"acquisition {name!r}: choose from {', '.join(ACQUISITIONS)}")
        if not self.acquisitions or self.profile not in (DEFAULT, PUBLISHED):
            raise ConfigError(f"name an acquisition, and a profile {DEFAULT!r} or {PUBLISHED!r}")
        if self.folds < 2 or self.start < 2 or self.start % 2:
            raise ConfigError(
                "folds are at least 2, and the start is an even number of labels, half of each kind"
            )
        if min(self.seeds, self.query, self.warm_up, self.epochs) < 1 or self.most < self.start:
            raise ConfigError("seeds, query, warm_up and epochs are at least 1, and most is not below start")
        if self.weighted and self.profile != PUBLISHED:
            raise ConfigError(
                "weighted: only the published profile trains in epochs; add --profile published"
            )
        if not 0 < self.decay <= 1:
            raise ConfigError(f"decay is {self.decay}; give a number above 0, at most 1")


def simulation_config(
    acquisitions: tuple[str, ...], profile: str, balanced: bool, weighted: bool
) -> SimulationConfig:
    """The settings of a profile; the published passes differ by the view of the picture alone."""
    passes = "views" if profile == PUBLISHED else "bootstrap"
    choose = QueryConfig(passes=passes, balanced=balanced)
    return SimulationConfig(acquisitions, profile=profile, weighted=weighted, choose=choose)
