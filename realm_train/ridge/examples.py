"""What a ridge learns from: the trunk of a bundle, plain statistics of pixels, or features that somebody brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from realm_engine.arrays import Float32, Float64
from realm_engine.errors import ImageError
from realm_engine.machine.files import cache_dir
from realm_engine.pictures.decode import load_image
from realm_train.bundle_tower import BundleTower
from realm_train.errors import DataError
from realm_train.features import Progress, features_of_views
from realm_train.probe.shortcuts import scene_statistics
from realm_train.ridge.ratings import Rated, Rating

TRUNK, STATISTICS = "trunk", "nss"


@dataclass(frozen=True)
class Examples:
    """N rated pictures as a ridge sees them.

    Attributes:
        names: What the table calls them.
        features: float32 [N, D].
        ratings: float64 [N].
        fitted_on: sha256 of the graph that gives the features, by its name; {} where none of a bundle's does.
    """

    names: tuple[str, ...]
    features: Float32
    ratings: Float64
    fitted_on: Mapping[str, str] = field(default_factory=dict)

    def rows(self, chosen: Sequence[int]) -> Examples:
        """Some of them."""
        names = tuple(self.names[row] for row in chosen)
        return Examples(names, self.features[list(chosen)], self.ratings[list(chosen)], self.fitted_on)


def trunk_examples(rated: Sequence[Rated], bundle: str, progress: Progress) -> Examples:
    """Features of a bundle's own trunk, which runs in the engine; those of earlier runs are kept in the cache folder.

    Raises:
        BundleError: it has no trunk that gives features.
        ImageError, DataError: a picture cannot be read.
    """
    paths = [each.path for each in rated]
    with BundleTower.open(bundle) as tower:
        found = features_of_views(
            tower, paths, {"clean": lambda pixels: [pixels]}, cache_dir() / "features", progress
        )
        return _examples(rated, found["clean"][0], {tower.graph: tower.sha256})


def statistics_examples(rated: Sequence[Rated], progress: Progress) -> Examples:
    """The 72 numbers that niqe and brisque are made of: what any learnt feature must beat. Raises ImageError."""
    rows = []
    for each in rated:
        rows.append(statistics_of(each.path))
        progress(len(rows), len(rated))
    return _examples(rated, np.stack(rows))


def statistics_of(path: Path) -> Float32:
    """Of a file, float32 [72]. Raises ImageError, which names it, where it is smaller than a block, or flat."""
    found = scene_statistics(load_image(path))
    if np.isnan(found).any():
        raise ImageError(f"{path}: too small or too flat for these statistics; leave it out")
    return found.astype(np.float32)


def brought_examples(ratings: Sequence[Rating], table: Path, features: Path, names: Path) -> Examples:
    """Features that somebody has computed, as GRepQ leaves them.

    Args:
        ratings: Rows of `table`.
        table: For errors.
        features: .npy of numbers [pictures, D].
        names: Text, a picture's name on each line, in the order of the features.

    Raises:
        DataError: they do not fit each other, or a rated picture has none.
    """
    values, listed = _read_features(features), _read_names(names)
    if len(listed) != len(values):
        raise DataError(
            f"{names}: {len(listed)} names for {len(values)} rows of {features}; give a name a row"
        )
    place = {name: row for row, name in enumerate(listed)}
    if len(place) < len(listed):
        twice = next(name for row, name in enumerate(listed) if place[name] != row)
        raise DataError(f"{names}: {twice} stands twice; keep one, and its row of {features}")
    seen: dict[str, int] = {}
    for rating in ratings:
        where = f"{table}, line {rating.line}"
        if rating.name not in place:
            raise DataError(f"{where}: {rating.name} is not in {names}; correct the name, or remove the row")
        if rating.name in seen:
            raise DataError(f"{where}: {rating.name} is rated on line {seen[rating.name]} already; keep one")
        seen[rating.name] = rating.line
    rows = [place[rating.name] for rating in ratings]
    return Examples(tuple(seen), values[rows], np.array([rating.value for rating in ratings]))


def _examples(
    rated: Sequence[Rated], features: Float32, fitted_on: Mapping[str, str] | None = None
) -> Examples:
    ratings = np.array([each.rating for each in rated])
    return Examples(tuple(each.name for each in rated), features, ratings, fitted_on or {})


def _read_features(path: Path) -> Float32:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: no .npy file of numbers ({str(error).splitlines()[0]})") from None
    if (
        not isinstance(values, np.ndarray)
        or values.ndim != 2
        or values.dtype.kind not in "fiu"
        or not values.size
    ):
        raise DataError(
            f"{path}: expected numbers [pictures, features]; save a table of floats with numpy.save"
        )
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise DataError(f"{path}: row {row + 1} holds a number that is not finite; leave that picture out")
    return values.astype(np.float32)


def _read_names(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as lines of UTF-8 ({error})") from None
