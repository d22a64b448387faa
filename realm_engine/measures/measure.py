"""What a measure is: columns of numbers, read from a look at pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from realm_engine.arrays import Array, Float64
from realm_engine.bundle.bundle import Bundle, Part
from realm_engine.bundle.columns import Column
from realm_engine.bundle.manifest import Section, TextSpec
from realm_engine.bundle.terms import Terms
from realm_engine.errors import AnswerError, BundleError, UsageError
from realm_engine.measures.attribution import Attribution
from realm_engine.measures.look import Look, View
from realm_engine.measures.profiles import DEFAULT
from realm_engine.measures.scale import Scale
from realm_engine.pictures.descriptions import is_missing

Read = Callable[[Look], Mapping[str, Array]]
"""A kind of measure: the raw outputs by name, float32 [N] or [N, 1], of the N pictures that are looked at."""


@dataclass(frozen=True)
class Reading:
    """How a measure is read: with `read`, which wants these `outputs` of graphs, and holds `bytes_per_px`."""

    outputs: Mapping[str, frozenset[str]]
    read: Read
    bytes_per_px: int | None = None


@dataclass(frozen=True)
class Listed:
    """What tables, pages and lists need of a measure, wherever its numbers come from.

    `says`: what it answers, one line. `terms`: of all weights that it needs, the strictest. `worth`: measured numbers,
    free form. `ranks`: whether pictures, and generators, may be put in an order by it. `scale`: where its first column
    lies on some set of pictures, None where nobody says.
    """

    name: str
    kind: str
    says: str
    columns: tuple[Column, ...]
    terms: Terms
    worth: Mapping[str, Any]
    ranks: bool = field(default=True, kw_only=True)
    scale: Scale | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Measure(Listed):
    """A measure of a bundle.

    `part`: the graphs that decide its device and precision. `view`: how its tower looks at a picture. `text`: the
    tokens of its text tower, None where it takes no text. `outputs`: what it reads of which graph. `profiles`: how it
    is read in others than the default one. `files`: what else of the bundle it reads, but its tokenizer. `attribution`:
    how a map says where its number comes from, None where it cannot. `bytes_per_px`: what it holds for each pixel of
    its view, None where that is a tower's.
    """

    part: Part
    view: View
    text: TextSpec | None
    outputs: Mapping[str, frozenset[str]]
    read: Read
    profiles: Mapping[str, Reading] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    attribution: Attribution | None = None
    bytes_per_px: int | None = None

    def in_profile(self, profile: str) -> Measure:
        """The measure as it counts in a profile. Raises UsageError where it has no such profile."""
        if profile == DEFAULT:
            return self
        if profile not in self.profiles:
            raise UsageError(
                f"{self.name} has no profile {profile!r}, only {', '.join((DEFAULT, *self.profiles))}; "
                "ask for it in a run of its own"
            )
        reading = self.profiles[profile]
        return replace(self, outputs=reading.outputs, read=reading.read, bytes_per_px=reading.bytes_per_px)

    def values(self, look: Look) -> Float64:
        """The columns of the N pictures of a look, float64 [N, columns]. Raises what its graphs raise."""
        raw = self.read(look)
        # A measure that takes no text has looked at every picture alone.
        described = [self.text is not None and not is_missing(text) for text in look.texts]
        found = np.empty((look.count, len(self.columns)))
        for index, column in enumerate(self.columns):
            answer = raw[column.output]
            if answer.size != look.count:
                raise BundleError(
                    f"{self.name}: {column.output} has {answer.size} values for {look.count} pictures; "
                    "export the bundle again"
                )
            values = list(map(float, np.asarray(answer, dtype=np.float64).reshape(look.count)))
            for value, text in zip(values, described, strict=True):
                if not column.plausible(value, text):
                    raise AnswerError(
                        f"{self.name}: {column.output} is {value:g}, far outside what {column.name} can be "
                        f"({column.low:g} to {column.high:g}); try --precision fp32, and get the bundle again if that "
                        "does not help"
                    )
            found[:, index] = [column.value(*pair) for pair in zip(values, described, strict=True)]
        return found


@dataclass(frozen=True)
class Words:
    """What the manifest says of a measure whatever its kind is."""

    says: str
    columns: tuple[Column, ...]
    terms: Terms
    worth: Mapping[str, Any]
    ranks: bool
    scale: Scale | None = None

    @classmethod
    def parse(cls, section: Section, columns: tuple[Column, ...]) -> Words:
        """Read them. Raises BundleError for what is missing."""
        return cls(
            says=section.text("says"),
            columns=columns,
            terms=Terms.parse(section),
            worth=section.section("metrics").data,
            ranks=section.get("ranks", bool) if "ranks" in section.data else True,
            scale=Scale.parse(section.section("scale")) if "scale" in section.data else None,
        )

    def measure(
        self,
        name: str,
        kind: str,
        part: Part,
        view: View,
        outputs: Mapping[str, frozenset[str]],
        read: Read,
        text: TextSpec | None = None,
        profiles: Mapping[str, Reading] | None = None,
        files: tuple[str, ...] = (),
        attribution: Attribution | None = None,
        bytes_per_px: int | None = None,
    ) -> Measure:
        """The measure that these words are about."""
        return Measure(
            name=name,
            kind=kind,
            says=self.says,
            columns=self.columns,
            terms=self.terms,
            worth=self.worth,
            scale=self.scale,
            part=part,
            view=view,
            text=text,
            outputs=outputs,
            read=read,
            profiles=profiles or {},
            files=files,
            ranks=self.ranks,
            attribution=attribution,
            bytes_per_px=bytes_per_px,
        )


def listed_profiles(section: Section, readings: Mapping[str, Reading]) -> dict[str, Reading]:
    """Those of a kind's profiles that the manifest lists in "profiles". Raises BundleError where it lists none."""
    listed = section.get("profiles", list)
    return {profile: reading for profile, reading in readings.items() if profile in listed}


