"""The engine: opens bundles on the best runtime of the machine, measures pictures and draws maps."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal, NoReturn, TypeVar, overload

import numpy as np

from realm_engine.arrays import Float32, UInt8
from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import UsageError
from realm_engine.machine.memory import MemoryLimit, parse_bytes
from realm_engine.maps.attribution import Attributed, AttributionMap, AttributionStream
from realm_engine.maps.coco import coco_dataset
from realm_engine.maps.contact import contact_sheets
from realm_engine.maps.dream import Progress
from realm_engine.maps.picture_map import Mapped, MapProgress
from realm_engine.maps.realness_map import DreamConfig, RealnessMap
from realm_engine.maps.spec import ENCODERS, RegionPolicy
from realm_engine.maps.spec import PART as MAP_PART
from realm_engine.maps.stream import Mapper, MapStream, texts_of_map
from realm_engine.maps.windows import WindowGrid
from realm_engine.measures.contributions import ContributionStream, with_attribution
from realm_engine.measures.features import Features, FeatureStream, tower_of
from realm_engine.measures.measure import Measure
from realm_engine.measures.profiles import DEFAULT
from realm_engine.measures.stream import Group, MeasureStream
from realm_engine.measures.table import Chosen, choose_measures
from realm_engine.opened import Contents, Opened
from realm_engine.pictures.descriptions import Descriptions
from realm_engine.pictures.inputs import Entry, Texts, entries
from realm_engine.pictures.intake import Intake, answers_for, name_of
from realm_engine.pictures.pipeline import Watch
from realm_engine.pictures.sources import ImageSource, Layout, check_decoded, pictures_of
from realm_engine.runtimes.choose import PREFER_FP16, PartPlan, choose_plans
from realm_engine.runtimes.measured import load_tuned
from realm_engine.tables.frame import table
from realm_engine.tables.rows import Measured

__all__ = [
    "DEFAULT_BUNDLE",
    "PREFER_FP16",
    "AttributionMap",
    "DreamConfig",
    "Engine",
    "EngineOptions",
    "Mapped",
    "Measured",
    "RealnessMap",
    "coco_dataset",
    "contact_sheets",
    "pictures_of",
    "table",
]

log = logging.getLogger("realm_engine")

DEFAULT_BUNDLE = "realm-tiny"
MISSING_TEXT = ("allow", "error")

T = TypeVar("T")


@dataclass(frozen=True)
class EngineOptions:
    """How an engine is opened; see `Engine.open`."""

    bundle: str | os.PathLike[str] = DEFAULT_BUNDLE
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    max_memory: int | str | None = None
    tuned: bool = True
    more: tuple[str | os.PathLike[str], ...] = ()
    encoder: str = "auto"
    fixed_shapes: bool | Literal["auto"] = "auto"

    def open(self) -> Engine:
        """Open the engine. Raises as `Engine.open`."""
        return Engine.open(
            self.bundle,
            self.device,
            self.precision,
            self.threads,
            self.max_memory,
            self.tuned,
            self.more,
            self.encoder,
            self.fixed_shapes,
        )


class Engine:
    """Bundles opened on a device. Use as a context manager, or `close` it, to free the runtime.

    Any number of threads may use one engine at once; none of them changes another's results. It stays in the process
    that opened it: in one that was forked since, and once it is closed, whatever runs a graph raises ClosedError, also
    a generator that was begun before. It cannot be pickled; `EngineOptions` can, and its `open` opens one anywhere.
    """

    def __init__(self, opened: Sequence[Opened], memory: MemoryLimit) -> None:
        self._opened = tuple(opened)
        self._main = self._opened[0]
        self._memory = memory
        self._intake = Intake(memory)

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] = DEFAULT_BUNDLE,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        max_memory: int | str | None = None,
        tuned: bool = True,
        more: Sequence[str | os.PathLike[str]] = (),
        encoder: str = "auto",
        fixed_shapes: bool | Literal["auto"] = "auto",
    ) -> Engine:
        """Open a bundle by name (a str that is one) or folder (a path, or a str with a separator: "./NAME").

        `device`: auto, cpu, cuda, openvino, tensorrt or tensorrt-rtx. `precision`: auto, a variant of the
        bundle (fp32, fp16, int8), one that the runtime computes by itself (openvino: bf16), or "prefer-fp16".
        `auto` is the fastest that `realm-engine tune` measured here and found within its gates; without that,
        the first device that works of cuda, cpu and openvino, and what the manifest recommends for it, else
        fp32. `threads`: CPU threads, by default as tuned or all that the process may use. `max_memory`: bytes,
        or "2G", that the process may hold; by default 2 GiB, or more where the models alone take that. `tuned`
        False ignores what was measured. `more`: bundles whose measures are there as well; maps are those of the
        first. `encoder`: how windows of maps are encoded, "each-window", "one-pass", or "auto": as the preset says.
        `fixed_shapes`: calls have one of a few shapes, filled up with zeros that change no answer, and hold pictures
        of many sizes; "auto": on devices that are slow at shapes that are new to them.
        Raises BundleError, DeviceError or UsageError; nothing is ever replaced silently.
        """
        limit = parse_bytes(max_memory) if isinstance(max_memory, str) else max_memory
        memory = MemoryLimit() if limit is None else MemoryLimit(limit, strict=True)
        if encoder not in ("auto", *ENCODERS):
            raise UsageError(f"encoder is {encoder!r}; choose one of auto, {', '.join(ENCODERS)}")
        if fixed_shapes not in ("auto", True, False):
            raise UsageError(f"fixed_shapes is {fixed_shapes!r}; choose one of 'auto', True, False")
        asked = None if encoder == "auto" else encoder
        opened = []
        for name in (bundle, *more):
            contents = Contents(Bundle.open(name))
            record = load_tuned(contents.bundle) if tuned and "auto" in (device, precision) else None
            plans = choose_plans(contents.bundle, contents.parts, device, precision, threads, record)
            opened.append(Opened(contents, plans, memory, asked, fixed_shapes))
        engine = cls(opened, memory)
        used = engine.describe()
        log.info(
            "device %s, runtime %s, precision %s, bundle %s",
            *(used[key] for key in ("device", "runtime", "precision", "bundle")),
        )
        return engine

    @classmethod
    def of_parts(cls, contents: Contents, plans: dict[str, PartPlan]) -> Engine:
        """An engine on runtimes that a host brings; what their calls take is not held here, nor bounded."""
        memory = MemoryLimit(1 << 62)
        return cls([Opened(contents, plans, memory)], memory)

    def __repr__(self) -> str:
        """Bundles, device, runtime, precision and threads, and whether it can be used."""
        used, names = self.describe(), ", ".join(opened.bundle.name for opened in self._opened)
        state = "open" if self._main.sessions.is_open else "closed"
        runs = f"{used['device']} ({used['runtime']}), {used['precision']}, threads {used['threads']}"
        return f"<Engine {names} on {runs}, {state}>"

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            "an Engine cannot be pickled or copied, its runtime lives in this process; send EngineOptions(...), "
            "whose open() gives one there"
        )

    def close(self) -> None:
        """Free the runtime's sessions. The engine cannot run afterwards."""
        for opened in self._opened:
            opened.sessions.close()

    def ceiling_bytes(self) -> int | None:
        """Memory that the process should never hold whatever its bundles ask for; None on a GPU, whose libraries
        reserve more than they use.

        The limit that was given, else twice the usual one and eight times what the files of the bundles take.
        """
        if any(plan.backend.resident for opened in self._opened for plan in opened.sessions.plans.values()):
            return None
        files = sum(opened.bundle.files.size_bytes for opened in self._opened)
        return self._memory.limit_bytes if self._memory.strict else 2 * self._memory.limit_bytes + 8 * files

    @property
    def bundle(self) -> Bundle:
        """The bundle, the first where several are open."""
        return self._main.bundle

    @property
    def contents(self) -> Contents:
        """What the bundle offers, in any precision."""
        return self._main.contents

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Every measure that can be asked for, the default first."""
        names: dict[str, Measure] = {}
        for opened in self._opened:
            for measure in opened.contents.measures.all:
                names.setdefault(measure.name, measure)
        return tuple(names.values())

    def can(self, part: str) -> bool:
        """Whether a part of the bundle is there in the precision that was asked for."""
        return part in self._main.sessions.plans

    def describe(self, part: str | None = None) -> dict[str, Any]:
        """What answers: device, runtime, precision, threads, and the bundle's name, folder and weights.

        `part`: one part alone; by default all, joined where they differ ("core fp32, dream bf16").
        """
        return self._main.sessions.describe(part)

    def bundles(self) -> list[dict[str, Any]]:
        """`describe` of every bundle that is open."""
        return [opened.sessions.describe() for opened in self._opened]

    # -------------------------------------------------------------- measure

    def score(
        self,
        images: ImageSource | Iterable[ImageSource],
        descriptions: str | Iterable[str | None] | Descriptions | None = None,
        *,
        metrics: str | Sequence[str] | None = None,
        batch_size: int | None = None,
        missing_text: str = "allow",
        names: Sequence[str] | None = None,
        profile: str = DEFAULT,
        combine: Mapping[str, float] | None = None,
        layout: Layout | None = None,
    ) -> list[Measured]:
        """Measure images; the list of what `iter_scores` yields, which `table` makes columns of."""
        return list(
            self.iter_scores(
                images,
                descriptions,
                metrics=metrics,
                batch_size=batch_size,
                missing_text=missing_text,
                names=names,
                profile=profile,
                combine=combine,
                layout=layout,
            )
        )

    def iter_scores(
        self,
        images: ImageSource | Iterable[ImageSource],
        descriptions: str | Iterable[str | None] | Descriptions | None = None,
        *,
        metrics: str | Sequence[str] | None = None,
        batch_size: int | None = None,
        missing_text: str = "allow",
        names: Sequence[str] | None = None,
        profile: str = DEFAULT,
        combine: Mapping[str, float] | None = None,
        layout: Layout | None = None,
    ) -> Iterator[Measured]:
        """Yield one Measured per image, in order; the next images are decoded while the model works.

        `images`: one or many paths, bytes, binary streams or uint8 RGB H x W x 3 arrays; a directory
        stands for the images in it. `layout`: the images are tensors of any library, uint8, and these their axes:
        "NCHW", "NHWC" (batches, or a loader of them), "CHW", "HWC"; see `pictures_of`.
        `descriptions`: one per image (None = none), a text when there is one image, or `read_descriptions(...)` to look
        them up by name. `metrics`: names of measures, by default the first of the bundle; all of them share one
        decode. `missing_text`: an image without a description is looked at alone ("allow") or gets an error
        ("error"). `names` replaces the names in the results. `profile`: "default", or "published" for the numbers of a
        measure's original, its defects included. `combine`: for the measure "combined", weights of its terms by name
        (`{"core": 2, "niqe": 1}`); all of them must be asked for.
        Where the bundle says how sure a number is, `Measured.interval("realness")` gives its ends, and `flags` names
        the columns that are a reason to distrust the image's numbers, as "unlike". Results do not depend on
        `batch_size`. An image that cannot be read or measured is a Measured with `error`.
        Raises UsageError, ClosedError, BundleError without a measure, and for what can be no image whatever it holds (a
        number, an array of floats) ImageTypeError and ImageValueError, which are a TypeError and a ValueError.
        """
        if missing_text not in MISSING_TEXT:
            raise UsageError(f"missing_text is {missing_text!r}; choose one of {', '.join(MISSING_TEXT)}")
        todo = entries(images, descriptions, names, missing_text == "error", "descriptions", layout)
        return self.measure(todo, metrics, batch_size, profile=profile, combine=combine)

    def chosen(
        self,
        metrics: str | Sequence[str] | None = None,
        profile: str = DEFAULT,
        combine: Mapping[str, float] | None = None,
    ) -> Chosen:
        """The measures of these names, by default the first of the bundle. Raises UsageError and BundleError."""
        names = [metrics] if isinstance(metrics, str) else metrics
        offered = [(opened.bundle.name, opened.contents.measures) for opened in self._opened]
        return choose_measures(offered, names, profile, combine)

    def measure(
        self,
        todo: Iterable[Entry],
        metrics: str | Sequence[str] | None = None,
        batch_size: int | None = None,
        gather: bool | None = None,
        profile: str = DEFAULT,
        combine: Mapping[str, float] | None = None,
        watch: Watch | None = None,
    ) -> Iterator[Measured]:
        """Yield one Measured per entry, in order. See `iter_scores`.

        `gather`: wait for images that are being decoded rather than make a call that is not full; by default on
        a device with a memory of its own, which decodes nothing meanwhile and is slow at shapes that are new.
        `todo` may run dry for now, as a queue does, and `watch` is told how long things take: see `Pipeline`.
        """
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch size is {batch_size}; give a number of at least 1")
        stream, plans, wanted = self._stream(self.chosen(metrics, profile, combine), batch_size)
        stream.per_call(np.empty((1, 1, 3), dtype=np.uint8))  # a limit below the models' own need fails now
        threads = min(plan.backend.threads for plan in plans)
        if gather is None:
            gather = all(plan.backend.resident for plan in plans)
        pipeline = self._intake.pipeline(
            stream.run, stream.fail, stream.per_call, wanted, threads, gather, stream.key, watch
        )
        return self._while_open(pipeline.stream(iter(todo)))

    def features(self, todo: Iterable[Entry], batch_size: int | None = None) -> Iterator[Features]:
        """Yield the features of one picture per entry, in order: what a tower of the bundle sees, without any text.

        The tower is that of the first measure whose graph gives `features`. Raises BundleError where none does.
        """
        measure, graph = tower_of(self.bundle, self.contents.measures.all)
        self._main.ready([measure])
        plan = self._main.sessions.plan(measure.part.name)
        memory = None if plan.backend.resident else self._memory
        wanted = batch_size or plan.batch or plan.backend.image_batch
        stream = FeatureStream(
            Group(self._main, (measure,), memory, self._main.many_sizes([plan])), graph, wanted
        )
        return self._intake.pipeline(
            stream.run,
            stream.fail,
            stream.per_call,
            wanted,
            plan.backend.threads,
            plan.backend.resident,
            stream.key,
        ).stream(iter(todo))

    def look(
        self,
        images: Sequence[UInt8],
        texts: Sequence[str | None] | None = None,
        metrics: str | Sequence[str] | None = None,
    ) -> list[Measured]:
        """Measure decoded images of one size, uint8 RGB H x W x 3, in one call. See `iter_scores`.

        Raises what goes wrong where there are several images; for one it is the `error` of its row. ImageTypeError
        and ImageValueError: something is no such array, or of another size than the first.
        """
        check_decoded(images)
        todo = [
            Entry(index, f"image-{index + 1}", image, text)
            for index, (image, text) in enumerate(zip(images, texts or [None] * len(images), strict=True))
        ]
        return self._stream(self.chosen(metrics), len(todo))[0].run(list(images), todo)

    def _stream(self, chosen: Chosen, batch_size: int | None) -> tuple[MeasureStream, list[PartPlan], int]:
        """A stream of rows, the plans of its parts, and how many pictures a call shall hold."""
        groups, plans = [], []
        for opened, measures in self._grouped(chosen):
            opened.ready(measures)
            parts = [opened.sessions.plan(measure.part.name) for measure in measures]
            # On a device with memory of its own a call takes what it takes there.
            memory = None if all(plan.backend.resident for plan in parts) else self._memory
            groups.append(Group(opened, tuple(measures), memory, opened.many_sizes(parts)))
            plans += parts
        wanted = batch_size or min(plan.batch or plan.backend.image_batch for plan in plans)
        return MeasureStream(groups, chosen.columns, wanted, chosen.combined), plans, wanted

    # ------------------------------------------------------------------ map

    def presets(self) -> dict[str, DreamConfig]:
        """The map presets of the bundle, its recommended one first, and "fast". BundleError where it makes none."""
        return self.maps.dream.presets()

    @property
    def map_part(self) -> str:
        """The part that makes maps, for `can` and `describe`."""
        return MAP_PART.name

    @property
    def maps(self) -> Mapper:
        """The maps of the bundle, for those who need more than `map`. Raises BundleError where it makes none."""
        return self._main.mapper()

    @overload
    def map(
        self,
        image: ImageSource,
        text: str | Sequence[str] | None = None,
        config: DreamConfig | None = None,
        progress: Progress | None = None,
        *,
        metric: None = None,
    ) -> RealnessMap: ...

    @overload
    def map(self, image: ImageSource, *, metric: str) -> AttributionMap: ...

    def map(
        self,
        image: ImageSource,
        text: str | Sequence[str] | None = None,
        config: DreamConfig | None = None,
        progress: Progress | None = None,
        *,
        metric: str | None = None,
    ) -> RealnessMap | AttributionMap:
        """Map one image of any size (path, bytes, stream or uint8 RGB H x W x 3 array).

        `text`: what looks unreal; several texts count by the mean of their similarities; None lets the
        bundle's phrase bank decide, and the map's `phrases` says what it chose. `config` None is the bundle's
        recommended preset. `progress(done, total)` is called while working, in windows that are encoded.
        `metric`: not how real each pixel looks, but what it adds to the number of this measure, one that
        `with_map` knows; such a map takes none of the others.
        The map holds the picture, an array as it was given, and draws itself: `overlay`, `panel`, `save`.
        Raises ImageError, WindowError, TextError, DeviceError, AnswerError where the model's answer is not a
        number, BundleError where the bundle makes no maps, and UsageError for a measure without one.
        """
        if metric is None:
            return self._map_one(image, [text], config, progress)[0]
        if any(given is not None for given in (text, config, progress)):
            raise UsageError(f"the map of {metric} takes an image alone: no text, configuration or progress")
        stream = self._attributions(metric, None)[0]
        with answers_for(image):
            pixels = self._intake.load(image)
            (found,) = stream.run([pixels], [Entry(0, name_of(image), pixels)])
        assert found.map is not None
        return found.map

    def map_texts(
        self,
        image: ImageSource,
        texts: Sequence[str | Sequence[str]],
        config: DreamConfig | None = None,
        progress: Progress | None = None,
    ) -> list[RealnessMap]:
        """Map one image for several texts, one map each; its windows are encoded once. See `map`.

        Raises UsageError without a text.
        """
        if not texts:
            raise UsageError("a map needs at least one text")
        return self._map_one(image, texts, config, progress)

    @overload
    def iter_maps(
        self,
        images: Iterable[ImageSource],
        texts: str | Sequence[str | Sequence[str] | None] | None = None,
        config: DreamConfig | None = None,
        *,
        names: Sequence[str] | None = None,
        progress: MapProgress | None = None,
        metric: None = None,
    ) -> Iterator[Mapped[RealnessMap]]: ...

    @overload
    def iter_maps(
        self,
        images: Iterable[ImageSource],
        *,
        names: Sequence[str] | None = None,
        progress: MapProgress | None = None,
        metric: str,
    ) -> Iterator[Mapped[AttributionMap]]: ...

    def iter_maps(
        self,
        images: Iterable[ImageSource],
        texts: str | Sequence[str | Sequence[str] | None] | None = None,
        config: DreamConfig | None = None,
        *,
        names: Sequence[str] | None = None,
        progress: MapProgress | None = None,
        metric: str | None = None,
    ) -> Iterator[Mapped[RealnessMap]] | Iterator[Mapped[AttributionMap]]:
        """Yield one Mapped per image, in order; the next images are decoded while the model works.

        Images of one size with few windows share calls. `texts`: one for all images, or one entry per
        image (as `map` takes it). `progress(images, windows)` is called with how many images, fractions
        included, are done and how many windows were encoded. An image that fails is a Mapped with `error`. Tensors are
        given as `pictures_of(batch, "NCHW")`.
        `metric`: see `map`.
        Raises DeviceError, UsageError, and BundleError where the bundle makes no maps.
        """
        if metric is not None:
            if texts is not None or config is not None:
                raise UsageError(f"maps of {metric} take no texts and no configuration; leave them out")
            return self.attribution_entries(entries(images, None, names), metric, progress)
        each = itertools.repeat(texts) if isinstance(texts, str) else texts
        return self.map_entries(entries(images, each, names), config, progress)

    def map_entries(
        self,
        todo: Iterable[Entry],
        config: DreamConfig | None = None,
        progress: MapProgress | None = None,
        most_windows: int | None = None,
        watch: Watch | None = None,
    ) -> Iterator[Mapped[RealnessMap]]:
        """Yield one Mapped per entry, in order. See `iter_maps`, and for `watch` `measure`.

        `most_windows`: an image that would take more is a Mapped with `error`; None: there is no bound.
        """
        mapper = self.maps
        stream = MapStream(mapper, config or mapper.recommended, progress, most_windows)
        threads = int(self.describe(self.map_part)["threads"])
        most = mapper.dream.encoder.per_call
        pipeline = self._intake.pipeline(stream.run, stream.fail, stream.per_call, most, threads, watch=watch)
        return self._while_open(pipeline.stream(iter(todo)))

    def with_map(self, metric: str) -> Measure:
        """The measure of that name, whose number a map can attribute to pixels. Raises UsageError where none can."""
        have = [each.name for each in self.measures if each.attribution is not None]
        known = f"with a map: {', '.join(have) or 'none'} (without a metric a map shows realness)"
        try:
            measure = self.chosen(metric).first
        except UsageError as error:
            raise UsageError(f"{error}; {known}") from error
        if measure.attribution is None:
            raise UsageError(
                f"{self.bundle.name}: no map says where the number of {metric} comes from; {known}"
            )
        return measure

    def attribution_entries(
        self,
        todo: Iterable[Entry],
        metric: str,
        progress: MapProgress | None = None,
        watch: Watch | None = None,
    ) -> Iterator[Mapped[AttributionMap]]:
        """Yield one Mapped per entry, in order; texts are not looked at. See `iter_maps`, and for `watch` `measure`."""
        stream, plan, most = self._attributions(metric, progress)
        # A limit below the models' own need fails now.
        stream.per_call(np.empty((1, 1, 3), dtype=np.uint8))
        pipeline = self._intake.pipeline(
            stream.run,
            stream.fail,
            stream.per_call,
            most,
            plan.backend.threads,
            plan.backend.resident,
            stream.key,
            watch,
        )
        return self._while_open(pipeline.stream(iter(todo)))

    def _attributions(
        self, metric: str, progress: MapProgress | None
    ) -> tuple[AttributionStream, PartPlan, int]:
        """A stream of attribution maps, the plan of its tower, and how many pictures a call shall hold."""
        self.with_map(metric)
        ((opened, (measure,)),) = self._grouped(self.chosen(metric))
        attribution, measure = measure.attribution, with_attribution(measure)
        assert attribution is not None
        opened.ready([measure])
        plan = opened.sessions.plan(measure.part.name)
        memory = None if plan.backend.resident else self._memory
        most = plan.batch or plan.backend.image_batch
        source = ContributionStream(Group(opened, (measure,), memory, opened.many_sizes([plan])), most)
        what = Attributed(measure.name, measure.columns[0].name, attribution.speaks_for)
        maps = opened.contents.maps
        policy = RegionPolicy() if maps is None else maps.region_policy
        return AttributionStream(source, what, policy, progress), plan, most

    # ---------------------------------------------------------------- embed

    def embed(self, image: ImageSource, window_px: int, stride_px: int) -> Float32:
        """Embeddings of an image's windows by the tower of the maps, L2-normalised, float32 (windows, D).

        Windows are square, row by row at `range(0, length - window_px + 1, stride_px)` along both axes; their cosine
        with `embed_texts` is what a map is made of. Raises ImageError, WindowError, DeviceError, BundleError.
        """
        maps = self.maps
        pixels = self._intake.load(image)
        grid = WindowGrid(pixels.shape[0], pixels.shape[1], window_px, stride_px)
        return maps.dream.embeddings(pixels, grid)

    def embed_texts(self, texts: Sequence[str], part: str | None = None) -> Float32:
        """Embeddings of texts, L2-normalised, float32 (texts, D): of the maps, or of another part's text tower.

        Raises TextError, DeviceError, and BundleError or UsageError where there is no such text tower.
        """
        if part is None:
            return self.maps.dream.embed(texts)
        graphs = self.contents.part(part).graphs
        if len(graphs) < 2:
            raise UsageError(f"{self.bundle.name}: part {part!r} has no text tower")
        features = self._main.text_encoder(graphs[0]).features(texts)
        norms = np.linalg.norm(features, axis=1, keepdims=True)
        return np.asarray(features / np.maximum(norms, 1e-12), dtype=np.float32)

    # ------------------------------------------------------------- internal

    def _grouped(self, chosen: Chosen) -> Iterator[tuple[Opened, list[Measure]]]:
        for index, opened in enumerate(self._opened):
            measures = [measure for place, measure in chosen.read if place == index]
            if measures:
                yield opened, measures

    def _map_one(
        self,
        image: ImageSource,
        texts: Sequence[Texts],
        config: DreamConfig | None,
        progress: Progress | None,
    ) -> list[RealnessMap]:
        mapper = self.maps
        config = config or mapper.recommended
        pixels = self._intake.load(image)
        config.grids(*pixels.shape[:2])  # a window that does not fit is found before any work
        each = [texts_of_map(text) for text in texts]
        with answers_for(image):
            maps = mapper.map_together([pixels] * len(texts), each, config, progress)
        return [replace(found, image=pixels, name=name_of(image)) for found in maps]

    def _while_open(self, answers: Generator[T, None, None]) -> Iterator[T]:
        """The answers, of which none is given once the engine is closed, not even one that is made already."""
        with closing(answers):
            for answer in answers:
                self._main.sessions.check_open()
                yield answer
