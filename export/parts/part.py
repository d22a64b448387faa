"""What the export asks of every part of a bundle. It knows no more of any of them. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from export.graph.model import Graph
from export.measures import Measure
from export.proof.limits import Tier
from realm_engine.arrays import Array

if TYPE_CHECKING:
    from export.graph.int8 import Feeds, Study
    from export.towers.shared_text import TextGraph


def plain_name(part: Part) -> str:
    """What people call a part: its measure, "core", or "dream", which has none."""
    return next(iter(part.measures()), part.name)


class MeasureAlone:
    """A part that is measures in float32, and nothing else: no text tower, files, maps or section of its own.

    `replaces`: whether it takes the place of a measure of its name, in a bundle that has one.
    """

    precisions: Sequence[str] = ("fp32",)
    replaces = False

    def text(self) -> TextGraph | None:
        """None."""
        return None

    def files(self) -> Mapping[str, Path]:
        """None."""
        return {}

    def section(self, tokenizer: str) -> Mapping[str, Any]:
        """None."""
        return {}

    def maps(self) -> Mapping[str, Any]:
        """None."""
        return {}

    def probes(self, pictures: Sequence[Array]) -> Mapping[str, Sequence[Feeds]]:
        """None: there is no fp16 of it."""
        return {}

    def studies(self, pictures: Sequence[Array], texts: Sequence[str]) -> Mapping[str, Study]:
        """None: there is no int8 of it."""
        return {}


class Part(Protocol):
    """One thing that a bundle can do: from its weights to graphs, a piece of the manifest, and proof."""

    @property
    def name(self) -> str:
        """Its key in "fidelity", and its section's in the manifest where it has one."""

    @property
    def weights(self) -> str:
        """Where its weights come from: "trained", "random (seed 0)"."""

    @property
    def precisions(self) -> Sequence[str]:
        """Variants that its graphs can be written in."""

    def graphs(self) -> Sequence[Graph]:
        """Its graphs, but for the text tower's."""

    def text(self) -> TextGraph | None:
        """Its text tower, whose file another part may share; None without one."""

    def files(self) -> Mapping[str, Path]:
        """Files that are copied into the bundle, by their name there."""

    def section(self, tokenizer: str) -> Mapping[str, Any]:
        """Its object in the manifest, {} for a part that is measures alone; `tokenizer` is its tokenizer's file."""

    def measures(self) -> Mapping[str, Measure]:
        """Its measures by name."""

    def maps(self) -> Mapping[str, Any]:
        """Its share of the manifest's "maps", the policy of maps."""

    def expected(self, pictures: Sequence[Array]) -> Any:
        """The right answers for pictures uint8 [H, W, 3], without any graph of the bundle."""

    def compare(
        self, folder: Path, precision: str, pictures: Sequence[Array], expected: Any, tier: Tier
    ) -> dict[str, float]:
        """Differences of a written bundle's answers from `expected`, for "fidelity".

        Raises:
            ExportError: one is beyond its limit.
        """

    def probes(self, pictures: Sequence[Array]) -> Mapping[str, Sequence[Feeds]]:
        """Real inputs of its graphs by name, to see which values float16 could not hold."""

    def studies(self, pictures: Sequence[Array], texts: Sequence[str]) -> Mapping[str, Study]:
        """Calibration of the graphs that get an int8 variant, by name."""
