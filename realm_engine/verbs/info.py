"""What this machine has and what a bundle holds: the work behind `realm-engine info` and `measures`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from realm_engine.bundle.bundle import Bundle, installed_bundles
from realm_engine.bundle.columns import Column
from realm_engine.bundle.manifest import GraphSpec
from realm_engine.bundle.terms import Terms, alike
from realm_engine.machine.files import cache_dir
from realm_engine.machine.packages import engine_version
from realm_engine.maps.adaptive import FAST
from realm_engine.maps.phrases import parse_bank
from realm_engine.maps.realness_map import DreamConfig
from realm_engine.maps.spec import ONE_PASS, MapSpec, PhotographsSpec
from realm_engine.maps.spec import PART as MAP_PART
from realm_engine.measures.measure import Measure
from realm_engine.opened import Contents
from realm_engine.runtimes.devices import available
from realm_engine.runtimes.measured import load_tuned
from realm_engine.verbs.choices import DEFAULT_PROFILE

# What the manifest says of the bundle as a whole.
_OWN_WORDS = ("name", "description", "format_version", "weights", "licence", "training_data")
_OWN_NUMBERS = ("metrics", "fidelity")


def engine_facts() -> dict[str, Any]:
    """Version, devices, installed bundles and the cache folder, ready for JSON."""
    return {
        "version": engine_version(),
        "devices": available(),
        "bundles": {name: str(path) for name, path in installed_bundles().items()},
        "cache": str(cache_dir()),
    }


def bundle_facts(name: str) -> dict[str, Any]:
    """What `info` shows of a bundle, ready for JSON; free-form parts are the manifest's. Raises BundleError."""
    bundle = Bundle.open(name, verify=False)
    contents, manifest = Contents(bundle), bundle.manifest
    files = manifest["files"]
    facts: dict[str, Any] = {key: manifest.get(key) for key in _OWN_WORDS}
    facts["terms"] = {name: _terms_facts(terms) for name, terms in contents.terms().items()}
    facts["graph_terms"] = {name: _terms_facts(terms) for name, terms in bundle.terms.items()}
    facts |= {key: manifest.get(key) for key in _OWN_NUMBERS}
    facts["path"] = str(bundle.root)
    facts["size_bytes"] = sum(int(entry["size_bytes"]) for entry in files.values())
    facts["graphs"] = {
        name: {
            precision: {"file": file, "size_bytes": int(files[file]["size_bytes"])}
            for precision, file in _labelled(graph)
        }
        for name, graph in bundle.graphs.items()
    }
    # A measure may be called like one of the words above, which are the bundle's.
    facts |= {m.name: _measure_facts(m) for m in contents.measures.all if m.name not in facts}
    facts["left_out"] = dict(contents.measures.unknown)
    if contents.maps is not None:
        facts[MAP_PART.name] = _map_facts(bundle, contents.maps)
    facts["tuned"] = _tuned(contents)
    return facts


def _labelled(graph: GraphSpec) -> Iterator[tuple[str, str]]:
    """Files of a graph with what they are: "fp16", "fp16 for cuda"."""
    yield from graph.variants.items()
    for device, own in graph.devices.items():
        yield from ((f"{precision} for {device}", file) for precision, file in own.items())


