"""The work behind `realm-engine map`: which configuration, which text, and the files of every image."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from realm_engine import __version__
from realm_engine.engine import Engine
from realm_engine.errors import UsageError
from realm_engine.maps.files import MapFolder, output_stems
from realm_engine.maps.realness_map import DreamConfig, Quantity
from realm_engine.maps.stream import Mapped
from realm_engine.pictures.inputs import Entry


def choose_config(
    presets: Mapping[str, DreamConfig],
    preset: str | None = None,
    windows_px: Sequence[int] = (),
    stride_px: int | None = None,
    aggregate: str | None = None,
    quantity: str = Quantity.REALNESS,
) -> DreamConfig:
    """A preset with the parts that were given in their place.

    Args:
        presets: Presets by name, the recommended one first.
        preset: Name of one; None: the recommended one.
        windows_px: Window sizes instead of the preset's; empty: the preset's.
        stride_px: Stride instead of the preset's.
        aggregate: "mean" or "max" instead of the preset's.
        quantity: What the map holds.

    Raises:
        UsageError: there is no such preset.
        WindowError: window or stride are not positive.
    """
    if preset is not None and preset not in presets:
        raise UsageError(f"--preset {preset}: this bundle has {', '.join(presets)}")
    config = presets[preset or next(iter(presets))].with_quantity(quantity)
    if windows_px:
        config = replace(config, windows_px=tuple(windows_px))
    if stride_px is not None:
        config = replace(config, stride_px=stride_px)
    if aggregate is not None:
        config = replace(config, aggregate=aggregate)
    # How many windows can be spared depends on the stride, which may be another one now.
    return config if config.fraction == 1 else config.faster()


def check_texts(engine: Engine, entries: Sequence[Entry]) -> None:
    """Find out before any work that no image has a text and the bundle no phrases. Raises UsageError."""
    if not engine.maps.has_phrases and all(entry.text is None for entry in entries):
        raise UsageError(f"{engine.bundle.name} has no phrases to choose from; give --text or --descriptions")


def map_entries(
    engine: Engine,
    entries: Sequence[Entry],
    config: DreamConfig,
    folder: MapFolder,
    given: bool,
    advance: Callable[[float, int], None] = lambda images, windows: None,
) -> Iterator[Mapped]:
    """Map entries and write their files, yielding what became of each, in order.

    Args:
        engine: An open engine.
        entries: The images; those without a text get the bundle's phrases.
        config: How to map.
        folder: Where to write.
        given: The texts were given for this run, not read from descriptions; the records say so.
        advance: Told how many images, in fractions, and windows are done.

    Raises:
        OutputError: the files cannot be written; what is wrong with one image is a Mapped with `error`.
    """
    stems = output_stems([entry.name for entry in entries])
    for entry, stem, found in zip(entries, stems, engine.map_entries(entries, config, advance), strict=True):
        if found.map is None or found.image is None:
            message = found.error or "no map came out"
            known = entry.name in message or str(entry.source) in message
            yield replace(found, error=message if known else f"{entry.name}: {message}")
            continue
        source = "phrases of the bundle" if found.map.phrases else "given" if given else "descriptions"
        folder.write(stem, found.image, found.map, _facts(engine, entry.name, source))
        yield found


def _facts(engine: Engine, name: str, text_source: str) -> dict[str, Any]:
    used = engine.describe(engine.map_part)
    return {
        "image": name,
        "engine_version": __version__,
        **{key: used[key] for key in ("bundle", "weights", "device", "runtime", "precision", "threads")},
        "text_source": text_source,
    }
