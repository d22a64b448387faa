"""Mapping many images: which configuration, which text, and one outcome per image."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from realm_engine import __version__
from realm_engine.engine import Engine
from realm_engine.errors import UsageError
from realm_engine.maps.dream import DreamConfig, Phrase
from realm_engine.maps.files import MapFolder, output_stems
from realm_engine.verbs.score import Item


@dataclass(frozen=True)
class Outcome:
    """What became of one image: the phrases that the engine chose for it, or why it failed."""

    name: str
    phrases: tuple[Phrase, ...] = ()
    error: str = ""


def choose_config(
    presets: Mapping[str, DreamConfig],
    preset: str | None = None,
    windows_px: Sequence[int] = (),
    stride_px: int | None = None,
    aggregate: str | None = None,
    quantity: str = "realness",
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


def check_texts(engine: Engine, items: Sequence[Item], texts: Sequence[str]) -> None:
    """Find out before any work that no image has a text and the bundle no phrases.

    Raises:
        UsageError: so it is.
    """
    dream = engine.bundle.dream
    bank = dream is not None and dream.phrases is not None
    if not bank and not texts and all(item.text is None for item in items):
        raise UsageError(f"{engine.bundle.name} has no phrases to choose from; give --text or --descriptions")


def map_items(
    engine: Engine,
    items: Sequence[Item],
    texts: Sequence[str],
    config: DreamConfig,
    folder: MapFolder,
    advance: Callable[[float, int], None] = lambda images, windows: None,
) -> Iterator[Outcome]:
    """Map images and write their files, yielding what became of each, in order.

    Args:
        engine: An open engine.
        items: The images.
        texts: Texts for all of them; empty: each item's own, or the bundle's phrases where it has none.
        config: How to map.
        folder: Where to write.
        advance: Told how many images, in fractions, and windows are done.

    Raises:
        OutputError: the files cannot be written; what is wrong with one image is an outcome instead.
    """
    stems = output_stems([item.file.name for item in items])
    good = [item for item in items if not item.error]
    bad = len(items) - len(good)
    mapped = engine.iter_maps(
        [item.file.path for item in good],
        [list(texts) or item.text for item in good],
        config,
        names=[item.file.name for item in good],
        progress=lambda images, windows: advance(bad + images, windows),
    )
    for item, stem in zip(items, stems, strict=True):
        if item.error:
            yield Outcome(item.file.name, error=item.error)
            continue
        answer = next(mapped)
        if answer.map is None or answer.image is None:
            message = answer.error or "no map came out"
            known = item.file.name in message or str(item.file.path) in message
            yield Outcome(item.file.name, error=message if known else f"{item.file.name}: {message}")
            continue
        source = "phrases of the bundle" if answer.map.phrases else "given" if texts else "descriptions"
        folder.write(stem, answer.image, answer.map, _facts(engine, item.file.name, source))
        yield Outcome(item.file.name, answer.map.phrases)


def _facts(engine: Engine, name: str, text_source: str) -> dict[str, Any]:
    used = engine.describe("dream")
    return {
        "image": name,
        "engine_version": __version__,
        **{key: used[key] for key in ("bundle", "weights", "device", "runtime", "precision", "threads")},
        "text_source": text_source,
    }
