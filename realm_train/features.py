"""Features of many pictures and of views of them, computed once: a killed run goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from realm_engine.arrays import Float32, UInt8
from realm_engine.machine.files import sha256_of
from realm_engine.pictures.decode import load_image
from realm_engine.pictures.sources import ImageSource
from realm_train.runs import replacing

CHUNK = 32  # pictures a file
Views = Callable[[UInt8], Sequence[UInt8]]
"""The views of a picture: uint8 RGB (H, W, 3) to as many of these for every picture, of any sizes."""
Progress = Callable[[int, int], None]


class Tower(Protocol):
    """What sees pictures."""

    @property
    def sha256(self) -> str:
        """Which it is."""

    @property
    def width(self) -> int:
        """Number of features."""

    def features(self, pictures: Iterable[ImageSource]) -> Float32:
        """float32 [N, width]."""


def features_of_views(
    tower: Tower,
    paths: Sequence[Path],
    views: Mapping[str, Views],
    cache: Path,
    progress: Progress = lambda done, total: None,
) -> dict[str, Float32]:
    """What a tower sees in views of pictures.

    Args:
        tower: It.
        paths: The pictures.
        views: Kinds of views by a name that says all about them, with their seed: a name is what is looked up.
        cache: Folder that features are kept in; those of other pictures, towers and views may lie there as well.
        progress: Told how many pictures are done, and of how many.

    Returns:
        By kind float32 [views, N, width].

    Raises:
        DataError, ImageError: a picture cannot be read.
    """
    digests = [sha256_of(path) for path in paths]
    found: dict[str, list[Float32]] = {name: [] for name in views}
    cache.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(paths), CHUNK):
        part = slice(start, start + CHUNK)
        for name, make in views.items():
            key = hashlib.sha256("\n".join([tower.sha256, name, *digests[part]]).encode()).hexdigest()
            file = cache / f"{key[:32]}.npy"
            if not file.is_file():
                _compute(tower, paths[part], make, file)
            found[name].append(np.load(file, allow_pickle=False))
        progress(min(start + CHUNK, len(paths)), len(paths))
    return {name: np.concatenate(parts, axis=1) for name, parts in found.items()}


def _compute(tower: Tower, paths: Sequence[Path], make: Views, file: Path) -> None:
    """Write the features of the views of some pictures, float32 [views, pictures, width]."""
    rows = [tower.features(make(load_image(path))) for path in paths]
    with replacing(file) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.stack(rows, axis=1), allow_pickle=False)
