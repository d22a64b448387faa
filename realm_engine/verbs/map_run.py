"""A run of maps: makes those that are not made yet, writes their files, and those of all maps together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from realm_engine.engine import Engine
from realm_engine.errors import printable
from realm_engine.machine.packages import engine_version
from realm_engine.maps.figure import Caption
from realm_engine.maps.files import MapFolder, output_stems
from realm_engine.maps.picture_map import Mapped, MapProgress, PictureMap
from realm_engine.maps.run_files import Done, write_run_files
from realm_engine.pictures.inputs import Entry
from realm_engine.tables.made import Made, MapsMade
from realm_engine.tables.record import Picture, picture_of
from realm_engine.verbs.console import Console, rate
from realm_engine.verbs.map_kinds import MapKind
from realm_engine.verbs.map_scores import MapScores


class MapRun:
    """The maps of some pictures in one folder.

    Attributes:
        failed: How many pictures have none.
    """

    def __init__(
        self,
        engine: Engine,
        kind: MapKind,
        scores: MapScores | None,
        folder: MapFolder,
        entries: Sequence[Entry],
        made: MapsMade,
    ) -> None:
        """`scores`: what stands beside the maps, None for nothing; `made`: those that an earlier run has made."""
        self._kind, self._scores, self._folder, self._made = kind, scores, folder, made
        self._entries = entries
        names = [each.name for each in entries]
        self._stems = dict(zip(names, output_stems(names), strict=True))
        self._todo = [each for each in entries if not self._is_made(each)]
        again = {each.name for each in self._todo}
        kept = {
            name: each for name, each in made.earlier.items() if name in self._stems and name not in again
        }
        self._stands_out = [each.stands_out for each in kept.values()]
        self._summaries = {name: each.summary for name, each in kept.items()}
        self._errors: dict[str, str] = {}
        used = engine.describe(kind.part)
        self._used = {
            key: used[key] for key in ("bundle", "weights", "device", "runtime", "precision", "threads")
        }
        self.failed = 0

    def make(self, stdout: IO[str], console: Console) -> None:
        """Map what is left and write all files. The regions of a single picture go to `stdout`.

        Raises RealmError where the run cannot go on, as OutputError for a full disk.
        """
        todo = self._todo
        if len(todo) < len(self._entries):
            console.say(f"{len(self._entries) - len(todo)} of {len(self._entries)} images are mapped already")
        pictures = {each.name: _picture(each) for each in todo}
        with self._made, console.progress("mapping", len(todo)) as advance:
            speed = rate("windows")
            each_mapped = self._written(todo, lambda images, windows: advance(images, speed(windows)))
            for entry, mapped in zip(todo, each_mapped, strict=True):
                self._note(entry, mapped, pictures[entry.name], console)
                if len(self._entries) == 1 and mapped.map is not None:
                    self._show_regions(mapped.map, stdout, console)
                del mapped  # the next picture is not decoded beside this one's map
        for path in write_run_files(self._folder, self._done(), self._info()):
            console.say(f"wrote {path}")
        console.say(
            f"{len(self._entries) - self.failed} of {len(self._entries)} maps in {self._folder.folder}"
        )
        known = [each for each in self._stands_out if each is not None]
        if known:
            console.say(f"nothing stands out in {known.count(False)} of {len(known)} maps")

    def _written(self, entries: Sequence[Entry], advance: MapProgress) -> Iterator[Mapped[PictureMap]]:
        """Map entries and write their files, yielding what became of each, in order.

        What is wrong with one image is a Mapped with `error`. Raises OutputError where files cannot be written.
        """
        for entry, found in zip(entries, self._kind.maps(entries, advance), strict=True):
            if found.map is None or found.image is None:
                message = found.error or "no map came out"
                known = entry.name in message or str(entry.source) in message
                yield replace(found, error=message if known else f"{entry.name}: {message}")
                continue
            score, told = "", {}
            if self._scores is not None:
                row = self._scores.row(entry.name, found.image, entry.text)
                score, told = self._scores.words(row), self._scores.facts(row)
            record = {"image": entry.name, "engine_version": engine_version(), **self._used}
            record |= {**self._kind.facts(found.map), **told}
            self._folder.write(
                self._stems[entry.name], found.image, found.map, record, Caption(entry.name, score)
            )
            yield found
            del found

    def _note(
        self, entry: Entry, mapped: Mapped[PictureMap], picture: Picture | None, console: Console
    ) -> None:
        """Remember what became of a picture, and say what there is to say."""
        if mapped.map is None:
            self.failed += 1
            # Its name stands above it already, where it lies is nothing for a picture.
            self._errors[entry.name] = (mapped.error or "").split(f"{entry.name}: ", 1)[-1]
            console.error(f"error: {mapped.error}")
            return
        stands_out, note = self._kind.stands_out(mapped.map), self._kind.note(mapped.map)
        summary = self._folder.summary(mapped.map)
        self._stands_out.append(stands_out)
        self._summaries[entry.name] = summary
        if picture is not None:
            self._made.add(
                entry.name, Made(picture, _texts(entry), self._stems[entry.name], stands_out, summary)
            )
        if note is not None:
            console.say(f"{mapped.name}: {note}")

    def _show_regions(self, found: PictureMap, stdout: IO[str], console: Console) -> None:
        """The regions as their numbers stand in the pictures, the most unreal first."""
        regions = found.regions(self._folder.regions)
        if not regions:
            console.say("no region stands out")
            return
        head = ["region", found.value_meaning.replace(" ", "_"), "x", "y", "width", "height"]
        rows = [
            [str(number), f"{found.value_of(each):.3f}", *map(str, (each.x, each.y, each.width, each.height))]
            for number, each in enumerate(regions, start=1)
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        for row in (head, *rows):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            stdout.write(printable(line.rstrip()) + "\n")
        stdout.flush()

    def _done(self) -> list[Done]:
        return [
            Done(
                each.name,
                self._stems[each.name],
                self._summaries.get(each.name),
                self._errors.get(each.name, ""),
            )
            for each in self._entries
        ]

    def _info(self) -> Mapping[str, Any]:
        told = "regions of maps by realm-engine map; score: higher = more"
        return {"description": told, "version": engine_version(), "bundle": self._used["bundle"]}

    def _is_made(self, entry: Entry) -> bool:
        """Whether the very map that would be made is there, with all of its files."""
        made = self._made.earlier.get(entry.name)
        return (
            entry.error is None
            and made is not None
            and made.picture == _picture(entry)
            and made.texts == _texts(entry)
            and made.stem == self._stems[entry.name]
            and all(path.is_file() for path in self._folder.paths(made.stem).values())
        )


def _picture(entry: Entry) -> Picture | None:
    return picture_of(entry.source) if isinstance(entry.source, Path) else None


def _texts(entry: Entry) -> tuple[str, ...] | None:
    """The texts of an entry, None where phrases stand for them."""
    if entry.text is None:
        return None
    return (entry.text,) if isinstance(entry.text, str) else tuple(entry.text)
