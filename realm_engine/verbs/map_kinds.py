"""The kinds of maps that `realm-engine map` makes: of realness, by texts, and of where a number comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from realm_engine.bundle.terms import Terms
from realm_engine.engine import Engine
from realm_engine.errors import UsageError
from realm_engine.maps.attribution import AttributionMap
from realm_engine.maps.picture_map import Mapped, MapProgress, PictureMap
from realm_engine.maps.realness_map import DreamConfig, RealnessMap
from realm_engine.opened import MAPS
from realm_engine.pictures.inputs import Entry


class MapKind(Protocol):
    """What one kind of map needs beside what all do."""

    @property
    def part(self) -> str:
        """The part of the bundle that does the work."""

    @property
    def terms(self) -> Mapping[str, Terms]:
        """Of the weights that are used."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What must be equal for the maps of two runs to lie in one folder, beside bundle, precision and files."""

    def check(self, entries: Sequence[Entry]) -> None:
        """Find out before any work that none of the images can be mapped. Raises UsageError."""

    def maps(self, entries: Sequence[Entry], progress: MapProgress) -> Iterator[Mapped[PictureMap]]:
        """One Mapped per entry, in order."""

    def facts(self, found: PictureMap) -> Mapping[str, Any]:
        """What the record of a map says of this run, beside what the map knows itself."""

    def stands_out(self, found: PictureMap) -> bool | None:
        """Whether anything does on a map; None where that is not known."""

    def note(self, found: PictureMap) -> str | None:
        """What to say of a map while it is written."""


@dataclass(frozen=True)
class RealnessMaps:
    """Maps of realness. `given`: the texts were given for this run, not read from descriptions."""

    engine: Engine
    config: DreamConfig
    given: bool

    @property
    def part(self) -> str:
        """That of maps."""
        return self.engine.map_part

    @property
    def terms(self) -> Mapping[str, Terms]:
        """Those of maps."""
        maps = self.engine.contents.maps
        return {} if maps is None else {MAPS: maps.terms}

    @property
    def identity(self) -> Mapping[str, str]:
        """How windows are laid and encoded, and where texts come from."""
        settled = asdict(self.engine.maps.dream.settled(self.config))
        return {
            "config": ", ".join(f"{name} {value}" for name, value in settled.items()),
            "texts": "given" if self.given else "per image",
        }

    def check(self, entries: Sequence[Entry]) -> None:
        """Refuse images of which none has a text, where the bundle has no phrases."""
        if not self.engine.maps.has_phrases and all(entry.text is None for entry in entries):
            raise UsageError(
                f"{self.engine.bundle.name} has no phrases to choose from; give --text or --descriptions"
            )

    def maps(self, entries: Sequence[Entry], progress: MapProgress) -> Iterator[Mapped[RealnessMap]]:
        """See `Engine.map_entries`; those without a text get the bundle's phrases."""
        return self.engine.map_entries(entries, self.config, progress)

    def facts(self, found: PictureMap) -> Mapping[str, Any]:
        """Where the texts come from."""
        assert isinstance(found, RealnessMap)
        source = "given" if self.given else "descriptions"
        return {"text_source": "phrases of the bundle" if found.phrases else source}

    def stands_out(self, found: PictureMap) -> bool | None:
        """What the map says."""
        assert isinstance(found, RealnessMap)
        return found.stands_out

    def note(self, found: PictureMap) -> str | None:
        """Which phrases were chosen, where nobody gave a text."""
        assert isinstance(found, RealnessMap)
        if not found.phrases:
            return None
        chosen = "; ".join(f"{phrase.text} (z {phrase.z_score:+.1f})" for phrase in found.phrases)
        return f"phrases chosen: {chosen}{'; nothing stands out' if found.stands_out is False else ''}"


@dataclass(frozen=True)
class AttributionMaps:
    """Maps of what pixels add to the number of a measure."""

    engine: Engine
    metric: str

    @property
    def part(self) -> str:
        """That of the measure's tower."""
        return self.engine.chosen(self.metric).first.part.name

    @property
    def terms(self) -> Mapping[str, Terms]:
        """Those of the measure."""
        return {self.metric: self.engine.chosen(self.metric).first.terms}

    @property
    def identity(self) -> Mapping[str, str]:
        """The measure."""
        return {"metric": self.metric}

    def check(self, entries: Sequence[Entry]) -> None:
        """Nothing can be wrong with all of them: texts are not looked at."""

    def maps(self, entries: Sequence[Entry], progress: MapProgress) -> Iterator[Mapped[AttributionMap]]:
        """See `Engine.attribution_entries`."""
        return self.engine.attribution_entries(entries, self.metric, progress)

    def facts(self, found: PictureMap) -> Mapping[str, Any]:
        """None: the map knows its numbers."""
        return {}

    def stands_out(self, found: PictureMap) -> bool | None:
        """Not known: nobody measured what untouched pictures give."""
        return None

    def note(self, found: PictureMap) -> str | None:
        """The measure's first number, and its words."""
        assert isinstance(found, AttributionMap)
        (name, value), *others = found.columns.items()
        words = [f"{column} {word}" for column, word in others if isinstance(word, str)]
        return ", ".join([f"{name} {value:.3f}", *words])
