"""Active learning where all labels are known: how good a probe becomes with which acquisition, and how soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from realm_engine.arrays import Bool, Float32, Int64
from realm_train.active.config import PUBLISHED, SimulationConfig
from realm_train.active.learner import Learner, Refitted
from realm_train.active.published import Continued
from realm_train.errors import DataError
from realm_train.splits import Split


@dataclass(frozen=True)
class Trajectory:
    """One run: after how many labels what the probe is worth on the pictures that were held out.

    Attributes:
        acquisition: By name.
        labels: int [rounds].
        auc: float64 [rounds].
        balanced_accuracy: Likewise, at p = .5.
    """

    acquisition: str
    labels: tuple[int, ...]
    auc: tuple[float, ...]
    balanced_accuracy: tuple[float, ...]

    @property
    def area(self) -> float:
        """Mean AUC over the labels that were spent: the area under the curve, by trapezoids, over its width."""
        if len(self.labels) == 1:
            return self.auc[0]
        return float(np.trapezoid(self.auc, self.labels) / (self.labels[-1] - self.labels[0]))


@dataclass(frozen=True)
class Cell:
    """One fold of one seed: its number of both, and the rows to learn from and to test on."""

    seed: int
    fold: int
    split: Split


def cells(config: SimulationConfig, folds: Callable[[int], Sequence[Split]]) -> Iterator[Cell]:
    """Every fold of every seed; `folds` splits by a seed."""
    for seed in range(config.choose.seed, config.choose.seed + config.seeds):
        for fold, split in enumerate(folds(seed)):
            yield Cell(seed, fold, split)


def run_cell(features: Float32, fake: Bool, cell: Cell, config: SimulationConfig) -> list[Trajectory]:
    """A trajectory of every acquisition, all from the same first labels.

    Args:
        features: [1 + views, N, F] of all pictures.
        fake: bool [N].
        cell: Which of them are the pool, and which test.
        config: Everything else.

    Raises:
        DataError: the pool has fewer pictures of a label than the start takes.
    """
    pool, test = np.array(cell.split.train), np.array(cell.split.validation)
    first = first_rows(fake[pool], config.start, np.random.default_rng((cell.seed, cell.fold)))
    found = []
    for acquisition in config.acquisitions:
        learner = _learner(features[:, pool], fake[pool], acquisition, cell, config)
        found.append(
            _trajectory(learner, acquisition, first, len(pool), features[0, test], fake[test], cell, config)
        )
    return found


def first_rows(fake: Bool, count: int, generator: np.random.Generator) -> Int64:
    """Rows to begin with, half of each label, none twice. Raises DataError where there are too few."""
    chosen = []
    for label, word in ((False, "real"), (True, "fake")):
        rows = np.flatnonzero(fake == label)
        if len(rows) < count // 2:
            raise DataError(
                f"a fold has {len(rows)} {word} pictures, the start takes {count // 2}; make it smaller"
            )
        chosen.append(generator.choice(rows, count // 2, replace=False))
    return np.concatenate(chosen)


def _learner(
    features: Float32, fake: Bool, acquisition: str, cell: Cell, config: SimulationConfig
) -> Learner:
    seed = (cell.seed, cell.fold, 1)
    if config.profile == PUBLISHED:
        return Continued(features, fake, acquisition, config, np.random.default_rng(seed))
    return Refitted(features, fake, acquisition, config.choose, seed)


def _trajectory(
    learner: Learner,
    acquisition: str,
    first: Int64,
    pool: int,
    test: Float32,
    fake: Bool,
    cell: Cell,
    config: SimulationConfig,
) -> Trajectory:
    labelled, generator = first, np.random.default_rng((cell.seed, cell.fold, 2))
    counts, aucs, accuracies = [], [], []
    while True:
        learner.learn(labelled)
        p = learner.p_fake(test)
        counts.append(len(labelled))
        aucs.append(float(roc_auc_score(fake, p)))
        accuracies.append(float(balanced_accuracy_score(fake, p > 0.5)))
        left = np.setdiff1d(np.arange(pool), labelled)
        wanted = min(config.query, config.most - len(labelled), len(left))
        if wanted < 1:
            return Trajectory(acquisition, tuple(counts), tuple(aucs), tuple(accuracies))
        labelled = np.concatenate([labelled, learner.choose(left, wanted, generator)])