def required_outputs(bundle: Bundle, graph: str, outputs: Iterable[str], where: str) -> frozenset[str]:
    """These outputs of a graph. Raises BundleError where the manifest lists no such graph or output."""
    spec = bundle.graphs.get(graph)
    if spec is None:
        raise BundleError(f"{where}: there is no graph {graph!r}; export the bundle again")
    required = frozenset(outputs)
    for output in sorted(required):
        if spec.output(output) is None:
            raise BundleError(f"{where}: graph {graph!r} has no output {output!r}; export the bundle again")
    return required


def required_numbers(bundle: Bundle, graph: str, columns: tuple[Column, ...], where: str) -> frozenset[str]:
    """The outputs of a graph that columns are made of, a number for each picture.

    Raises BundleError where the manifest lists no such graph or output, or one of another form.
    """
    outputs = required_outputs(bundle, graph, read_outputs(columns), where)
    for name in sorted(outputs):
        output = bundle.graphs[graph].output(name)
        assert output is not None
        shape = output.shape
        if len(shape) not in (1, 2) or not isinstance(shape[0], str) or shape[1:] not in ((), (1,)):
            raise BundleError(
                f"{where}: output {name!r} of graph {graph!r} is {list(shape)}, not a number for each picture "
                "([batch] or [batch, 1]); export the bundle again"
            )
    return outputs


def read_outputs(columns: tuple[Column, ...]) -> frozenset[str]:
    """The raw outputs that columns are made of."""
    return frozenset(column.output for column in columns)


def only_output(columns: tuple[Column, ...], output: str, where: str) -> None:
    """Refuse columns of anything else than the one number that a kind gives. Raises BundleError."""
    for other in sorted(read_outputs(columns) - {output}):
        raise BundleError(f"{where}: it gives {output!r} alone, not {other!r}; export the bundle again")
