"""A bundle that is open: its measures and its maps on the runtimes that were chosen for them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from realm_engine.bundle.bundle import Bundle, Part
from realm_engine.bundle.manifest import TextSpec
from realm_engine.bundle.terms import Terms
from realm_engine.errors import BundleError, UsageError
from realm_engine.machine.memory import MemoryLimit
from realm_engine.maps.dream import Dream
from realm_engine.maps.encoders import EachWindow, OnePass, WindowEncoder
from realm_engine.maps.photographs import PhotographGraph
from realm_engine.maps.spec import (
    EACH_WINDOW,
    ENCODERS,
    GRAPH,
    PHOTOGRAPHS,
    TRUNK,
    WINDOWS,
    MapSpec,
    read_maps,
)
from realm_engine.maps.spec import TEXT_GRAPH as MAP_TEXT_GRAPH
from realm_engine.maps.stream import Mapper
from realm_engine.measures.measure import Measure
from realm_engine.measures.table import Measures, read_measures
from realm_engine.runtimes.base import Session
from realm_engine.runtimes.choose import PartPlan
from realm_engine.runtimes.sessions import Sessions
from realm_engine.text import TextEncoder, Tokenizer

MAPS = "maps"  # what they are called beside measures


class Contents:
    """What a bundle offers: measures, maps, and the parts that they run in. Raises BundleError for a wrong manifest."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.measures: Measures = read_measures(bundle)
        self.maps: MapSpec | None = read_maps(bundle)
        self.parts: tuple[Part, ...] = self._parts()
        if not self.measures.all and self.maps is None:
            left_out = ", ".join(f"{name} ({why})" for name, why in self.measures.unknown.items())
            raise BundleError(
                f"{bundle.root}: nothing in it can be run"
                + (
                    f": {left_out}"
                    if left_out
                    else "; neither a measure nor maps are complete, export it again"
                )
            )

    def part(self, name: str) -> Part:
        """The part of a name. Raises UsageError if it is missing."""
        for part in self.parts:
            if part.name == name:
                return part
        raise UsageError(
            f"{self.bundle.name}: there is no part {name!r}, only {', '.join(p.name for p in self.parts)}"
        )

    def terms(self) -> dict[str, Terms]:
        """The terms of each measure by its name, and those of `MAPS`, where it makes any."""
        found = {measure.name: measure.terms for measure in self.measures.all}
        return found | ({MAPS: self.maps.terms} if self.maps is not None else {})

    def text_specs(self) -> dict[str, TextSpec]:
        """The text graphs, and the tokens that each takes."""
        found = {m.part.graphs[0]: m.text for m in self.measures.all if m.text is not None}
        return {**found, **({MAP_TEXT_GRAPH: self.maps.text} if self.maps is not None else {})}

    def tokenizer(self, graph: str) -> Tokenizer:
        """The tokenizer of a text graph. Raises BundleError for a file that is not one."""
        spec = self.text_specs()[graph]
        path = self.bundle.file(spec.tokenizer)
        return Tokenizer(self.bundle.files.content(spec.tokenizer), str(path), spec)

    def makes_maps(self, part: str) -> bool:
        """Whether a part makes maps: its work is counted in windows, that of measures in images."""
        return self.maps is not None and part == self.maps.part.name

    def _parts(self) -> tuple[Part, ...]:
        found: dict[str, Part] = {}
        for part in (
            *(measure.part for measure in self.measures.all),
            *([self.maps.part] if self.maps is not None else []),
        ):
            known = found.get(part.name)
            if known is None or len(known.graphs) < len(part.graphs):
                found[part.name] = part
        return tuple(found.values())


