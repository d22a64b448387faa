"""A look at pictures: what each graph makes of them is computed once, whoever asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from realm_engine.arrays import Array, Float32, UInt8
from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.manifest import INTERPOLATIONS, MOST_PIXELS, GraphSpec, Section
from realm_engine.errors import BundleError, ImageError
from realm_engine.pictures.resample import Span
from realm_engine.pictures.together import LARGE_PX, Spans, Together
from realm_engine.runtimes.base import Session
from realm_engine.text import TextEncoder

VIEWS = ("whole", "centre-crop", "native")
ROWS, COLUMNS = "resample_rows", "resample_cols"


def resizes_each(graph: GraphSpec) -> bool:
    """Whether a graph takes resize matrices [1 or batch, 1, out, in]; before format 1.3 it was one [out, in]."""
    return any(tensor.name == ROWS and len(tensor.shape) == 4 for tensor in graph.inputs)


class LeftOutError(BundleError):
    """Why a measure of a bundle cannot be computed, while its others can: it is left out, and this is said of it."""


class UnknownKindError(LeftOutError):
    """A kind of measure or view that this version of the engine does not know."""


@dataclass(frozen=True)
class View:
    """How a tower looks at a picture.

    "whole": resized to height x width; "centre-crop": its short side resized to `short_px`, and of that the centre,
    height x width, which are equal; "native": as it is (sizes None). `least_px`: of "native", the shortest side that it
    needs.
    """

    kind: str
    height_px: int | None = None
    width_px: int | None = None
    interpolation: str | None = None
    least_px: int = 1
    short_px: int | None = None

    @classmethod
    def parse(cls, section: Section) -> View:
        """Read the "view" of a tower or measure. Raises BundleError, UnknownKindError for a kind of later versions."""
        kind = section.get("kind", str)
        if kind not in VIEWS:
            raise UnknownKindError(f"{section.where}: this version does not know the view {kind!r}")
        if kind == "native":
            least = section.positive("least_px", MOST_PIXELS) if "least_px" in section.data else 1
            return cls(kind, least_px=least)
        interpolation = section.choice("interpolation", INTERPOLATIONS)
        if kind == "centre-crop":
            size = section.positive("size_px", MOST_PIXELS)
            short = section.whole("short_px", size, MOST_PIXELS) if "short_px" in section.data else size
            return cls(kind, size, size, interpolation, short_px=short)
        return cls(
            kind,
            section.positive("height_px", MOST_PIXELS),
            section.positive("width_px", MOST_PIXELS),
            interpolation,
        )

    def spans(self, height: int, width: int) -> tuple[Span, Span]:
        """What it takes of the height and of the width of a picture of this size. Not of "native"."""
        assert self.height_px is not None and self.width_px is not None
        if self.short_px is None:
            return Span.whole(self.height_px), Span.whole(self.width_px)
        short = min(height, width)
        resized = (self.short_px * height // short, self.short_px * width // short)
        rows, columns = (
            Span(side, round((side - size) / 2), size)
            for side, size in zip(resized, (self.height_px, self.width_px), strict=True)
        )
        return rows, columns

    def feeds(self, pictures: Together, graph: GraphSpec) -> dict[str, Array]:
        """Inputs of a graph; pictures of several sizes need one that takes matrices for each. Raises ImageError."""
        self.check(pictures)
        found: dict[str, Array] = {"pixels": pictures.pixels}
        if self.height_px is None or self.width_px is None or self.interpolation is None:
            return found
        spans: Spans = self.spans
        if pictures.pixels.shape[1] * pictures.pixels.shape[2] > LARGE_PX:
            pictures = pictures.shrunk(spans, self.interpolation)
            found["pixels"] = pictures.pixels
            spans = _as_they_are
        for axis, name in enumerate((ROWS, COLUMNS)):
            matrices = pictures.resample(axis, spans, self.interpolation)
            found[name] = matrices[:, None] if resizes_each(graph) else matrices[0]
        return found

    def check(self, pictures: Together) -> None:
        """Refuse a picture that is too small. Raises ImageError."""
        for height, width in pictures.sizes_px:
            if min(height, width) < self.least_px:
                raise ImageError(
                    f"needs at least {self.least_px} x {self.least_px} pixels, this image has {width} x {height}"
                )

    def source_px(self, height: int, width: int) -> int:
        """Pixels that a graph gets of a picture of this size, before it resizes them."""
        if self.width_px is not None and self.height_px is not None and height * width > LARGE_PX:
            return self.height_px * self.width_px
        return height * width

    def input_px(self, pixels: UInt8) -> tuple[int, int]:
        """Height and width of what the tower gets of a picture, uint8 [H, W, 3]."""
        return self.height_px or pixels.shape[0], self.width_px or pixels.shape[1]


def _as_they_are(height: int, width: int) -> tuple[Span, Span]:
    return Span.whole(height), Span.whole(width)


class Runner(Protocol):
    """What runs the graphs of an opened bundle."""

    bundle: Bundle

    def session(self, graph: str) -> Session:
        """The session of a graph, in the precision of its part."""

    def text_encoder(self, graph: str) -> TextEncoder:
        """The encoder of a text graph, with its cache."""


class Look:
    """Pictures with their texts, and what the graphs of one bundle have made of them so far.

    `texts`: as many as pictures, None if it is missing. `wanted`: outputs by graph that anybody
    will ask for: a graph runs once and gives them all.
    """

    def __init__(
        self,
        pictures: Together,
        texts: Sequence[str | None],
        runner: Runner,
        wanted: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self.pictures = pictures
        self.texts = tuple(texts)
        self._runner = runner
        self._wanted = dict(wanted or {})
        self._made: dict[str, dict[str, Array]] = {}

    @property
    def count(self) -> int:
        """Number of pictures, N."""
        return len(self.pictures.pixels)

    def graph(self, name: str) -> GraphSpec:
        """What the manifest says of a graph."""
        return self._runner.bundle.graphs[name]

    def feeds(self, graph: str, view: View) -> dict[str, Array]:
        """What a graph with this view takes of the pictures."""
        return view.feeds(self.pictures, self.graph(graph))

    def text(self, graph: str, texts: Sequence[str]) -> Float32:
        """Features of texts by a text graph, float32 [texts, D], each different text embedded once."""
        return self._runner.text_encoder(graph).features(texts)

    def run(self, graph: str, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """Everything that is wanted of a graph, by output. It runs once, on the feeds of whoever comes first."""
        if graph not in self._made:
            names = sorted(self._wanted.get(graph, frozenset()))
            answers = self._runner.session(graph).run(feeds, names)
            self._made[graph] = dict(zip(names, answers, strict=True))
        return self._made[graph]

    def tower(self, graph: str, view: View, output: str) -> Float32:
        """An output of a tower for the pictures, float32 [N, D]. A text it may take as well is left out (0)."""
        if graph in self._made:
            return self._made[graph][output]
        feeds = self.feeds(graph, view)
        for tensor in self.graph(graph).inputs:
            if tensor.name not in feeds:
                width = tensor.shape[1:]
                if not all(isinstance(size, int) for size in width):
                    raise BundleError(
                        f"graph {graph}: input {tensor.name!r} has a free width; export it again"
                    )
                feeds[tensor.name] = np.zeros((self.count, *map(int, width)), dtype=np.float32)
        return self.run(graph, feeds)[output]
