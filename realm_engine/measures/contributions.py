"""What positions add to a measure's logit, of many pictures: the calls are those of a table of that measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from realm_engine.arrays import UInt8
from realm_engine.machine.memory import MODERATE_PX
from realm_engine.measures.attribution import Contributions
from realm_engine.measures.measure import Measure
from realm_engine.measures.stream import Group, MeasureStream, row_of
from realm_engine.pictures.together import Together


def with_attribution(measure: Measure) -> Measure:
    """A measure that asks its graphs for its attribution as well, all from one run of its tower."""
    assert measure.attribution is not None
    outputs = dict(measure.outputs)
    for graph, names in measure.attribution.outputs.items():
        outputs[graph] = outputs.get(graph, frozenset()) | names
    return replace(measure, outputs=outputs)


class ContributionStream:
    """Reads the contributions of pictures; what takes them makes a map of the size of each."""

    def __init__(self, group: Group, batch_size: int) -> None:
        """`group`: of one measure, that `with_attribution` gave."""
        (self._measure,) = group.measures
        self._group, self._batch_size = group, batch_size
        self._many_sizes = group.takes_many_sizes()
        self.key = MeasureStream([group], (), batch_size).key

    def run(self, decoded: Sequence[UInt8]) -> list[Contributions]:
        """Of pictures with one `key`. Raises what the graphs raise, and UsageError as `per_call`."""
        self.per_call(decoded[0])
        pictures = (Together.of_many_sizes if self._many_sizes else Together.of_one_size)(decoded)
        look = self._group.look(pictures, [None] * len(decoded))
        attribution, columns = self._measure.attribution, self._measure.columns
        assert attribution is not None
        answers = []
        for parts, numbers in zip(attribution.read(look), self._measure.values(look), strict=True):
            found = dict(zip((column.name for column in columns), map(float, numbers), strict=True))
            row = row_of("", found, columns, None, None)
            answers.append(Contributions(*parts, {**row.values, **row.words}))
        return answers

    def per_call(self, image: UInt8) -> int:
        """How many pictures with its key share a call, whose maps are held together.

        Raises UsageError where a strict limit of memory does not hold one.
        """
        height, width = self.key(image)
        most = self._batch_size if height * width <= MODERATE_PX else 1
        if self._group.memory is None:
            return most
        size = self._measure.view.input_px(image)
        return self._group.memory.inputs_per_call(*size, most, own_px=height * width)
