"""Measures over many pictures: what a stream of rows answers, picture by picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from realm_engine.arrays import UInt8
from realm_engine.bundle.columns import Column
from realm_engine.errors import ClosedError, ImageError, RealmError
from realm_engine.machine.memory import MemoryLimit
from realm_engine.measures.combined import Combined
from realm_engine.measures.look import Look, Runner, resizes_each
from realm_engine.measures.measure import Measure
from realm_engine.pictures.inputs import Entry
from realm_engine.pictures.together import Together, side_px
from realm_engine.tables.rows import Measured, flags_of


@dataclass(frozen=True)
class Group:
    """Measures of one bundle, and what runs its graphs.

    `memory`: bound of a call on the host, None: on a device. `many_sizes`: a call shall hold pictures of many sizes.
    """

    runner: Runner
    measures: tuple[Measure, ...]
    memory: MemoryLimit | None
    many_sizes: bool = False

    def takes_many_sizes(self) -> bool:
        """Whether calls hold pictures of many sizes, which every graph that sees pixels must be able to resize."""
        graphs = {graph for measure in self.measures for graph in measure.outputs}
        specs = [self.runner.bundle.graphs[graph] for graph in graphs]
        seeing = [spec for spec in specs if "pixels" in spec.input_names]
        return self.many_sizes and all(map(resizes_each, seeing))

    def look(self, pictures: Together, texts: Sequence[str | None]) -> Look:
        """A look at pictures with everything that these measures will want."""
        wanted: dict[str, frozenset[str]] = {}
        for measure in self.measures:
            for graph, outputs in measure.outputs.items():
                wanted[graph] = wanted.get(graph, frozenset()) | outputs
        return Look(pictures, texts, self.runner, wanted)


class MeasureStream:
    """What a `Pipeline` asks of a stream of rows, at most `batch_size` pictures a call."""

    def __init__(
        self,
        groups: Sequence[Group],
        columns: Sequence[Column],
        batch_size: int,
        combined: Combined | None = None,
    ) -> None:
        """`columns`: of all measures, in the order of the rows. `combined`: what is made of the others' columns."""
        self._groups = tuple(groups)
        self._combined = combined
        self._columns = tuple(columns)
        self._batch_size = batch_size
        self._many_sizes = all(group.takes_many_sizes() for group in self._groups)
        # A tower that takes a text serves those that take its features alone, so it looks first.
        self._order = sorted(
            ((group, measure) for group in self._groups for measure in group.measures),
            key=lambda pair: pair[1].text is None,
        )

    def run(self, decoded: list[UInt8], entries: list[Entry]) -> list[Measured]:
        """Answer pictures with one `key`.

        A measure that fails for a single picture leaves its cells empty and says why; the others keep their values.
        For several it raises what it failed with, so that whoever asks can ask for one at a time. Raises ClosedError.
        """
        pictures = (Together.of_many_sizes if self._many_sizes else Together.of_one_size)(decoded)
        texts = [_text(entry) for entry in entries]
        looks = {id(group): group.look(pictures, texts) for group in self._groups}
        values: list[dict[str, float]] = [{} for _ in entries]
        errors: list[str] = []
        for group, measure in self._order:
            try:
                if len(decoded) == 1:
                    self._fits(group, measure, decoded[0])
                found = measure.values(looks[id(group)])
            except (RealmError, MemoryError) as error:
                if len(entries) > 1 or isinstance(error, ClosedError):
                    raise
                errors.append(f"{measure.name}: {str(error) or 'not enough memory'}")
                continue
            for row, numbers in zip(values, found, strict=True):
                row.update(zip((c.name for c in measure.columns), map(float, numbers), strict=True))
        if self._combined is not None:
            errors += self._combine(self._combined, values)
        wrong = "; ".join(errors) or None
        return [
            row_of(entry.name, row, self._columns, text, wrong)
            for entry, row, text in zip(entries, values, texts, strict=True)
        ]

    def _combine(self, combined: Combined, rows: Sequence[dict[str, float]]) -> list[str]:
        """Add the combined number to rows; what has none is one picture alone, whose error this is."""
        try:
            for row in rows:
                row[combined.columns[0].name] = combined.value(row)
        except ImageError as error:
            return [f"{combined.name}: {error}"]
        return []

    def fail(self, entry: Entry, message: str) -> Measured:
        """Answer a picture that cannot be measured."""
        return row_of(entry.name, {}, self._columns, _text(entry), message)

    def key(self, image: UInt8) -> tuple[int, int]:
        """Pictures with one key may share a call: height and width of the array that would hold this one."""
        height, width = image.shape[:2]
        return (side_px(height), side_px(width)) if self._many_sizes else (height, width)

    def per_call(self, image: UInt8) -> int:
        """How many pictures with its key share a call. Raises UsageError where the memory does not hold one."""
        return min(self._fits(group, measure, image) for group, measure in self._order)

    def _fits(self, group: Group, measure: Measure, image: UInt8) -> int:
        """`per_call` of one measure."""
        if group.memory is None:
            return self._batch_size
        size = measure.view.input_px(image)
        if measure.bytes_per_px is not None:
            return group.memory.inputs_per_call(*size, self._batch_size, bytes_per_px=measure.bytes_per_px)
        own_px = measure.view.source_px(*self.key(image))
        return group.memory.inputs_per_call(*size, self._batch_size, own_px=own_px)


def row_of(
    name: str, found: Mapping[str, float], columns: Sequence[Column], text: str | None, error: str | None
) -> Measured:
    """The row of a picture, of what was `found` for columns by their names; those of words by the place of one."""
    values: dict[str, float | None] = {}
    words: dict[str, str | None] = {}
    for column in columns:
        value = found.get(column.name)
        if column.words:
            words[column.name] = None if value is None else column.words[int(value)]
        else:
            values[column.name] = value
    return Measured(name, values, text, error, flags_of(values, columns), words)


def _text(entry: Entry) -> str | None:
    return entry.text if isinstance(entry.text, str) else None
