"""The scale of a map: how similar windows of untouched photographs are to a text, and from where on one stands out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from realm_engine.arrays import Float32, Float64
from realm_engine.errors import BundleError
from realm_engine.maps.encoders import MOST_COSINE
from realm_engine.maps.spec import PHOTOGRAPHS, PhotographsSpec
from realm_engine.runtimes.base import Session

# Of the threshold: where colours begin on a map that stands out, and what the strongest stands for at least.
REAL_END, UNREAL_END = 0.5, 1.25
# What a twentieth of a map exceeds: the highest z alone follows one window, and tells flawed from clean less often.
HIGH_PERCENTILE = 95.0
LEAST_STD = 1e-6  # of cosines: less is float32's own rounding


@dataclass(frozen=True)
class Photographs:
    """Similarity of a map's texts to windows of untouched photographs, and the `z_high` that few of these reach.

    `mean`, `std`: means over the map's texts and window sizes. `threshold`: None where it was not measured for how
    this map was made.
    """

    mean: float
    std: float
    threshold: float | None = None

    def z(self, realness: Float32) -> Float32:
        """z-scores of realness (1 - cosine): how many standard deviations less real than photographs."""
        return np.asarray((1.0 - realness.astype(np.float64) - self.mean) / self.std, dtype=np.float32)

    def similarity(self, z: float) -> float:
        """The similarity that has a z-score."""
        return self.mean + self.std * z


class PhotographGraph:
    """The graph `photographs` of a bundle. Does not own its session."""

    def __init__(self, spec: PhotographsSpec, session: Callable[[], Session]) -> None:
        self._spec = spec
        self._session = session

    def knows(self, encoder: str, windows_px: Sequence[int]) -> bool:
        """Whether windows of all these sizes were measured, by this encoder."""
        return encoder == self._spec.encoder and set(windows_px) <= set(self._spec.windows_px)

    def scale(self, embeddings: Float32, windows_px: Sequence[int]) -> tuple[Float64, Float64]:
        """Mean and standard deviation of similarity, each float64 (K,), of texts (K, D): means over window sizes.

        Raises DeviceError, AnswerError, and BundleError where they are none of cosines.
        """
        means, stds = self._session().run({"text": embeddings}, ["mean", "std"])
        if not (np.abs(means) <= MOST_COSINE).all():
            raise BundleError(f"graph {PHOTOGRAPHS!r}: a mean is no cosine; export the bundle again")
        if not ((stds >= LEAST_STD) & (stds <= MOST_COSINE)).all():
            raise BundleError(
                f"graph {PHOTOGRAPHS!r}: a standard deviation is not above 0, or none of cosines; export it again"
            )
        sizes = [self._spec.windows_px.index(size) for size in windows_px]
        return (
            means[:, sizes].mean(axis=1, dtype=np.float64),
            stds[:, sizes].mean(axis=1, dtype=np.float64),
        )
