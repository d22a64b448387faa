"""What a bundle says of its maps: preprocessing, presets, phrases, and the policy that every host follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from realm_engine.bundle.bundle import Bundle, Part
from realm_engine.bundle.manifest import (
    INTERPOLATIONS,
    MOST_PIXELS,
    Section,
    TextSpec,
    parse_text,
    safe_relative,
)
from realm_engine.errors import BundleError

SECTION, GRAPH, TEXT_GRAPH = "dream", "dream", "clip_text"
PART = Part("dream", (TEXT_GRAPH, GRAPH))
AGGREGATES = ("mean", "max")


@dataclass(frozen=True)
class Preset:
    """Window sizes and stride in pixels, and how scales are combined ("mean" or "max")."""

    name: str
    windows_px: tuple[int, ...]
    stride_px: int
    aggregate: str


@dataclass(frozen=True)
class PhrasePolicy:
    """Which phrases of the bank count: at most `most`, none more than `margin_z` standard deviations behind the best.

    A phrase further behind describes something else: averaging it in would blur the map. `percentile`: over windows.
    """

    most: int = 3
    margin_z: float = 1.0
    percentile: float = 95.0


@dataclass(frozen=True)
class RegionPolicy:
    """What a region is: below the map's mean by `below_std` standard deviations, of `least_window_areas` of the
    smallest window's area; `most` are shown."""

    below_std: float = 1.0
    least_window_areas: float = 0.25
    most: int = 5


@dataclass(frozen=True)
class MapSpec:
    """How maps are made. `phrases`: file of the phrase bank, None if it is missing."""

    image_size_px: int
    interpolation: str
    text: TextSpec
    presets: Mapping[str, Preset]
    recommended_preset: str
    phrases: str | None
    phrase_policy: PhrasePolicy = field(default_factory=PhrasePolicy)
    region_policy: RegionPolicy = field(default_factory=RegionPolicy)


def read_maps(bundle: Bundle) -> MapSpec | None:
    """How a bundle makes maps; None for one that makes none. Raises BundleError."""
    if not bundle.has(PART):
        return None
    section = bundle.content.section(SECTION)
    spec = _parse(section, bundle.content)
    bundle.file(spec.text.tokenizer)
    if spec.phrases is not None:
        bundle.file(spec.phrases)
    return spec


def _parse(section: Section, manifest: Section) -> MapSpec:
    presets = {
        name: Preset(
            name=name,
            windows_px=entry.positives("windows_px"),
            stride_px=entry.positive("stride_px"),
            aggregate=entry.choice("aggregate", AGGREGATES),
        )
        for name, entry in section.section("presets").section_items()
    }
    if not presets:
        raise BundleError(f"{section.where}: no preset; export the bundle again")
    phrases = section.data.get("phrases")
    policy = manifest.section("maps") if "maps" in manifest.data else Section({}, manifest.where)
    return MapSpec(
        image_size_px=section.positive("image_size_px", MOST_PIXELS),
        interpolation=section.choice("interpolation", INTERPOLATIONS),
        text=parse_text(section.section("text")),
        presets=presets,
        recommended_preset=section.choice("recommended_preset", tuple(presets)),
        phrases=None if phrases is None else safe_relative(phrases, section.where),
        phrase_policy=_phrase_policy(policy),
        region_policy=_region_policy(policy),
    )


def _phrase_policy(maps: Section) -> PhrasePolicy:
    if "phrases" not in maps.data:
        return PhrasePolicy()
    section, usual = maps.section("phrases"), PhrasePolicy()
    percentile = section.number("percentile", usual.percentile)
    if not 0 <= percentile <= 100:
        raise BundleError(f"{section.where}: 'percentile' must be from 0 to 100; export the bundle again")
    most = section.positive("most") if "most" in section.data else usual.most
    return PhrasePolicy(most, section.number("margin_z", usual.margin_z), percentile)


def _region_policy(maps: Section) -> RegionPolicy:
    if "regions" not in maps.data:
        return RegionPolicy()
    section, usual = maps.section("regions"), RegionPolicy()
    areas = section.number("least_window_areas", usual.least_window_areas)
    if areas < 0:
        raise BundleError(
            f"{section.where}: 'least_window_areas' is {areas}, below 0; export the bundle again"
        )
    most = section.positive("most") if "most" in section.data else usual.most
    return RegionPolicy(section.number("below_std", usual.below_std), areas, most)
