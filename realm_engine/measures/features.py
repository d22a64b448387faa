"""Features of pictures by the tower of a measure, for those who compare sets of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from realm_engine.arrays import Float32, UInt8
from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import BundleError
from realm_engine.measures.measure import Measure
from realm_engine.measures.stream import Group, MeasureStream
from realm_engine.pictures.inputs import Entry
from realm_engine.pictures.together import Together

FEATURES = "features"


@dataclass(frozen=True)
class Features:
    """What a tower sees in a picture, float32 [D], or the `error` that it could not."""

    name: str
    values: Float32 | None
    error: str | None = None


def tower_of(bundle: Bundle, measures: Sequence[Measure]) -> tuple[Measure, str]:
    """The first measure with a graph that looks at pixels and gives `features` [batch, D], and that graph.

    Raises BundleError where there is none.
    """
    for measure in measures:
        for graph in measure.outputs:
            spec = bundle.graphs[graph]
            output = spec.output(FEATURES)
            if output is not None and len(output.shape) == 2 and "pixels" in spec.input_names:
                # Nothing but the features is asked of it.
                return replace(measure, outputs={graph: frozenset({FEATURES})}), graph
    raise BundleError(
        f"{bundle.name}: none of its graphs gives {FEATURES!r}, what a trunk sees in a picture; "
        "export it again with this version, or use another bundle"
    )


class FeatureStream:
    """What a `Pipeline` asks of a stream of features; calls are those of a measure that reads the same graph."""

    def __init__(self, group: Group, graph: str, batch_size: int) -> None:
        """`group`: of the one measure that `tower_of` gives."""
        self._group, self._graph, self._view = group, graph, group.measures[0].view
        self._many_sizes = group.takes_many_sizes()
        calls = MeasureStream([group], (), batch_size)
        self.key, self.per_call = calls.key, calls.per_call

    def run(self, decoded: list[UInt8], entries: list[Entry]) -> list[Features]:
        """Features of pictures with one `key`. Raises what the graph raises."""
        pictures = (Together.of_many_sizes if self._many_sizes else Together.of_one_size)(decoded)
        look = self._group.look(pictures, [None] * len(entries))
        found = look.tower(self._graph, self._view, FEATURES)
        return [Features(entry.name, row) for entry, row in zip(entries, found, strict=True)]

    def fail(self, entry: Entry, message: str) -> Features:
        """A picture that has none."""
        return Features(entry.name, None, message)
