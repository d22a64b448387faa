"""A pool that a person labels: its run folder, the next query, and what was answered.

    config.json    a PoolConfig: where the pool lies, which tower saw it, how queries are chosen
    pool.json      the pictures' names, in the order of the features
    features.npy   float32 [1 + views, N, F]
    labels.csv     what is labelled so far; a data set for realm-train probe

A query is a function of the configuration and of the labels: asked again, after a kill or on another day, it is the
same, and nothing needs to be written for that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from realm_engine.arrays import Bool, Float32
from realm_train.active.acquisitions import ACQUISITIONS
from realm_train.active.config import QueryConfig
from realm_train.active.labels import FAKE, REAL, read_labels
from realm_train.active.passes import answers, fit_with_passes
from realm_train.active.query import highest, highest_balanced
from realm_train.errors import ConfigError, DataError, RunError
from realm_train.runs import RunFolder

SOURCE = "pool"
LABELS = "labels.csv"
FEATURES = "features.npy"
NAMES = "pool.json"


@dataclass(frozen=True)
class PoolConfig:
    """A pool and how its pictures are chosen.

    Attributes:
        pool: The folder.
        bundle: Whose trunk saw it.
        tower: sha256 of that graph.
        choose: How a query is made.
    """

    pool: str
    bundle: str
    tower: str
    choose: QueryConfig = field(default_factory=QueryConfig)

    def __post_init__(self) -> None:
        if ACQUISITIONS[self.choose.acquisition].loss:
            raise ConfigError(
                f"acquisition {self.choose.acquisition!r}: the loss needs labels that nobody has given; "
                "only realm-train active simulate has them"
            )


@dataclass(frozen=True)
class Query:
    """Pictures to label, by their names in the pool; `by_chance`: there are no labels of both kinds to choose by."""

    names: tuple[str, ...]
    by_chance: bool = False


class Pool:
    """An opened run folder of a pool."""

    def __init__(self, path: Path) -> None:
        """Raises RunError, ConfigError where the folder is no such run, or not complete."""
        self.run = RunFolder(path)
        self.config = self.run.read_config(PoolConfig)
        if not (path / NAMES).is_file():
            raise RunError(
                f"{path}: its start did not come to an end; go on with realm-train active start --resume"
            )
        try:
            self.names = tuple(map(str, self.run.read_json(NAMES)["names"]))
            self.features: Float32 = np.load(path / FEATURES, allow_pickle=False, mmap_mode="r")
            if self.features.ndim != 3 or self.features.shape[1] != len(self.names):
                raise ValueError(f"features {self.features.shape} of {len(self.names)} pictures")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: not a complete pool ({error}); start it again with --resume") from None
        self.labels = read_labels(path / LABELS, self.names, {}).by_name if (path / LABELS).is_file() else {}

    def path(self, name: str) -> Path:
        """File of a picture."""
        return Path(self.config.pool) / name

    def query(self, count: int) -> Query:
        """The next pictures to label. Raises DataError where none is left."""
        left = np.array(
            [row for row, name in enumerate(self.names) if name not in self.labels], dtype=np.int64
        )
        if not len(left):
            raise DataError(f"{self.run.path}: all {len(self.names)} pictures of the pool are labelled")
        choose = self.config.choose
        rows, fake = self.labelled()
        generator = np.random.default_rng((choose.seed, len(rows)))
        among = generator.permutation(left)[: choose.subset]
        acquisition = ACQUISITIONS[choose.acquisition]
        by_chance = len(set(fake)) < 2
        if by_chance or acquisition.uncertainty is None:
            return Query(tuple(self.names[row] for row in among[:count]), by_chance)
        heads = fit_with_passes(
            self.features[0, rows], fake, choose.passes, choose.count, choose.c, generator
        )
        p = answers(heads, np.asarray(self.features[:, among]), choose.passes, choose.count, generator)
        u = acquisition.score(p)
        places = highest_balanced(u, p.mean(axis=0) > 0.5, count) if choose.balanced else highest(u, count)
        return Query(tuple(self.names[row] for row in among[places]))

    def labelled(self) -> tuple[Sequence[int], Bool]:
        """Rows with a label, in the pool's order, and which of them are fake."""
        rows = [row for row, name in enumerate(self.names) if name in self.labels]
        return rows, np.array([self.labels[self.names[row]] == FAKE for row in rows], dtype=bool)

    def add(self, labels: Mapping[str, str]) -> None:
        """Remember labels, "real" or "fake" by name. Raises RunError where they cannot be written."""
        self.labels = {**self.labels, **labels}
        # Relative to this folder, as the data of realm-train probe are relative to their table.
        rows = [
            {
                "filename": Path(os.path.relpath(self.path(name), self.run.path)).as_posix(),
                "label": self.labels[name],
                "source": SOURCE,
                "name": name,
            }
            for name in self.names
            if name in self.labels
        ]
        self.run.write_csv(LABELS, rows)

    def counts(self) -> tuple[int, int]:
        """How many labels are real, and how many fake."""
        found = list(self.labels.values())
        return found.count(REAL), found.count(FAKE)
