"""The work behind `realm-engine map`: pictures and values of where images do not look real."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from realm_engine.bundle.bundle import MANIFEST
from realm_engine.engine import Engine, EngineOptions
from realm_engine.errors import UsageError
from realm_engine.machine.packages import engine_version
from realm_engine.maps.figure import Caption
from realm_engine.maps.files import MapFolder, output_stems, parse_formats
from realm_engine.maps.picture_map import Mapped, PictureMap
from realm_engine.maps.realness_map import Quantity, choose_config
from realm_engine.pictures.descriptions import is_missing, not_text
from realm_engine.pictures.find import look_for_images
from realm_engine.pictures.inputs import Entry, descriptions_by_root, file_entries, find_descriptions
from realm_engine.tables.made import Made, MapsMade
from realm_engine.tables.record import Picture, picture_of
from realm_engine.verbs.console import Console, open_engine, rate, say_descriptions, say_left_out, say_terms
from realm_engine.verbs.map_kinds import AttributionMaps, MapKind, RealnessMaps


@dataclass(frozen=True)
class MapOptions:
    """What `realm-engine map` is asked for; see its help.

    `metric` None: maps of realness, which alone take texts, windows and a `quantity`.
    """

    paths: tuple[Path, ...]
    texts: tuple[str, ...]
    descriptions: Path | None
    missing_text: str
    preset: str | None
    windows_px: tuple[int, ...]
    stride_px: int | None
    aggregate: str | None
    quantity: str | None
    output: Path
    formats: str
    limits: tuple[float, float] | None
    regions: int | None
    resume: str | None = None
    metric: str | None = None

    def __post_init__(self) -> None:
        if self.metric is not None:
            self._check_metric(self.metric)
        if self.texts and self.descriptions is not None:
            raise UsageError("--text contradicts --descriptions; give one of them")
        for text in self.texts:
            if is_missing(text):
                raise UsageError("--text is empty; say what looks unreal, or leave it out")
            wrong = not_text(text)
            if wrong is not None:
                raise UsageError(f"--text {wrong}")

    def _check_metric(self, metric: str) -> None:
        given = {
            "--text": self.texts,
            "--descriptions": self.descriptions,
            "--missing-text error": self.missing_text == "error",
            "--preset": self.preset,
            "--window": self.windows_px,
            "--stride": self.stride_px,
            "--aggregate": self.aggregate,
            "--quantity": self.quantity,
        }
        refused = [option for option, value in given.items() if value]
        if refused:
            raise UsageError(
                f"--metric {metric} takes no {' and no '.join(refused)}: its map has no text and no windows; leave "
                f"{'it' if len(refused) == 1 else 'them'} out"
            )


def map_images(options: MapOptions, how: EngineOptions, console: Console) -> int:
    """Map images and write their files; returns how many failed. Raises RealmError where nothing can be done."""
    seen = look_for_images(options.paths)
    files = seen.files
    say_left_out(seen, console)
    by_root = {} if options.descriptions is None else descriptions_by_root(files, options.descriptions)
    entries = file_entries(files, by_root, options.missing_text == "error" and not options.texts)
    if options.texts:
        entries = [replace(entry, text=options.texts) for entry in entries]
    folder = MapFolder(options.output, parse_formats(options.formats), options.limits, options.regions)
    say_descriptions(entries, by_root, options.paths, console)
    if not options.texts and not by_root and options.metric is None:
        for found in filter(None, {find_descriptions(file.root) for file in files}):
            console.warn(f"{found} is not used; --descriptions {found} would use it")
    if options.metric is not None and how.encoder != "auto":
        raise UsageError(
            f"--encoder is about windows, which the map of {options.metric} has none of; leave it out"
        )
    with open_engine(how, lambda engine: _part(engine, options.metric), console) as engine:
        kind = _kind(engine, options)
        say_terms(kind.terms, console)
        kind.check(entries)
        stems = dict(
            zip((each.name for each in entries), output_stems([each.name for each in entries]), strict=True)
        )
        made = MapsMade(options.output, run_identity(engine, kind, options), options.resume == "continue")
        todo = [each for each in entries if not _is_made(each, made.earlier, stems, folder)]
        if len(todo) < len(entries):
            console.say(f"{len(entries) - len(todo)} of {len(entries)} images are mapped already")
        again = {each.name for each in todo}
        failed, speed = 0, rate("windows")
        known = [
            each.stands_out for name, each in made.earlier.items() if name in stems and name not in again
        ]
        with made, console.progress("mapping", len(todo)) as advance:

            def show(images: float, windows: int) -> None:
                advance(images, speed(windows))

            pictures = {each.name: _picture(each) for each in todo}
            each_mapped = _written(engine, kind, todo, stems, folder, show)
            for entry, mapped in zip(todo, each_mapped, strict=True):
                failed += mapped.error is not None
                picture = pictures[entry.name]
                if mapped.map is None:
                    console.say(f"error: {mapped.error}")
                else:
                    stands_out, note = kind.stands_out(mapped.map), kind.note(mapped.map)
                    known.append(stands_out)
                    if picture is not None:
                        made.add(entry.name, Made(picture, _texts(entry), stems[entry.name], stands_out))
                    if note is not None:
                        console.say(f"{mapped.name}: {note}")
                del mapped  # the next picture is not decoded beside this one's map
    console.say(f"{len(entries) - failed} of {len(entries)} maps in {options.output}")
    known = [each for each in known if each is not None]
    if known:
        console.say(f"nothing stands out in {known.count(False)} of {len(known)} maps")
    return failed


def _part(engine: Engine, metric: str | None) -> str:
    """The part whose device and precision are said. Raises UsageError for a measure that has no map."""
    return engine.map_part if metric is None else engine.with_map(metric).part.name


def _kind(engine: Engine, options: MapOptions) -> MapKind:
    """The kind of maps that are asked for."""
    if options.metric is not None:
        return AttributionMaps(engine, options.metric)
    config = choose_config(
        engine.presets(),
        options.preset,
        options.windows_px,
        options.stride_px,
        options.aggregate,
        options.quantity or Quantity.REALNESS,
    )
    return RealnessMaps(engine, config, bool(options.texts))


def run_identity(engine: Engine, kind: MapKind, options: MapOptions) -> dict[str, str]:
    """What must be equal for the maps of two runs to lie in one folder."""
    used = engine.describe(kind.part)
    manifest = Path(used["bundle_path"]) / MANIFEST
    return {
        "bundle": str(used["bundle"]),
        "manifest": hashlib.sha256(manifest.read_bytes()).hexdigest()[:16],
        "precision": str(used["precision"]),
        "formats": ",".join(parse_formats(options.formats)),
        "range": "own" if options.limits is None else "{:g} {:g}".format(*options.limits),
        "regions": "the bundle's" if options.regions is None else str(options.regions),
        **kind.identity,
    }


def _is_made(entry: Entry, earlier: Mapping[str, Made], stems: Mapping[str, str], folder: MapFolder) -> bool:
    """Whether the very map that would be made is there, with all of its files."""
    made = earlier.get(entry.name)
    return (
        entry.error is None
        and made is not None
        and made.picture == _picture(entry)
        and made.texts == _texts(entry)
        and made.stem == stems[entry.name]
        and all(path.is_file() for path in folder.paths(made.stem).values())
    )


def _picture(entry: Entry) -> Picture | None:
    return picture_of(entry.source) if isinstance(entry.source, Path) else None


def _texts(entry: Entry) -> tuple[str, ...] | None:
    """The texts of an entry, None where phrases stand for them."""
    if entry.text is None:
        return None
    return (entry.text,) if isinstance(entry.text, str) else tuple(entry.text)


def _written(
    engine: Engine,
    kind: MapKind,
    entries: Sequence[Entry],
    stems: Mapping[str, str],
    folder: MapFolder,
    advance: Callable[[float, int], None],
) -> Iterator[Mapped[PictureMap]]:
    """Map entries and write their files, yielding what became of each, in order.

    `stems`: the path without extension of the files of each, by its name. What is wrong with one image is a Mapped
    with `error`. Raises OutputError where files cannot be written.
    """
    used = engine.describe(kind.part)
    facts: dict[str, Any] = {
        "engine_version": engine_version(),
        **{key: used[key] for key in ("bundle", "weights", "device", "runtime", "precision", "threads")},
    }
    for entry, found in zip(entries, kind.maps(entries, advance), strict=True):
        if found.map is None or found.image is None:
            message = found.error or "no map came out"
            known = entry.name in message or str(entry.source) in message
            yield replace(found, error=message if known else f"{entry.name}: {message}")
            continue
        record = {"image": entry.name, **facts, **kind.facts(found.map)}
        folder.write(stems[entry.name], found.image, found.map, record, Caption(entry.name))
        yield found
        del found
