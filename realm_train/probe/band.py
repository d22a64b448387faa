"""Where a probe says nothing: the band of p between its verdicts, so that few of each label are called wrongly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from realm_engine.arrays import Bool, Float64, Int64

VERDICTS = ("real", "uncertain", "fake")
REAL, UNCERTAIN, FAKE = range(3)
LEAST_OF_SOURCE = 20  # pictures, of which a share of 5 % is one


@dataclass(frozen=True)
class Band:
    """`real` where p <= `real_below`, `fake` where p >= `fake_above`, otherwise `uncertain`.

    Always uncertain where a picture is further from what was seen than `unlike_above`.
    """

    real_below: float
    fake_above: float
    unlike_above: float

    def __post_init__(self) -> None:
        if not self.real_below <= self.fake_above:
            raise ValueError(f"a band from {self.real_below} to {self.fake_above} is none")

    def verdicts(self, p: Float64, unlike: Float64) -> Int64:
        """Places in `VERDICTS`, int64 of p's shape."""
        called = np.where(p >= self.fake_above, FAKE, np.where(p <= self.real_below, REAL, UNCERTAIN))
        return np.asarray(np.where(unlike > self.unlike_above, UNCERTAIN, called), dtype=np.int64)


def choose_band(p: Float64, fake: Bool, sources: Sequence[str], wrong: float, unlike_above: float) -> Band:
    """The narrowest band that calls at most a share `wrong` of the pictures of any source wrongly.

    By source, because one with many easy pictures would pay for errors in another.

    Args:
        p: float64 [..., N], of pictures that the probe had not seen, in every view that counts.
        fake: bool [N], both labels among them.
        sources: N of them; a source is looked at for each label, with others of its label where it is small.
        wrong: The share, 0 to below 1, over all views together.
        unlike_above: See `Band`.
    """
    real_below = min(_limit(p[..., rows], wrong) for rows in _by_source(sources, fake))
    fake_above = 1.0 - min(_limit(1.0 - p[..., rows], wrong) for rows in _by_source(sources, ~fake))
    if real_below > fake_above:  # so well are both told apart that no picture need be uncertain
        real_below = fake_above = (real_below + fake_above) / 2
    return Band(real_below, fake_above, unlike_above)


def _by_source(sources: Sequence[str], of_label: Bool) -> list[Int64]:
    """Rows of a label, source by source; those of small sources together, and where these are few with all others."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row in map(int, np.flatnonzero(of_label)):
        rows[sources[row]].append(row)
    large = [np.array(own) for own in rows.values() if len(own) >= LEAST_OF_SOURCE]
    small = np.array([row for own in rows.values() if len(own) < LEAST_OF_SOURCE for row in own], np.int64)
    if not large or len(small) >= LEAST_OF_SOURCE:
        return [*large, small]
    return large


def _limit(p: Float64, wrong: float) -> float:
    """A number that at most a share `wrong` of p lie at or below: half way to the first that must not."""
    rising = np.sort(p, axis=None)
    allowed = int(wrong * len(rising))
    below = rising[allowed - 1] if allowed else 0.0
    first = rising[allowed]
    # Numbers that are equal cannot be told apart: then none of them is at or below.
    return float((below + first) / 2) if below < first else float(np.nextafter(first, -np.inf))


@dataclass(frozen=True)
class Calls:
    """Shares of pictures with a band: called wrongly of each label, and uncertain of all."""

    real_called_fake: float
    fake_called_real: float
    uncertain: float

    @classmethod
    def of(cls, verdicts: Int64, fake: Bool) -> Calls:
        """Of verdicts [..., N] of pictures whose label is known, bool [N]; NaN where there are none of a label."""

        def share(which: Bool, verdict: int) -> float:
            of_label = verdicts[..., which]
            return float((of_label == verdict).mean()) if of_label.size else float("nan")

        return cls(share(~fake, FAKE), share(fake, REAL), float((verdicts == UNCERTAIN).mean()))