class Opened:
    """The contents of a bundle on their runtimes; what runs its graphs (`measures.look.Runner`)."""

    def __init__(
        self,
        contents: Contents,
        plans: Mapping[str, PartPlan],
        memory: MemoryLimit,
        encoder: str | None = None,
        fixed_shapes: bool | Literal["auto"] = "auto",
    ) -> None:
        """`encoder`: what encodes the windows of every map; None: what the presets say.

        `fixed_shapes`: see `Engine.open`.
        """
        self._encoder = encoder
        self._fixed_shapes = fixed_shapes
        self.bundle = contents.bundle
        self.contents = contents
        self.sessions = Sessions(contents.bundle, contents.parts, plans, fixed_shapes)
        self._memory = memory
        self._encoders: dict[str, TextEncoder] = {}
        self._mapper: Mapper | None = None
        self._lock = threading.RLock()  # of what is opened once, whichever thread comes first

    def session(self, graph: str) -> Session:
        """See `Sessions.session`."""
        return self.sessions.session(graph)

    def text_encoder(self, graph: str) -> TextEncoder:
        """The encoder of a text graph, opened once, with its cache. Raises ClosedError and BundleError."""
        self.sessions.check_open()
        with self._lock:
            if graph not in self._encoders:
                self._encoders[graph] = self._text_encoder(graph)
            return self._encoders[graph]

    def _text_encoder(self, graph: str) -> TextEncoder:
        # What is opened must not hold this object, or an engine that is dropped would wait for the collector.
        spec, sessions = self.bundle.graphs[graph], self.sessions
        return TextEncoder(
            self.contents.tokenizer(graph),
            lambda: sessions.session(graph),
            spec.input_names,
            spec.outputs[0].name,
            together=sessions.texts_together(graph),
        )

    def ready(self, measures: Sequence[Measure]) -> None:
        """Open what measures need: a device that cannot run it is an error now, not one per picture."""
        for measure in measures:
            for graph in measure.outputs:
                self.session(graph)

    def many_sizes(self, plans: Sequence[PartPlan]) -> bool:
        """Whether a call that runs so shall hold pictures of many sizes: a device is fast when its calls are full."""
        if self._fixed_shapes == "auto":
            return all(plan.backend.resident for plan in plans)
        return self._fixed_shapes

    def mapper(self) -> Mapper:
        """The maps of the bundle. Raises BundleError where it makes none, DeviceError, and UsageError for memory."""
        self.sessions.check_open()
        with self._lock:
            return self._opened_mapper()

    def _opened_mapper(self) -> Mapper:
        spec = self.contents.maps
        if spec is None:
            raise BundleError(f"{self.bundle.name}: this bundle has no DREAM and cannot map; use another")
        if self._mapper is None:
            asked = self._encoder
            if asked is not None and asked not in spec.encoders:
                raise UsageError(
                    f"{self.bundle.name}: its maps cannot be made by {asked}, only by {', '.join(spec.encoders)}"
                )
            for graph in ENCODERS[asked or spec.encoders[0]]:
                self.session(graph)
            encoders = {name: self._window_encoder(name, spec) for name in spec.encoders}
            dream = Dream(spec, self.text_encoder(MAP_TEXT_GRAPH), encoders, asked, self._photographs(spec))
            dream.encoder.check_memory()  # before it is stored: what was refused once is refused again
            self._mapper = Mapper(dream, self.bundle)
        return self._mapper

    def _photographs(self, spec: MapSpec) -> PhotographGraph | None:
        if spec.photographs is None:
            return None
        sessions = self.sessions
        return PhotographGraph(spec.photographs, lambda: sessions.session(PHOTOGRAPHS))

    def _window_encoder(self, name: str, spec: MapSpec) -> WindowEncoder:
        sessions, graphs = self.sessions, self.bundle.graphs
        plan = sessions.plan(spec.part.name)
        if name == EACH_WINDOW:
            return EachWindow(
                spec,
                lambda: sessions.session(GRAPH),
                plan.backend,
                _embedding_width(self.bundle, GRAPH),
                graphs[GRAPH].output("embedding") is not None,
                plan.batch,
                self._memory,
            )
        assert spec.one_pass is not None
        return OnePass(
            spec.one_pass,
            lambda: sessions.session(TRUNK),
            lambda: sessions.session(WINDOWS),
            [output.name for output in graphs[TRUNK].outputs],
            _embedding_width(self.bundle, WINDOWS),
            plan.backend,
            self._memory,
        )


def _embedding_width(bundle: Bundle, graph: str) -> int:
    """Width of a window's embedding, which is that of the texts it is compared with. Raises BundleError."""
    for tensor in bundle.graphs[graph].inputs:
        if tensor.name == "text" and isinstance(tensor.shape[-1], int):
            return tensor.shape[-1]
    raise BundleError(f"{Path(bundle.root)}: graph {graph!r} takes texts of no known width; export it again")