def terms_words(terms: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The "terms" of `bundle_facts` as one line each, by the names of all that it is of."""
    found = {}
    for each, names in alike({name: Terms(**facts) for name, facts in terms.items()}).items():
        text = f", {each.text}" if each.text is not None else ""
        found[", ".join(names)] = f"{each.line}{text}; trained on: {each.training_data}"
    return found


def _terms_facts(terms: Terms) -> dict[str, Any]:
    facts = asdict(terms)
    return facts if terms.text is not None else {key: facts[key] for key in facts if key != "text"}


def _measure_facts(measure: Measure) -> dict[str, Any]:
    view = measure.view
    size = f"{view.width_px} x {view.height_px} px, {view.interpolation}"
    if view.kind == "native":
        size = "as it is"
    if view.short_px is not None:
        size = f"the centre, of a short side of {view.short_px} px: {size}"
    facts: dict[str, Any] = {"says": measure.says, "image": size}
    if measure.text is not None:
        facts["max_tokens"] = measure.text.max_tokens
    facts["columns"] = {
        column.name: ", ".join(
            [
                column.meaning,
                column.span,
                *certainty(column),
            ]
        )
        for column in measure.columns
        if column.bound is None
    }
    if measure.attribution is not None:
        facts["map"] = f"where the number comes from, map --metric {measure.name}"
    return facts


def certainty(column: Column) -> list[str]:
    """How sure a column is, and when it says to distrust a row, in words."""
    found = []
    if column.interval is not None:
        share, width = column.interval.share, column.interval.half_width
        found.append(
            f"{share:.0%} of pictures never seen within +- {width.with_text:.3g}"
            + (
                f" with a description, {width.image_only:.3g} without"
                if width.with_text != width.image_only
                else ""
            )
        )
    if column.flag_above is not None:
        found.append(f"above {column.flag_above:g}: distrust the scores")
    return found


def _map_facts(bundle: Bundle, maps: MapSpec) -> dict[str, Any]:
    return {
        "window_input_px": maps.image_size_px,
        "max_tokens": maps.text.max_tokens,
        "presets": {
            preset.name: {
                "windows_px": list(preset.windows_px),
                "stride_px": preset.stride_px,
                "aggregate": preset.aggregate,
                "encoder": preset.encoder,
                **({"stands_out": asdict(preset.stands_out)} if maps.photographs is not None else {}),
            }
            for preset in maps.presets.values()
        }
        | ({} if FAST in maps.presets else {FAST: _fast_facts(maps)}),
        "recommended_preset": maps.recommended_preset,
        "phrases": phrase_count(bundle, maps),
        **({} if maps.photographs is None else {"photographs": _photograph_facts(maps.photographs)}),
    }


def _fast_facts(maps: MapSpec) -> dict[str, Any]:
    """What the engine makes of the recommended preset."""
    preset = maps.presets[maps.recommended_preset]
    made = DreamConfig.from_preset(preset).faster()
    exact = preset.encoder == ONE_PASS
    share = "the same, all windows in one pass" if exact else f"{made.fraction:.0%} of the windows, the rest"
    return {"like": preset.name, "windows": share if exact else f"{share} interpolated"}


def _photograph_facts(photographs: PhotographsSpec) -> dict[str, Any]:
    return {"windows_px": list(photographs.windows_px), "encoder": photographs.encoder}


def measure_rows(bundle: str) -> list[dict[str, Any]]:
    """What `realm-engine measures` lists, ready for JSON: one entry per measure, those left out with the reason."""
    contents = Contents(Bundle.open(bundle, verify=False))
    found: list[dict[str, Any]] = [
        {
            "name": measure.name,
            "says": measure.says,
            "columns": [
                {
                    "name": column.name,
                    "better": column.better,
                    "low": column.low,
                    "high": column.high,
                    "meaning": column.meaning,
                    "span": column.span,
                    **({"words": list(column.words)} if column.words else {}),
                    "certainty": certainty(column),
                }
                for column in measure.columns
                if column.bound is None
            ],
            "licence": measure.terms.licence,
            "commercial_use": measure.terms.commercial_use,
            "training_data": measure.terms.training_data,
            "worth": dict(measure.worth),
            "takes_text": measure.text is not None,
            "ranks": measure.ranks,
            "has_map": measure.attribution is not None,
            **({} if measure.scale is None else {"scale": asdict(measure.scale)}),
            "profiles": [DEFAULT_PROFILE, *measure.profiles],
        }
        for measure in contents.measures.all
    ]
    return found + [{"name": name, "left_out": why} for name, why in contents.measures.unknown.items()]


def _tuned(contents: Contents) -> dict[str, Any]:
    """What `tune` found best here, per part; {} where nothing was measured."""
    record = load_tuned(contents.bundle)
    if record is None:
        return {}
    best = {part.name: next(iter(record.fastest(part.name)), None) for part in contents.parts}
    chosen = {
        part: f"{one.precision} on {one.device}, batch {one.batch}, {one.threads} threads, {one.per_second:.1f}/s"
        for part, one in best.items()
        if one is not None
    }
    return {"date": record.date, "images": record.images, **chosen}


def phrase_count(bundle: Bundle, maps: MapSpec) -> int:
    """Phrases of the bank, 0 without one. Raises BundleError."""
    return (
        len(parse_bank(bundle.files.content(maps.phrases), str(bundle.file(maps.phrases))))
        if maps.phrases
        else 0
    )
