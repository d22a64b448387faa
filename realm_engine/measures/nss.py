"""Natural scene statistics: from moments of local contrast to the shape of its distribution, float64.

Moments are float [..., 2 scales, 5 fields, 6]: of the contrast and of its products with its neighbours beside, below
and on both diagonals, each as n, n < 0, n > 0, sum |v|, sum v^2 below 0, sum v^2 above 0. Formulas: docs/measures.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from realm_engine.arrays import Array, Float64
from realm_engine.errors import AnswerError

SCALES, FIELDS, MOMENTS = 2, 5, 6
MOMENTS_OUTPUT = "moments"
BLOCK_PX = 96  # at the first scale, half of it at the second
BYTES_PER_PX, PUBLISHED_BYTES_PER_PX = 44, 120
"""What is held for a pixel, by the graphs (34 and 38 were measured) and by the original's arithmetic in float64."""


@dataclass(frozen=True)
class Tables:
    """Shapes alpha of generalised Gaussians, .2 to 10, and what they make of Gamma functions, each float64 [9801].

    `ratio`: Gamma(2/a)^2 / (Gamma(1/a) Gamma(3/a)), rising. `spread`: sqrt(Gamma(1/a) / Gamma(3/a)). `centre`:
    Gamma(2/a) / Gamma(1/a).
    """

    alpha: Float64
    ratio: Float64
    spread: Float64
    centre: Float64

    def nearest(self, ratio: Float64) -> Array:
        """Indices of the nearest entries of `ratio`; the upper one where two are equally near."""
        right = np.clip(np.searchsorted(self.ratio, ratio), 1, len(self.ratio) - 1)
        closer = ratio - self.ratio[right - 1] < self.ratio[right] - ratio
        return np.asarray(np.where(closer, right - 1, right))


@cache
def tables() -> Tables:
    """They are the same for all pictures."""
    alpha = np.arange(200, 10_001) / 1000
    one, two, three = (np.array([math.lgamma(k / a) for a in alpha]) for k in (1, 2, 3))
    return Tables(alpha, np.exp(2 * two - one - three), np.exp((one - three) / 2), np.exp(two - one))


@dataclass(frozen=True)
class Asymmetric:
    """Asymmetric generalised Gaussians: their shapes, and root mean squares below and above 0, each float64 [...].

    `spread`, `centre`: see `Tables`. All are NaN where no value is below 0, or none above.
    """

    alpha: Float64
    left: Float64
    right: Float64
    spread: Float64
    centre: Float64

    @property
    def skew(self) -> Float64:
        """The mean of the distribution in units of its spread: (right - left) Gamma(2/a) / Gamma(1/a)."""
        return (self.right - self.left) * self.centre


def asymmetric(moments: Array) -> Asymmetric:
    """The distributions of fields with these moments [..., 6]."""
    n, below, above, total, low, high = np.moveaxis(np.asarray(moments, dtype=np.float64), -1, 0)
    both = (below > 0) & (above > 0) & (low > 0) & (high > 0)
    below, above, low, high, total = (np.where(both, x, 1.0) for x in (below, above, low, high, total))
    left, right = np.sqrt(low / below), np.sqrt(high / above)
    ratio = left / right
    size = (total / n) ** 2 / ((low + high) / n)
    found = tables()
    shape = found.nearest(size * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2)
    parts = (found.alpha[shape], left, right, found.spread[shape], found.centre[shape])
    return Asymmetric(*(np.where(both, part, np.nan) for part in parts))


def checked(moments: Array, rank: int) -> Array:
    """Moments of a graph, of that rank. Raises AnswerError for another shape."""
    if moments.ndim != rank or moments.shape[-3:] != (SCALES, FIELDS, MOMENTS):
        raise AnswerError(f"its graph answered {list(moments.shape)}, which are no moments; export it again")
    return moments
