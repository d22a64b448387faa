"""The engine: opens a bundle on the best runtime of the machine, scores images and draws maps."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from realm_engine.backends import Session, open_backend
from realm_engine.bundle import Bundle
from realm_engine.core import Core, is_missing
from realm_engine.dream import Dream, DreamConfig, Progress, RealnessMap, UInt8
from realm_engine.errors import BundleError, DeviceError, TextError, UsageError
from realm_engine.images import ImageSource, collect_images, load_image
from realm_engine.phrases import BankEntry, pick_phrases, read_bank
from realm_engine.pipeline import Job, Pipeline
from realm_engine.text import Descriptions, TextEncoder, Tokenizer

log = logging.getLogger("realm_engine")

DEFAULT_BUNDLE = "realm-tiny"
DEFAULT_BATCH = 8
PREFER_FP16 = "prefer-fp16"
PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8")
MISSING_TEXT = ("image-only", "error")
_PARTS = ("core", "dream")
_MAX_DECODERS = 4


@dataclass(frozen=True)
class Score:
    """CORE's answer for one image. A failed image has `error` and neither `mos` nor `realness`.

    `mos`: mean opinion score as a z-score, higher = more real. `realness`: the 0-100 rating behind it.
    """

    name: str
    mos: float | None
    realness: float | None
    description: str | None = None
    error: str | None = None


class Engine:
    """A bundle opened on a device. Use as a context manager, or `close` it, to free the runtime."""

    def __init__(self, bundle: Bundle, backend: Any, precision: dict[str, str]) -> None:
        self.bundle = bundle
        self._backend = backend
        self._precision = precision
        self._sessions: dict[Path, Session] = {}
        self._closed = False
        self._core: Core | None = None
        self._dream: Dream | None = None
        self._bank: tuple[BankEntry, ...] = ()

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] = DEFAULT_BUNDLE,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
    ) -> Engine:
        """Open a bundle by name or folder.

        `device`: auto, cpu, cuda or openvino. `precision`: a variant of the bundle; "auto" is what the
        manifest recommends for the device (`recommended_precision`), else fp32; "prefer-fp16" is fp16 where
        device and bundle have it, else "auto" with a warning. `threads`: CPU threads, by default all that
        the process may use. Raises BundleError or DeviceError; nothing is ever replaced silently.
        """
        opened = Bundle.open(bundle)
        backend = open_backend(device, threads)
        engine = cls(opened, backend, _choose_precision(opened, precision, backend.device, backend.fast_fp16))
        log.info(
            "device %s, runtime %s, precision %s, bundle %s",
            backend.device,
            backend.runtime,
            engine.describe()["precision"],
            opened.name,
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

    def describe(self) -> dict[str, Any]:
        """What answers: device, runtime, precision, threads, and the bundle's name, folder and weights."""
        chosen = self._precision
        one = len(set(chosen.values())) == 1
        return {
            "device": self._backend.device,
            "runtime": self._backend.runtime,
            "precision": next(iter(chosen.values()))
            if one
            else ", ".join(f"{part} {precision}" for part, precision in chosen.items()),
            "threads": self._backend.threads,
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
        batch_size: int = DEFAULT_BATCH,
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
        batch_size: int = DEFAULT_BATCH,
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
        if batch_size < 1:
            raise UsageError(f"batch size is {batch_size}; give a number of at least 1")
        if missing_text not in MISSING_TEXT:
            raise UsageError(f"missing_text is {missing_text!r}; choose one of {', '.join(MISSING_TEXT)}")
        core = self._open_core()

        def run(decoded: list[UInt8], jobs: list[Job]) -> list[Score]:
            values = core.score(decoded, [job.text for job in jobs])
            return [_score(core, job, float(mos)) for job, mos in zip(jobs, values, strict=True)]

        def fail(job: Job, message: str) -> Score:
            return Score(job.name, None, None, job.text, message)

        jobs = _jobs(images, descriptions, names, missing_text == "error")
        decoders = min(_MAX_DECODERS, self._backend.threads)
        return Pipeline(load_image, run, fail, batch_size, decoders).stream(jobs)

    # ------------------------------------------------------------------ map

    def presets(self) -> dict[str, DreamConfig]:
        """The map presets of the bundle, its recommended one first. Raises BundleError without DREAM."""
        spec = self._open_dream().spec
        names = sorted(spec.presets, key=lambda name: name != spec.recommended_preset)
        return {name: DreamConfig.from_preset(spec.presets[name]) for name in names}

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
        recommended preset. `progress(done, total)` is called in windows while working.
        Raises ImageError, WindowError, TextError, DeviceError, and BundleError without DREAM.
        """
        dream = self._open_dream()
        config = config or next(iter(self.presets().values()))
        pixels = load_image(image)
        config.grids(*pixels.shape[:2])  # a window that does not fit is found before any work
        if text is None:
            chosen = pick_phrases(dream, self._phrase_bank(), pixels, max(config.windows_px))
            result = dream.map(pixels, [phrase.text for phrase in chosen], config, progress)
            return RealnessMap(
                result.values, config, result.texts, result.preset, result.windows, phrases=chosen
            )
        texts = [text] if isinstance(text, str) else list(text)
        if not texts or any(is_missing(item) for item in texts):
            raise TextError("the text of a map is empty; describe what looks unreal, or leave the text out")
        return dream.map(pixels, texts, config, progress)

    # ------------------------------------------------------------- internal

    def _phrase_bank(self) -> tuple[BankEntry, ...]:
        spec = self.bundle.dream
        if spec is None or spec.phrases is None:
            raise TextError(f"{self.bundle.name}: this bundle has no phrase bank; give a text (--text)")
        if not self._bank:
            self._bank = read_bank(self.bundle.file(spec.phrases))
        return self._bank

    def _session(self, graph: str, part: str) -> Session:
        """Open the session of a graph on first use; two graphs of one file share it.

        The text towers are a small share of the work: where one has no variant in the part's
        precision, its fp32 file is used. The answer's precision is that of the image graph.
        """
        if self._closed:
            raise DeviceError("the engine is closed; open it again")
        precision = self._precision.get(part)
        if precision is None:
            has = ", ".join(self.bundle.precisions(part))
            other = next(iter(self._precision.values()))
            raise BundleError(f"{self.bundle.name}: {part} is not there in {other}, only in {has}")
        if graph != part and precision not in self.bundle.graphs[graph].variants:
            precision = "fp32"
        path = self.bundle.path(graph, precision)
        if path not in self._sessions:
            self._sessions[path] = self._backend.load(path, precision)
        return self._sessions[path]

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
        if self.bundle.dream is None:
            raise BundleError(f"{self.bundle.name}: this bundle has no DREAM and cannot map; use another")
        if self._dream is None:
            self._dream = Dream(
                self.bundle.dream,
                self._text_encoder("clip_text", "dream", "text_embedding"),
                lambda: self._session("dream", "dream"),
                self._backend.window_batch,
            )
        return self._dream


def _choose_precision(bundle: Bundle, wanted: str, device: str, fast_fp16: bool) -> dict[str, str]:
    """Precision of each part the bundle has it for. Raises BundleError naming what there is."""
    has = {part: bundle.precisions(part) for part in _PARTS if bundle.precisions(part)}
    recommended = bundle.manifest.get("recommended_precision")
    default = recommended.get(device, "fp32") if isinstance(recommended, dict) else "fp32"
    if wanted == PREFER_FP16:
        chosen = _choose_precision(bundle, "auto", device, fast_fp16)
        if fast_fp16:
            chosen |= {part: "fp16" for part, variants in has.items() if "fp16" in variants}
        if set(chosen.values()) != {"fp16"}:
            reason = "not all of the bundle has it" if fast_fp16 else f"device {device} has no fast fp16 path"
            used = ", ".join(f"{part} in {precision}" for part, precision in chosen.items())
            log.warning("fp16 was asked for, but %s: running %s", reason, used)
        return chosen
    if wanted == "auto":
        # A part exported only in another precision than the default still runs, and describe() says so.
        return {part: default if default in variants else variants[0] for part, variants in has.items()}
    chosen = {part: wanted for part, variants in has.items() if wanted in variants}
    if not chosen:
        known = ", ".join(dict.fromkeys(itertools.chain(*has.values())))
        raise BundleError(f"{bundle.name}: no {wanted} variant; this bundle has {known}")
    return chosen


def _score(core: Core, job: Job, mos: float) -> Score:
    if not np.isfinite(mos):
        return Score(job.name, None, None, job.text, "the model's answer is not a number")
    return Score(job.name, mos, core.rating(mos), job.text)


def _jobs(
    images: ImageSource | Iterable[ImageSource],
    descriptions: str | Iterable[str | None] | Descriptions | None,
    names: Sequence[str] | None,
    text_required: bool,
) -> Iterator[Job]:
    """Pair images with names and descriptions. Lengths known beforehand are checked at once."""
    one = _is_one(images)
    if isinstance(images, str | os.PathLike) and Path(images).is_dir():
        found = collect_images([images])
        sources: Iterable[Any] = [file.path for file in found]
        names = names or [file.name for file in found]
    else:
        sources = [images] if one else images  # type: ignore[assignment]
    if isinstance(descriptions, str):
        if not one:
            raise UsageError("one description was given for many images; give a list with one per image")
        descriptions = [descriptions]
    for what, given in (("descriptions", descriptions), ("names", names)):
        if isinstance(given, Sequence) and isinstance(sources, Sequence) and len(given) != len(sources):
            raise UsageError(f"{len(sources)} images but {len(given)} {what}; give one per image")
    return _pair(sources, descriptions, names, text_required)


def _pair(
    sources: Iterable[Any],
    descriptions: Iterable[str | None] | Descriptions | None,
    names: Sequence[str] | None,
    text_required: bool,
) -> Iterator[Job]:
    texts = None if descriptions is None or isinstance(descriptions, Descriptions) else iter(descriptions)
    for index, source in enumerate(sources):
        name = names[index] if names is not None else _name(source, index)
        text, error = None, None
        if isinstance(descriptions, Descriptions):
            try:
                text = descriptions.lookup(name)
            except TextError as problem:
                error = str(problem)
        elif texts is not None:
            try:
                text = next(texts)
            except StopIteration:
                raise UsageError(f"there are more images than descriptions ({index})") from None
        if text_required and error is None and is_missing(text):
            error = f"{name}: no description; add one or score from the picture alone"
        yield Job(index, name, source, text, error)


def _is_one(images: Any) -> bool:
    if isinstance(images, str | os.PathLike | bytes | bytearray | memoryview) or hasattr(images, "read"):
        return True
    # An array of rank 4 is a batch; a Pillow image has no length and is no iterable either.
    return images.ndim != 4 if isinstance(images, np.ndarray) else not isinstance(images, Iterable)


def _name(source: Any, index: int) -> str:
    if isinstance(source, str | os.PathLike):
        return Path(source).as_posix()
    return str(getattr(source, "name", None) or f"image-{index + 1}")
