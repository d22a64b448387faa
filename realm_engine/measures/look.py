"""A look at pictures: what each graph makes of them is computed once, whoever asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from realm_engine.arrays import Array, Float32, UInt8
from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.manifest import INTERPOLATIONS, MOST_PIXELS, GraphSpec, Section
from realm_engine.errors import BundleError
from realm_engine.pictures.resample import resample_matrix_float32
from realm_engine.runtimes.base import Session
from realm_engine.text import TextEncoder

VIEWS = ("whole", "native")


class UnknownKindError(BundleError):
    """A kind of measure or view that this version of the engine does not know."""


@dataclass(frozen=True)
class View:
    """How a tower looks at a picture: "whole" resized to height x width, or "native", as it is (sizes None)."""

    kind: str
    height_px: int | None = None
    width_px: int | None = None
    interpolation: str | None = None

    @classmethod
    def parse(cls, section: Section) -> View:
        """Read the "view" of a tower or measure. Raises BundleError, UnknownKindError for a kind of later versions."""
        kind = section.get("kind", str)
        if kind not in VIEWS:
            raise UnknownKindError(f"{section.where}: this version does not know the view {kind!r}")
        if kind == "native":
            return cls(kind)
        return cls(
            kind,
            section.positive("height_px", MOST_PIXELS),
            section.positive("width_px", MOST_PIXELS),
            section.choice("interpolation", INTERPOLATIONS),
        )

    def feeds(self, pixels: UInt8) -> dict[str, Array]:
        """Inputs of a graph for pictures of one size, uint8 [N, H, W, 3]."""
        if self.height_px is None or self.width_px is None or self.interpolation is None:
            return {"pixels": pixels}
        height, width = pixels.shape[1:3]
        return {
            "pixels": pixels,
            "resample_rows": resample_matrix_float32(height, self.height_px, self.interpolation),
            "resample_cols": resample_matrix_float32(width, self.width_px, self.interpolation),
        }

    def input_px(self, pixels: UInt8) -> tuple[int, int]:
        """Height and width of what the tower gets of a picture, uint8 [H, W, 3]."""
        return self.height_px or pixels.shape[0], self.width_px or pixels.shape[1]


class Runner(Protocol):
    """What runs the graphs of an opened bundle."""

    bundle: Bundle

    def session(self, graph: str) -> Session:
        """The session of a graph, in the precision of its part."""

    def text_encoder(self, graph: str) -> TextEncoder:
        """The encoder of a text graph, with its cache."""


class Look:
    """Pictures of one size with their texts, and what the graphs of one bundle have made of them so far.

    `pixels`: uint8 [N, H, W, 3]. `texts`: as many, None if it is missing. `wanted`: outputs by graph that anybody
    will ask for: a graph runs once and gives them all.
    """

    def __init__(
        self,
        pixels: UInt8,
        texts: Sequence[str | None],
        runner: Runner,
        wanted: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self.pixels = pixels
        self.texts = tuple(texts)
        self._runner = runner
        self._wanted = dict(wanted or {})
        self._made: dict[str, dict[str, Array]] = {}

    @property
    def count(self) -> int:
        """Number of pictures, N."""
        return len(self.pixels)

    def graph(self, name: str) -> GraphSpec:
        """What the manifest says of a graph."""
        return self._runner.bundle.graphs[name]

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
        feeds = view.feeds(self.pixels)
        for tensor in self.graph(graph).inputs:
            if tensor.name not in feeds:
                width = tensor.shape[1:]
                if not all(isinstance(size, int) for size in width):
                    raise BundleError(
                        f"graph {graph}: input {tensor.name!r} has a free width; export it again"
                    )
                feeds[tensor.name] = np.zeros((self.count, *map(int, width)), dtype=np.float32)
        return self.run(graph, feeds)[output]
