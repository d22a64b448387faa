"""NIQE: how far the blocks of a picture are from those of undistorted photographs (Mittal et al., 2013)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from realm_engine.arrays import Array, Float64
from realm_engine.bundle.bundle import Bundle, Part
from realm_engine.bundle.columns import parse_columns
from realm_engine.bundle.manifest import Section
from realm_engine.errors import ImageError
from realm_engine.measures.contrast import moments_of_blocks
from realm_engine.measures.gaussian import Gaussian, read_gaussian
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
    BLOCK_PX,
    BYTES_PER_PX,
    MOMENTS_OUTPUT,
    PUBLISHED_BYTES_PER_PX,
    asymmetric,
    checked,
)
from realm_engine.measures.profiles import PUBLISHED

FEATURES = 36
VALUE = "niqe"


def features(moments: Array) -> Float64:
    """Of blocks with these moments [blocks, 2, 5, 6]: float64 [blocks, 36], NaN where a field has one sign alone."""
    found = asymmetric(moments)
    left, right = found.left * found.spread, found.right * found.spread
    own = np.stack([found.alpha, (left + right) / 2], axis=-1)[:, :, 0]  # [blocks, 2, 2]
    beside = np.stack([found.alpha, found.skew * found.spread, left, right], axis=-1)[:, :, 1:]
    both = np.concatenate([own, beside.reshape(*beside.shape[:2], -1)], axis=-1)  # [blocks, 2, 18]
    return np.asarray(both.reshape(len(both), FEATURES))


def niqe(moments: Array, photographs: Gaussian) -> float:
    """The distance of a picture's blocks from those of photographs, 0 to about 20, low = alike.

    `moments`: [blocks, 2, 5, 6]. Raises ImageError where fewer than two blocks have all features.
    """
    found = features(moments)
    complete = found[~np.isnan(found).any(axis=1)]
    if len(complete) < 2:
        raise ImageError(
            f"{len(complete)} of {len(found)} blocks of {BLOCK_PX} x {BLOCK_PX} pixels have contrast "
            "below and above their mean, two must; the image is flat"
        )
    return photographs.distance(np.nanmean(found, axis=0), np.cov(complete, rowvar=False))


def open_niqe(bundle: Bundle, name: str, section: Section) -> Measure:
    """The measure of kind "niqe" that a bundle lists. Raises BundleError."""
    words = Words.parse(section, parse_columns(section))
    graph, view = section.get("graph", str), View.parse(section.section("view"))
    only_output(words.columns, VALUE, section.where)
    required_outputs(bundle, graph, (MOMENTS_OUTPUT,), section.where)
    gaussian = section.get("gaussian", str)
    photographs = read_gaussian(bundle, gaussian, FEATURES)

    def values(pictures: Iterable[Array]) -> Mapping[str, Array]:
        return {VALUE: np.array([niqe(moments, photographs) for moments in pictures])}

    def read(look: Look) -> Mapping[str, Array]:
        return values(checked(look.run(graph, look.feeds(graph, view))[MOMENTS_OUTPUT], 5))

    def published(look: Look) -> Mapping[str, Array]:
        view.check(look.pictures)
        return values(map(moments_of_blocks, look.pictures.each()))

    return words.measure(
        name=name,
        kind="niqe",
        part=Part(graph, (graph,), float32_alone=True),
        view=view,
        outputs={graph: frozenset({MOMENTS_OUTPUT})},
        read=read,
        bytes_per_px=BYTES_PER_PX,
        files=(gaussian,),
        profiles=listed_profiles(section, {PUBLISHED: Reading({}, published, PUBLISHED_BYTES_PER_PX)}),
    )
