"""The work behind `realm-engine map`: pictures and values of where images do not look real."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from realm_engine.bundle.bundle import MANIFEST
from realm_engine.engine import Engine, EngineOptions
from realm_engine.errors import UsageError
from realm_engine.machine.packages import engine_version
from realm_engine.maps.files import MapFolder, output_stems, parse_formats
from realm_engine.maps.realness_map import DreamConfig, choose_config
from realm_engine.maps.stream import Mapped
from realm_engine.opened import MAPS
from realm_engine.pictures.descriptions import is_missing, not_text
from realm_engine.pictures.find import look_for_images
from realm_engine.pictures.inputs import Entry, descriptions_by_root, file_entries, find_descriptions
from realm_engine.tables.made import Made, MapsMade
from realm_engine.tables.record import Picture, picture_of
from realm_engine.verbs.console import Console, open_engine, rate, say_descriptions, say_left_out, say_terms


@dataclass(frozen=True)
class MapOptions:
    """What `realm-engine map` is asked for; see its help."""

    paths: tuple[Path, ...]
    texts: tuple[str, ...]
    descriptions: Path | None
    missing_text: str
    preset: str | None
    windows_px: tuple[int, ...]
    stride_px: int | None
    aggregate: str | None
    quantity: str
    output: Path
    formats: str
    limits: tuple[float, float] | None
    regions: int | None
    resume: str | None = None

    def __post_init__(self) -> None:
        if self.texts and self.descriptions is not None:
            raise UsageError("--text contradicts --descriptions; give one of them")
        for text in self.texts:
            if is_missing(text):
                raise UsageError("--text is empty; say what looks unreal, or leave it out")
            wrong = not_text(text)
            if wrong is not None:
                raise UsageError(f"--text {wrong}")


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
    if not options.texts and not by_root:
        for found in filter(None, {find_descriptions(file.root) for file in files}):
            console.warn(f"{found} is not used; --descriptions {found} would use it")
    with open_engine(how, lambda engine: engine.map_part, console) as engine:
        if engine.contents.maps is not None:
            say_terms({MAPS: engine.contents.maps.terms}, console)
        config = choose_config(
            engine.presets(),
            options.preset,
            options.windows_px,
            options.stride_px,
            options.aggregate,
            options.quantity,
        )
        check_texts(engine, entries)
        stems = dict(
            zip((each.name for each in entries), output_stems([each.name for each in entries]), strict=True)
        )
        made = MapsMade(options.output, run_identity(engine, config, options), options.resume == "continue")
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
            each_mapped = map_entries(engine, todo, stems, config, folder, bool(options.texts), show)
            for entry, mapped in zip(todo, each_mapped, strict=True):
                failed += mapped.error is not None
                picture = pictures[entry.name]
                if mapped.map is not None:
                    known.append(mapped.map.stands_out)
                    if picture is not None:
                        texts = _texts(entry)
                        made.add(entry.name, Made(picture, texts, stems[entry.name], mapped.map.stands_out))
                _say_mapped(mapped, console)
                del mapped  # the next picture is not decoded beside this one's map
    console.say(f"{len(entries) - failed} of {len(entries)} maps in {options.output}")
    known = [each for each in known if each is not None]
    if known:
        console.say(f"nothing stands out in {known.count(False)} of {len(known)} maps")
    return failed


def run_identity(engine: Engine, config: DreamConfig, options: MapOptions) -> dict[str, str]:
    """What must be equal for the maps of two runs to lie in one folder."""
    used = engine.describe(engine.map_part)
    manifest = Path(used["bundle_path"]) / MANIFEST
    settled = asdict(engine.maps.dream.settled(config))
    return {
        "bundle": str(used["bundle"]),
        "manifest": hashlib.sha256(manifest.read_bytes()).hexdigest()[:16],
        "precision": str(used["precision"]),
        "config": ", ".join(f"{name} {value}" for name, value in settled.items()),
        "formats": ",".join(parse_formats(options.formats)),
        "range": "own" if options.limits is None else "{:g} {:g}".format(*options.limits),
        "regions": "the bundle's" if options.regions is None else str(options.regions),
        "texts": "given" if options.texts else "per image",
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


def check_texts(engine: Engine, entries: Sequence[Entry]) -> None:
    """Find out before any work that no image has a text and the bundle no phrases. Raises UsageError."""
    if not engine.maps.has_phrases and all(entry.text is None for entry in entries):
        raise UsageError(f"{engine.bundle.name} has no phrases to choose from; give --text or --descriptions")


def map_entries(
    engine: Engine,
    entries: Sequence[Entry],
    stems: Mapping[str, str],
    config: DreamConfig,
    folder: MapFolder,
    given: bool,
    advance: Callable[[float, int], None] = lambda images, windows: None,
) -> Iterator[Mapped]:
    """Map entries and write their files, yielding what became of each, in order.

    Args:
        engine: An open engine.
        entries: The images; those without a text get the bundle's phrases.
        stems: Path without extension of the files of each, by its name.
        config: How to map.
        folder: Where to write.
        given: The texts were given for this run, not read from descriptions; the records say so.
        advance: Told how many images, in fractions, and windows are done.

    Raises:
        OutputError: the files cannot be written; what is wrong with one image is a Mapped with `error`.
    """
    for entry, found in zip(entries, engine.map_entries(entries, config, advance), strict=True):
        if found.map is None or found.image is None:
            message = found.error or "no map came out"
            known = entry.name in message or str(entry.source) in message
            yield replace(found, error=message if known else f"{entry.name}: {message}")
            continue
        source = "phrases of the bundle" if found.map.phrases else "given" if given else "descriptions"
        folder.write(stems[entry.name], found.image, found.map, _facts(engine, entry.name, source))
        yield found
        del found


def _facts(engine: Engine, name: str, text_source: str) -> dict[str, Any]:
    used = engine.describe(engine.map_part)
    return {
        "image": name,
        "engine_version": engine_version(),
        **{key: used[key] for key in ("bundle", "weights", "device", "runtime", "precision", "threads")},
        "text_source": text_source,
    }


def _say_mapped(mapped: Mapped, console: Console) -> None:
    """Say what failed, and which phrases were chosen where nobody gave a text."""
    if mapped.map is None:
        console.say(f"error: {mapped.error}")
    elif mapped.map.phrases:
        chosen = "; ".join(f"{phrase.text} (z {phrase.z_score:+.1f})" for phrase in mapped.map.phrases)
        nothing = "; nothing stands out" if mapped.map.stands_out is False else ""
        console.say(f"{mapped.name}: phrases chosen: {chosen}{nothing}")
