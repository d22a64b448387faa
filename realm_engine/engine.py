"""The engine: opens a bundle on the best runtime of the machine, scores images and draws maps."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from realm_engine.arrays import UInt8
from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import AnswerError, BundleError, DeviceError, UsageError
from realm_engine.machine.memory import MemoryLimit, parse_bytes
from realm_engine.maps.dream import Dream, DreamConfig, Progress, RealnessMap
from realm_engine.maps.stream import Mapped, Mapper, MapProgress, MapStream, texts_of_map
from realm_engine.measures.core import Core
from realm_engine.measures.stream import Score, ScoreStream
from realm_engine.pictures.decode import ImageSource, load_image
from realm_engine.pictures.inputs import pair_jobs
from realm_engine.pictures.pipeline import BUDGET_BYTES, Job, Pipeline
from realm_engine.runtimes import FiniteSession, Session
from realm_engine.runtimes.choose import PREFER_FP16, PartPlan, choose_plans
from realm_engine.runtimes.measured import load_tuned
from realm_engine.text import Descriptions, TextEncoder, Tokenizer

__all__ = ["DEFAULT_BUNDLE", "PREFER_FP16", "Engine", "Mapped", "Score"]

log = logging.getLogger("realm_engine")

DEFAULT_BUNDLE = "realm-tiny"
MISSING_TEXT = ("image-only", "error")
_MAX_DECODERS = 4

T = TypeVar("T")


class Engine:
    """A bundle opened on a device. Use as a context manager, or `close` it, to free the runtime."""

    def __init__(self, bundle: Bundle, plans: Mapping[str, PartPlan], memory: MemoryLimit) -> None:
        self.bundle = bundle
        self._plans = plans
        self._memory = memory
        self._sessions: dict[tuple[Path, str, str], Session] = {}
        self._closed = False
        self._core: Core | None = None
        self._mapper: Mapper | None = None

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] = DEFAULT_BUNDLE,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        max_memory: int | str | None = None,
        tuned: bool = True,
    ) -> Engine:
        """Open a bundle by name ("realm-tiny") or folder ("./mine", Path("mine")).

        `device`: auto, cpu, cuda, openvino, tensorrt or tensorrt-rtx. `precision`: auto, a variant of the
        bundle (fp32, fp16, int8), one that the runtime computes by itself (openvino: bf16), or "prefer-fp16".
        `auto` is the fastest that `realm-engine tune` measured here and found within its gates; without that,
        the first device that works of cuda, cpu and openvino, and what the manifest recommends for it, else
        fp32. `threads`: CPU threads, by default as tuned or all that the process may use. `max_memory`: bytes,
        or "2G", that the process may hold; by default 2 GiB, or more where the models alone take that. `tuned`
        False ignores what was measured. Raises BundleError, DeviceError or UsageError; nothing is ever
        replaced silently.
        """
        opened = Bundle.open(bundle)
        record = load_tuned(opened) if tuned and "auto" in (device, precision) else None
        plans = choose_plans(opened, device, precision, threads, record)
        limit = parse_bytes(max_memory) if isinstance(max_memory, str) else max_memory
        engine = cls(opened, plans, MemoryLimit() if limit is None else MemoryLimit(limit, strict=True))
        used = engine.describe()
        log.info(
            "device %s, runtime %s, precision %s, bundle %s",
            *(used[key] for key in ("device", "runtime", "precision", "bundle")),
        )
        return engine

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the runtime's sessions. The engine cannot run afterwards."""
        self._closed = True
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def can(self, part: str) -> bool:
        """Whether the bundle has "core" or "dream" in the precision that was asked for."""
        return part in self._plans

    def describe(self, part: str | None = None) -> dict[str, Any]:
        """What answers: device, runtime, precision, threads, and the bundle's name, folder and weights.

        `part`: "core" or "dream" alone; by default both, joined where they differ ("core fp32, dream bf16").
        """
        plans = {name: plan for name, plan in self._plans.items() if part in (None, name)}
        return {
            "device": _joined({name: plan.backend.device for name, plan in plans.items()}),
            "runtime": _joined({name: plan.backend.runtime for name, plan in plans.items()}),
            "precision": _joined({name: plan.precision for name, plan in plans.items()}),
            "threads": _joined({name: plan.backend.threads for name, plan in plans.items()}),
            "tuned": any(plan.tuned for plan in plans.values()),
            "bundle": self.bundle.name,
            "bundle_path": str(self.bundle.root),
            "weights": str(self.bundle.manifest.get("weights", "unknown")),
        }

    # ---------------------------------------------------------------- score

    def score(
        self,
        images: ImageSource | Iterable[ImageSource],
        descriptions: str | Iterable[str | None] | Descriptions | None = None,
        *,
        batch_size: int | None = None,
        missing_text: str = "image-only",
        names: Sequence[str] | None = None,
    ) -> list[Score]:
        """Score images; the list of what `iter_scores` yields."""
        return list(
            self.iter_scores(
                images, descriptions, batch_size=batch_size, missing_text=missing_text, names=names
            )
        )

    def iter_scores(
        self,
        images: ImageSource | Iterable[ImageSource],
        descriptions: str | Iterable[str | None] | Descriptions | None = None,
        *,
        batch_size: int | None = None,
        missing_text: str = "image-only",
        names: Sequence[str] | None = None,
    ) -> Iterator[Score]:
        """Yield one Score per image, in order; the next images are decoded while the model works.

        `images`: one or many paths, bytes, binary streams or uint8 RGB H x W x 3 arrays; a directory
        stands for the images in it. `descriptions`: one per image (None = none), a text when there is one
        image, or `read_descriptions(...)` to look them up by name. `missing_text`: an image without a
        description is scored from the picture alone ("image-only") or gets an error ("error"). `names`
        replaces the names in the results. Results do not depend on `batch_size`. An image that cannot be
        read or scored is a Score with `error`. Raises UsageError, and BundleError without CORE.
        """
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch size is {batch_size}; give a number of at least 1")
        if missing_text not in MISSING_TEXT:
            raise UsageError(f"missing_text is {missing_text!r}; choose one of {', '.join(MISSING_TEXT)}")
        core, plan = self._open_core(), self._plans["core"]
        wanted = batch_size or plan.batch or plan.backend.image_batch
        # On a device with memory of its own a call takes what it takes there.
        stream = ScoreStream(core, wanted, None if plan.backend.resident else self._memory)
        stream.per_call(np.empty((1, 1, 3), dtype=np.uint8))  # a limit below the models' own need fails now
        jobs = pair_jobs(images, descriptions, names, missing_text == "error")
        return self._pipeline("core", stream.run, stream.fail, stream.per_call, wanted).stream(jobs)

    # ------------------------------------------------------------------ map

    def presets(self) -> dict[str, DreamConfig]:
        """The map presets of the bundle, its recommended one first, and "fast". BundleError without DREAM."""
        return self._open_dream().presets()

    def map(
        self,
        image: ImageSource,
        text: str | Sequence[str] | None = None,
        config: DreamConfig | None = None,
        progress: Progress | None = None,
    ) -> RealnessMap:
        """Map one image of any size (path, bytes, stream or uint8 RGB H x W x 3 array).

        `text`: what looks unreal; several texts count by the mean of their similarities; None lets the
        bundle's phrase bank decide, and the map's `phrases` says what it chose. `config` None is the bundle's
        recommended preset. `progress(done, total)` is called while working, in windows that are encoded.
        Raises ImageError, WindowError, TextError, DeviceError, AnswerError where the model's answer is not a
        number, and BundleError without DREAM.
        """
        return self._map_one(image, [text], config, progress)[0]

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

    def iter_maps(
        self,
        images: Iterable[ImageSource],
        texts: str | Sequence[str | Sequence[str] | None] | None = None,
        config: DreamConfig | None = None,
        *,
        names: Sequence[str] | None = None,
        progress: MapProgress | None = None,
    ) -> Iterator[Mapped]:
        """Yield one Mapped per image, in order; the next images are decoded while the model works.

        Images of one size with few windows share calls. `texts`: one for all images, or one entry per
        image (as `map` takes it). `progress(images, windows)` is called with how many images, fractions
        included, are done and how many windows were encoded. An image that fails is a Mapped with `error`.
        Raises DeviceError, UsageError, and BundleError without DREAM.
        """
        mapper = self._open_mapper()
        stream = MapStream(mapper, texts, config or self._recommended(), progress)
        each = None if isinstance(texts, str) else texts
        jobs = pair_jobs(images, None, names, text_required=False, texts=each)
        most = mapper.dream.windows_per_call()
        return self._pipeline("dream", stream.run, stream.fail, stream.per_call, most).stream(jobs)

    # ------------------------------------------------------------- internal

    def _recommended(self) -> DreamConfig:
        return next(iter(self.presets().values()))

    def _map_one(
        self,
        image: ImageSource,
        texts: Sequence[str | Sequence[str] | None],
        config: DreamConfig | None,
        progress: Progress | None,
    ) -> list[RealnessMap]:
        mapper = self._open_mapper()
        config = config or self._recommended()
        pixels = load_image(image)
        config.grids(*pixels.shape[:2])  # a window that does not fit is found before any work
        own = [texts_of_map(text) for text in texts]
        try:
            return mapper.map_together([pixels] * len(texts), own, config, progress)
        except AnswerError as error:
            if isinstance(image, str | os.PathLike):
                raise AnswerError(f"{os.fspath(image)}: {error}") from error
            raise

    def _pipeline(
        self,
        part: str,
        run: Callable[[list[UInt8], list[Job]], Sequence[T]],
        fail: Callable[[Job, str], T],
        per_call: Callable[[UInt8], int],
        batch_size: int,
    ) -> Pipeline[T]:
        threads = min(_MAX_DECODERS, self._plans[part].backend.threads)
        waiting = min(BUDGET_BYTES, self._memory.limit_bytes // 8)
        return Pipeline(load_image, run, fail, batch_size, threads, per_call, waiting)

    def _session(self, graph: str, part: str) -> Session:
        """Open the session of a graph on first use; two graphs of one file share it.

        The text towers are a small share of the work: where one has no variant in the part's
        precision, its fp32 file is used. The answer's precision is that of the image graph.
        """
        if self._closed:
            raise DeviceError("the engine is closed; open it again")
        plan = self._plans.get(part)
        if plan is None:
            has = ", ".join(self.bundle.precisions(part))
            other = next(iter(self._plans.values())).precision
            raise BundleError(f"{self.bundle.name}: {part} is not there in {other}, only in {has}")
        files = self.bundle.graphs[graph].variants
        # Without a file of its own a precision is the runtime's own arithmetic on the fp32 file.
        computed = plan.precision if plan.precision in (*files, *plan.backend.native) else "fp32"
        path = self.bundle.path(graph, computed if computed in files else "fp32")
        key = (path, plan.backend.device, computed)
        if key not in self._sessions:
            self._sessions[key] = plan.backend.load(path, computed)
        return FiniteSession(self._sessions[key], graph)

    def _text_encoder(self, graph: str, part: str, output: str) -> TextEncoder:
        spec = self.bundle.core if part == "core" else self.bundle.dream
        assert spec is not None
        tokenizer = Tokenizer(self.bundle.file(spec.text.tokenizer), spec.text)
        inputs = self.bundle.graphs[graph].input_names
        return TextEncoder(tokenizer, lambda: self._session(graph, part), inputs, output)

    def _open_core(self) -> Core:
        if self.bundle.core is None:
            raise BundleError(f"{self.bundle.name}: this bundle has no CORE and cannot score; use another")
        if self._core is None:
            self._session("core", "core")  # a device that cannot run it is an error now, not one per image
            output = self.bundle.graphs["core_text"].output("text_features")
            width = output.shape[-1] if output is not None else None
            self._core = Core(
                self.bundle.core,
                self._text_encoder("core_text", "core", "text_features"),
                width if isinstance(width, int) else None,
                lambda: self._session("core", "core"),
            )
        return self._core

    def _open_dream(self) -> Dream:
        return self._open_mapper().dream

    def _open_mapper(self) -> Mapper:
        if self.bundle.dream is None:
            raise BundleError(f"{self.bundle.name}: this bundle has no DREAM and cannot map; use another")
        if self._mapper is None:
            self._session("dream", "dream")
            plan = self._plans["dream"]
            dream = Dream(
                self.bundle.dream,
                self._text_encoder("clip_text", "dream", "text_embedding"),
                lambda: self._session("dream", "dream"),
                plan.backend,
                plan.batch,
                self._memory,
            )
            dream.check_memory()  # before it is stored: what was refused once is refused again
            self._mapper = Mapper(dream, self.bundle)
        return self._mapper


def _joined(values: Mapping[str, Any]) -> Any:
    """The one value that all parts have, else each with its part's name."""
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return ", ".join(f"{part} {value}" for part, value in values.items())
