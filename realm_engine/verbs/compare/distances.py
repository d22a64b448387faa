"""How far each generator's pictures are from a folder of photographs, by features of the bundle's tower."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from realm_engine.arrays import Float64
from realm_engine.engine import Engine
from realm_engine.errors import UsageError
from realm_engine.pictures.find import look_for_images
from realm_engine.pictures.inputs import Entry
from realm_engine.verbs.compare.results import SetDistance
from realm_engine.verbs.compare.sources import Sources, entries_of
from realm_engine.verbs.compare.statistics.sets import frechet_distance, kernel_distance, standardised
from realm_engine.verbs.console import Console

KERNEL, FRECHET = "kd", "fd"
KINDS = (KERNEL, FRECHET)


def set_distances(
    engine: Engine, sources: Sources, reference: Path, kinds: Sequence[str], console: Console
) -> list[SetDistance]:
    """Distances of every generator from the pictures of a folder, in the order of the generators.

    Raises BundleError where no graph of the bundle gives features, ImageError without pictures in the folder, and
    UsageError where a side has too few of them.
    """
    files = look_for_images([reference]).files
    photographs = [Entry(index, file.name, file.path) for index, file in enumerate(files)]
    known = _features(engine, photographs, "reference", console)
    _check("the reference", known, kinds)
    own = standardised(known, known)
    found = []
    for generator in sources.generators:
        pictures = [picture for picture in sources.pictures if picture.generator == generator]
        features = _features(engine, entries_of(pictures), generator, console)
        _check(generator, features, kinds)
        scaled = standardised(features, known)
        for kind in kinds:
            value, deviation = (
                kernel_distance(scaled, own) if kind == KERNEL else (frechet_distance(scaled, own), None)
            )
            found.append(SetDistance(kind, generator, value, deviation, len(scaled), len(own)))
    return found


def _features(engine: Engine, entries: Sequence[Entry], what: str, console: Console) -> Float64:
    """Features of all pictures that can be read, float64 [N, D]."""
    rows = []
    with console.progress(f"features of {what}", len(entries)) as advance:
        for done, each in enumerate(engine.features(entries), start=1):
            if each.values is not None:
                rows.append(each.values)
            advance(done)
    failed = len(entries) - len(rows)
    if failed:
        console.warn(
            f"{failed} of {len(entries)} pictures of {what} cannot be read; the distance is without them"
        )
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)


def _check(who: str, features: Float64, kinds: Sequence[str]) -> None:
    if len(features) < 2:
        raise UsageError(
            f"--reference: {who} has {len(features)} pictures, a distance of sets needs two or more"
        )
    least = 2 * features.shape[1]
    if FRECHET in kinds and len(features) < least:
        raise UsageError(
            f"--set {FRECHET}: {who} has {len(features)} pictures, {least} are needed for {features.shape[1]} "
            f"features ({least - len(features)} more); --set {KERNEL} needs fewer"
        )
