"""What pictures are computed for: what may share a run of the engine, and the answer that is made of its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from realm_engine.engine import Engine
from realm_engine.maps.realness_map import DreamConfig
from realm_engine.pictures.inputs import Entry
from realm_engine.pictures.pipeline import Watch

Finish = Callable[[Any], Any]
"""Makes an answer of what the engine says of a picture, a `Measured` or a `Mapped`, at once: it may hold megabytes."""


class Work(Protocol):
    """One kind of work. Pictures of equal ones share runs, and thereby the engine's batches."""

    def __hash__(self) -> int: ...

    @property
    def turn(self) -> int:
        """How many pictures of it are done in a row while other work waits."""

    def stream(self, engine: Engine, todo: Iterator[Entry], watch: Watch) -> Iterator[Any]:
        """One answer of the engine per entry, in order. Raises RealmError where nothing can be done."""


@dataclass(frozen=True)
class Scoring:
    """Measures of pictures, as `Engine.measure` takes them."""

    metrics: tuple[str, ...] | None
    profile: str
    combine: tuple[tuple[str, float], ...] | None

    turn = 64

    def weights(self) -> dict[str, float] | None:
        """The weights of what is combined, by name."""
        return None if self.combine is None else dict(self.combine)

    def stream(self, engine: Engine, todo: Iterator[Entry], watch: Watch) -> Iterator[Any]:
        """See `Work.stream`."""
        return engine.measure(todo, self.metrics, profile=self.profile, combine=self.weights(), watch=watch)


@dataclass(frozen=True)
class RealnessMapping:
    """Maps of realness; a picture of more than `most_windows` is refused."""

    config: DreamConfig
    most_windows: int

    turn = 4

    def stream(self, engine: Engine, todo: Iterator[Entry], watch: Watch) -> Iterator[Any]:
        """See `Work.stream`."""
        return engine.map_entries(todo, self.config, most_windows=self.most_windows, watch=watch)


@dataclass(frozen=True)
class AttributionMapping:
    """Maps of where the number of a measure comes from."""

    metric: str

    turn = 4

    def stream(self, engine: Engine, todo: Iterator[Entry], watch: Watch) -> Iterator[Any]:
        """See `Work.stream`."""
        return engine.attribution_entries(todo, self.metric, watch=watch)
