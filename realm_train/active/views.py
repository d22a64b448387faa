"""The views of a picture that a run needs: the picture, and behind it those by which passes differ."""

from __future__ import annotations

from functools import partial

from realm_engine.arrays import UInt8
from realm_train.active.config import DEFAULT, PUBLISHED, QueryConfig
from realm_train.features import Views
from realm_train.probe.views import degraded, generator_of, published_training_view


def views_of(choose: QueryConfig, profile: str = DEFAULT) -> tuple[str, Views]:
    """A name that says all about them, and the views."""
    if choose.passes != "views":
        return "active, the picture", lambda pixels: [pixels]
    make = partial(_with_passes, count=choose.count, seed=choose.seed, published=profile == PUBLISHED)
    return f"active, {profile}, {choose.count} passes, seed {choose.seed}", make


def _with_passes(pixels: UInt8, count: int, seed: int, published: bool) -> list[UInt8]:
    change = published_training_view if published else degraded
    return [pixels, *(change(pixels, generator_of(pixels, seed, view)) for view in range(1, count + 1))]
