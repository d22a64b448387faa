"""BRISQUE: does a picture look noisy, blurred or compressed to people (Mittal et al., 2012)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from realm_engine.arrays import Array, Float64
from realm_engine.bundle.bundle import Bundle, Part
from realm_engine.bundle.columns import parse_columns
from realm_engine.bundle.manifest import Section
from realm_engine.errors import BundleError, ImageError
from realm_engine.measures.contrast import moments_of_whole
from realm_engine.measures.look import Look, View
from realm_engine.measures.measure import (
    Measure,
    Reading,
    Words,
    listed_profiles,
    only_output,
    required_outputs,
)
from realm_engine.measures.nss import (
    BYTES_PER_PX,
    MOMENTS_OUTPUT,
    PUBLISHED_BYTES_PER_PX,
    SCALES,
    asymmetric,
    checked,
    tables,
)
from realm_engine.measures.profiles import PUBLISHED

FEATURES = 36
VALUE = "brisque"


def features(moments: Array) -> Float64:
    """Of a picture with these moments [2, 5, 6]: float64 [36].

    Raises ImageError where its contrast, or a product of neighbours, is of one sign.
    """
    n, _, _, total, low, high = np.asarray(moments[:, 0], dtype=np.float64).T
    square = (low + high) / n
    found = asymmetric(moments[:, 1:])
    if not square.all() or np.isnan(found.alpha).any():
        raise ImageError("no contrast below and above its mean; the image is flat or tiny")
    # The table's reciprocal falls, and the nearest of reciprocals counts, as in the original.
    alpha, reciprocal = tables().alpha, 1 / tables().ratio
    shapes = alpha[[int(np.argmin(np.abs(reciprocal - each))) for each in square / (total / n) ** 2]]
    own = np.stack([shapes, square], axis=-1)  # [2, 2]
    beside = np.stack(
        [found.alpha, found.skew * found.spread, found.left**2, found.right**2], axis=-1
    )  # [2, 4, 4]
    return np.asarray(np.concatenate([own, beside.reshape(SCALES, -1)], axis=-1).reshape(FEATURES))


def open_brisque(bundle: Bundle, name: str, section: Section) -> Measure:
    """The measure of kind "brisque" that a bundle lists. Raises BundleError."""
    words = Words.parse(section, parse_columns(section))
    only_output(words.columns, VALUE, section.where)
    graph, view = section.get("graph", str), View.parse(section.section("view"))
    required_outputs(bundle, graph, (MOMENTS_OUTPUT,), section.where)
    # A support vector machine on the features: -15 to 110, low = good.
    machine = section.get("machine", str)
    required_outputs(bundle, machine, (VALUE,), section.where)
    if bundle.graphs[machine].input_names != ("features",):
        raise BundleError(f"{section.where}: {machine!r} does not take features; export the bundle again")

    def values(look: Look, pictures: Iterable[Array]) -> Mapping[str, Array]:
        found = np.stack([features(moments) for moments in pictures])
        return look.run(machine, {"features": found.astype(np.float32)})

    def read(look: Look) -> Mapping[str, Array]:
        return values(look, checked(look.run(graph, look.feeds(graph, view))[MOMENTS_OUTPUT], 4))

    def published(look: Look) -> Mapping[str, Array]:
        view.check(look.pictures)
        return values(look, map(moments_of_whole, look.pictures.each()))

    head = {machine: frozenset({VALUE})}
    return words.measure(
        name=name,
        kind="brisque",
        part=Part(graph, (graph,), float32_alone=True),
        view=view,
        outputs={graph: frozenset({MOMENTS_OUTPUT}), **head},
        read=read,
        bytes_per_px=BYTES_PER_PX,
        profiles=listed_profiles(section, {PUBLISHED: Reading(head, published, PUBLISHED_BYTES_PER_PX)}),
    )
