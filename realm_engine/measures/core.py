"""CORE: pictures and descriptions of their flaws -> mean opinion scores of realness."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from realm_engine.arrays import Array, Float32
from realm_engine.bundle.bundle import Bundle, Part
from realm_engine.bundle.columns import Column, parse_columns
from realm_engine.bundle.manifest import INTERPOLATIONS, MOST_PIXELS, Section, TextSpec, parse_text
from realm_engine.bundle.terms import Terms
from realm_engine.measures.look import Look, View
from realm_engine.measures.measure import Measure, Words, required_numbers, required_outputs
from realm_engine.pictures.descriptions import is_missing

log = logging.getLogger("realm_engine")

SECTION, GRAPH, TEXT_GRAPH = "core", "core", "core_text"
PART = Part("core", (TEXT_GRAPH, GRAPH))
SAYS = (
    "How real does it look to people: a mean opinion score, from the picture and a description of its flaws."
)


@dataclass(frozen=True)
class CoreSpec:
    """CORE's preprocessing. `missing_text`: "trained" without texts, or "empty-description" in their place."""

    view: View
    text: TextSpec
    missing_text: str
    rating: tuple[float, float]  # offset, slope: the 0-100 rating behind a MOS

    @classmethod
    def parse(cls, section: Section) -> CoreSpec:
        """The section "core". Raises BundleError."""
        image, rating = section.section("image"), section.section("rating")
        view = View(
            "whole",
            image.positive("height_px", MOST_PIXELS),
            image.positive("width_px", MOST_PIXELS),
            image.choice("interpolation", INTERPOLATIONS),
        )
        return cls(
            view=view,
            text=parse_text(section.section("text")),
            missing_text=section.choice("missing_text", ("trained", "empty-description")),
            rating=(rating.number("offset"), rating.number("slope")),
        )


class Core:
    """Reads the score of pictures and their descriptions."""

    def __init__(self, spec: CoreSpec, text_width: int | None) -> None:
        self.spec = spec
        self._text_width = text_width
        self._warned = False

    def read(self, look: Look) -> Mapping[str, Array]:
        """The graph's outputs: "mos", a z-score, float32 [N], high = real."""
        features, has_text = self._text_features(look)
        feeds = look.feeds(GRAPH, self.spec.view)
        return look.run(GRAPH, {**feeds, "text_features": features, "has_text": has_text})

    def _text_features(self, look: Look) -> tuple[Float32, Float32]:
        """(features [N, F], has_text [N]), float32; rows without text are 0 and replaced inside the graph."""
        present = [text for text in look.texts if text is not None and not is_missing(text)]
        if len(present) < look.count:
            self._warn_missing()
        embedded = look.text(TEXT_GRAPH, present) if present else None
        if embedded is not None:
            self._text_width = embedded.shape[1]
        elif self._text_width is None:  # a manifest that leaves the width free: the graph knows it
            self._text_width = look.text(TEXT_GRAPH, [""]).shape[1]
        features = np.zeros((look.count, self._text_width or 0), dtype=np.float32)
        has_text = np.array([not is_missing(text) for text in look.texts], dtype=np.float32)
        if embedded is not None:
            features[has_text == 1] = embedded
        return features, has_text

    def _warn_missing(self) -> None:
        if self.spec.missing_text == "empty-description" and not self._warned:
            self._warned = True
            log.warning(
                "this bundle was never trained without descriptions: where one is missing it is scored "
                "as if it were empty, which is less reliable (said once)"
            )


def open_core(bundle: Bundle, name: str, section: Section) -> Measure:
    """The measure of kind "core" that a bundle lists. Raises BundleError."""
    return _measure(bundle, name, Words.parse(section, parse_columns(section)))


def implied_core(bundle: Bundle) -> Measure | None:
    """CORE of a bundle of format 1.0, which lists no measures; None if it is missing. Raises BundleError."""
    if not bundle.has(PART):
        return None
    spec = CoreSpec.parse(bundle.content.section(SECTION))
    metrics = bundle.manifest.get("metrics")
    worth = metrics.get(SECTION, {}) if isinstance(metrics, Mapping) else {}
    words = Words(
        says=SAYS,
        columns=columns_of(spec),
        terms=Terms.of_bundle(bundle.manifest),
        worth=worth if isinstance(worth, Mapping) else {},
        ranks=True,
    )
    return _measure(bundle, SECTION, words)


def columns_of(spec: CoreSpec) -> tuple[Column, ...]:
    """The columns of a CORE whose manifest does not list them."""
    return (
        Column("mos", "mos", -3.0, 2.0, "high", "mean opinion score as a z-score", None, 6, 0.01),
        Column("realness", "mos", 0.0, 100.0, "high", "the 0-100 rating behind the score", spec.rating, 4),
    )


def _measure(bundle: Bundle, name: str, words: Words) -> Measure:
    where = f"{bundle.content.where}, measure {name!r}"
    required: Sequence[str] = PART.graphs
    for graph in required:
        required_outputs(bundle, graph, (), where)
    spec = CoreSpec.parse(bundle.content.section(SECTION))
    bundle.file(spec.text.tokenizer)
    features = bundle.graphs[TEXT_GRAPH].output("text_features")
    width = features.shape[-1] if features is not None else None
    return words.measure(
        name=name,
        kind="core",
        part=PART,
        view=spec.view,
        text=spec.text,
        outputs={GRAPH: required_numbers(bundle, GRAPH, words.columns, where)},
        read=Core(spec, width if isinstance(width, int) else None).read,
    )
