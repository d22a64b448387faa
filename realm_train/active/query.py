"""Which pictures are asked about, given how much each would teach."""

from __future__ import annotations

import numpy as np

from realm_engine.arrays import Bool, Float64, Int64


def highest(u: Float64, count: int) -> Int64:
    """Places of the `count` highest of [N], the highest first, ties by place."""
    return np.argsort(-u, kind="stable")[:count]


def highest_balanced(u: Float64, predicted_fake: Bool, count: int) -> Int64:
    """The same with half of them predicted fake and half real; where there are too few of one, the other fills up."""
    order = highest(u, len(u))
    fake, real = order[predicted_fake[order]], order[~predicted_fake[order]]
    of_fake = min(len(fake), max(count // 2, count - len(real)))
    chosen = np.concatenate([fake[:of_fake], real[: count - of_fake]])
    return np.asarray(chosen[highest(u[chosen], len(chosen))])


def published_balanced(u: Float64, fake: Bool, count: int) -> Int64:
    """The published balanced query, with its defect: places in the pictures of one label are taken for places in all.

    `fake`: the true labels, which nobody has given yet. A place that both labels give is asked once, so that fewer than
    `count` may come back.
    """
    half = count // 2
    places = np.concatenate([highest(u[~fake], half), highest(u[fake], half)])
    return np.unique(places)
