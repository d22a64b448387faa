"""What a bundle says of its maps: preprocessing, presets, phrases, and the policy that every host follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from realm_engine.bundle.bundle import Bundle, Part
from realm_engine.bundle.manifest import (
    INTERPOLATIONS,
    MOST,
    MOST_PIXELS,
    Section,
    TextSpec,
    parse_text,
    safe_relative,
)
from realm_engine.bundle.terms import Terms
from realm_engine.errors import BundleError

SECTION, GRAPH, TEXT_GRAPH = "dream", "dream", "clip_text"
TRUNK, WINDOWS = "trunk", "windows"
PHOTOGRAPHS = "photographs"
PART = Part("dream", (TEXT_GRAPH, GRAPH))
EACH_WINDOW, ONE_PASS = "each-window", "one-pass"
# Encoders, and the graphs that each needs beside the text tower.
ENCODERS: Mapping[str, tuple[str, ...]] = {EACH_WINDOW: (GRAPH,), ONE_PASS: (TRUNK, WINDOWS)}
AGGREGATES = ("mean", "max")
# Of a preset: who asks for less by himself knows what it costs, who opens a bundle does not.
LEAST_WINDOW_PX, LEAST_STRIDE_PX, MOST_SCALES = 8, 4, 8


@dataclass(frozen=True)
class StandsOut:
    """`z_high` that the maps of few untouched photographs reach; None where that was not measured.

    `text`: of a text that was given. `phrases`: of phrases that the engine picked for the picture.
    """

    text: float | None = None
    phrases: float | None = None


@dataclass(frozen=True)
class Preset:
    """Window sizes and stride in pixels, how scales are combined ("mean" or "max"), and what encodes windows."""

    name: str
    windows_px: tuple[int, ...]
    stride_px: int
    aggregate: str
    encoder: str = EACH_WINDOW
    stands_out: StandsOut = StandsOut()


@dataclass(frozen=True)
class PhotographsSpec:
    """Windows of photographs that the graph `photographs` knows: sizes in the order of its columns, their encoder."""

    windows_px: tuple[int, ...]
    encoder: str


@dataclass(frozen=True)
class PassSpec:
    """How a trunk runs over a picture. `cells_px`: sides of the cells of its stages, one after the other, each once.

    `halo_px`: how far a cell sees, at most; a picture that is run in bands overlaps by so much.
    """

    cells_px: tuple[int, ...]
    halo_px: int

    @property
    def coarsest_px(self) -> int:
        """Side of the largest cell."""
        return max(self.cells_px)

    def filled(self, length: int) -> int:
        """Pixels along an axis, filled up to whole ones of the largest cells, as a trunk fills a picture up."""
        return -(-length // self.coarsest_px) * self.coarsest_px


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
    """How maps are made. `phrases`: file of the phrase bank, None if it is missing. `terms`: of the weights.

    `encoders`: what can encode windows here, that of the recommended preset first; `part`: all their graphs.
    """

    image_size_px: int
    interpolation: str
    text: TextSpec
    presets: Mapping[str, Preset]
    recommended_preset: str
    phrases: str | None
    terms: Terms
    phrase_policy: PhrasePolicy = field(default_factory=PhrasePolicy)
    region_policy: RegionPolicy = field(default_factory=RegionPolicy)
    encoders: tuple[str, ...] = (EACH_WINDOW,)
    part: Part = PART
    one_pass: PassSpec | None = None
    photographs: PhotographsSpec | None = None

    @property
    def small_graphs(self) -> tuple[str, ...]:
        """Graphs of maps that belong to no part: they run on the CPU in float32."""
        return () if self.photographs is None else (PHOTOGRAPHS,)


def read_maps(bundle: Bundle) -> MapSpec | None:
    """How a bundle makes maps; None for one that makes none. Raises BundleError."""
    found = tuple(
        name for name, graphs in ENCODERS.items() if all(graph in bundle.graphs for graph in graphs)
    )
    if not found or TEXT_GRAPH not in bundle.graphs:
        return None
    section = bundle.content.section(SECTION)
    spec = _parse(section, bundle.content, found)
    bundle.file(spec.text.tokenizer)
    if spec.phrases is not None:
        bundle.file(spec.phrases)
    if spec.photographs is not None:
        _check_photographs(bundle, spec.photographs, section.where)
    return spec


def _parse(section: Section, manifest: Section, encoders: tuple[str, ...]) -> MapSpec:
    presets = {
        name: Preset(
            name=name,
            windows_px=_windows(entry),
            stride_px=entry.whole("stride_px", LEAST_STRIDE_PX, MOST),
            aggregate=entry.choice("aggregate", AGGREGATES),
            encoder=entry.choice("encoder", encoders) if "encoder" in entry.data else encoders[0],
            stands_out=_stands_out(entry),
        )
        for name, entry in section.section("presets").section_items()
    }
    if not presets:
        raise BundleError(f"{section.where}: no preset; export the bundle again")
    phrases = section.data.get("phrases")
    policy = manifest.section("maps") if "maps" in manifest.data else Section({}, manifest.where)
    recommended = section.choice("recommended_preset", tuple(presets))
    first = presets[recommended].encoder
    return MapSpec(
        image_size_px=section.positive("image_size_px", MOST_PIXELS),
        interpolation=section.choice("interpolation", INTERPOLATIONS),
        text=parse_text(section.section("text")),
        presets=presets,
        recommended_preset=recommended,
        phrases=None if phrases is None else safe_relative(phrases, section.where),
        terms=Terms.parse(section, Terms.of_bundle(manifest.data)),
        phrase_policy=_phrase_policy(policy),
        region_policy=_region_policy(policy),
        encoders=tuple(sorted(encoders, key=lambda name: name != first)),
        # What takes the pixels of the recommended preset comes last: its precisions are the part's.
        part=Part(
            PART.name,
            (
                TEXT_GRAPH,
                *(graph for name in encoders if name != first for graph in ENCODERS[name]),
                *ENCODERS[first],
            ),
        ),
        one_pass=_pass_spec(section) if ONE_PASS in encoders else None,
        photographs=_photographs(section),
    )


def _windows(preset: Section) -> tuple[int, ...]:
    windows = preset.positives("windows_px")
    if min(windows) < LEAST_WINDOW_PX or len(set(windows)) != len(windows) or len(windows) > MOST_SCALES:
        raise BundleError(
            f"{preset.where}: 'windows_px' must list at most {MOST_SCALES} different sizes from {LEAST_WINDOW_PX} px; "
            "export the bundle again"
        )
    return windows


def _stands_out(preset: Section) -> StandsOut:
    if "stands_out" not in preset.data:
        return StandsOut()
    section = preset.section("stands_out")
    found = {key: section.number(key) for key in ("text", "phrases") if key in section.data}
    for key, value in found.items():
        if value <= 0:
            raise BundleError(f"{section.where}: '{key}' must be above 0; export the bundle again")
    return StandsOut(found.get("text"), found.get("phrases"))


def _photographs(section: Section) -> PhotographsSpec | None:
    if PHOTOGRAPHS not in section.data:
        return None
    entry = section.section(PHOTOGRAPHS)
    return PhotographsSpec(entry.positives("windows_px"), entry.choice("encoder", tuple(ENCODERS)))


def _check_photographs(bundle: Bundle, spec: PhotographsSpec, where: str) -> None:
    graph = bundle.graphs.get(PHOTOGRAPHS)
    found = [] if graph is None else [graph.output(name) for name in ("mean", "std")]
    if any(tensor is None or tensor.shape[-1:] != (len(spec.windows_px),) for tensor in found or [None]):
        raise BundleError(
            f"{where}: 'photographs' needs a graph of that name whose mean and std have {len(spec.windows_px)} "
            "columns; export the bundle again"
        )


def _pass_spec(section: Section) -> PassSpec:
    entry = section.section("one_pass")
    spec = PassSpec(entry.positives("cells_px"), entry.positive("halo_px", MOST_PIXELS))
    uneven = [
        cell for cell in (*spec.cells_px, spec.halo_px) if spec.coarsest_px % cell and cell % spec.coarsest_px
    ]
    if uneven or spec.halo_px % spec.coarsest_px:
        raise BundleError(
            f"{entry.where}: cells of {', '.join(map(str, spec.cells_px))} px and a halo of {spec.halo_px} px do not "
            "fit into one another; export the bundle again"
        )
    return spec


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
