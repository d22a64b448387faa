"""The tower of a bundle, whose features heads are fitted on: by the very graph that will feed them."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

import numpy as np

from realm_engine import Engine
from realm_engine.arrays import Float32
from realm_engine.measures.features import FEATURES, tower_of
from realm_engine.pictures.inputs import entries
from realm_engine.pictures.sources import ImageSource
from realm_train.errors import DataError

FP32 = "fp32"


class BundleTower:
    """A graph of a bundle that looks at pixels and gives features, in float32 on the CPU.

    Attributes:
        graph: Its name in the bundle.
        sha256: Of its file: a head that was fitted on it belongs to no other.
        width: Number of features.
    """

    def __init__(self, engine: Engine) -> None:
        bundle = engine.bundle
        measure, self.graph = tower_of(bundle, engine.contents.measures.all)
        self.name = bundle.name
        self.tower = measure.part.name
        self.sha256 = bundle.sha256(self.graph)
        output = bundle.graphs[self.graph].output(FEATURES)
        assert output is not None
        self.width = int(output.shape[-1])
        self._engine = engine

    @classmethod
    def open(cls, bundle: str, threads: int | None = None) -> Self:
        """The tower of a bundle, by its name or folder. Raises BundleError where it has none."""
        engine = Engine.open(bundle, device="cpu", precision=FP32, threads=threads, tuned=False)
        try:
            return cls(engine)
        except BaseException:
            engine.close()
            raise

    def features(self, pictures: Iterable[ImageSource]) -> Float32:
        """Features of pictures, float32 [N, width]. Raises DataError for one that has none."""
        rows = []
        for found in self._engine.features(entries(list(pictures))):
            if found.values is None:
                raise DataError(f"{found.name}: {found.error}")
            rows.append(found.values)
        return np.stack(rows) if rows else np.empty((0, self.width), np.float32)

    def close(self) -> None:
        """Close its engine."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
