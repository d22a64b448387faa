"""PyTorch contenders: the published loop, eager in batches, torch.compile. Preprocessing by Pillow is in every pass."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.models import CoreModel, DreamModel
from benchmarks.published import batches, core_pixels, loop, realness_map, window_origins
from realm_engine.arrays import Float64, UInt8
from realm_engine.maps.realness_map import DreamConfig
from realm_train.clip.one_pass import OnePass

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
COMPILED_BATCH = 32


class Tower:
    """A module on a device in a precision, in batches of the size that was fastest.

    Args:
        module: The fp32 module on the CPU; it is copied where it must change.
        plain: `.to(half)` works; else half precision is autocast.
        device: "cpu" or "cuda".
        precision: Key of `DTYPES`.
        compiled: Through torch.compile, with batches of one fixed size.
    """

    def __init__(self, module: nn.Module, plain: bool, device: str, precision: str, compiled: bool) -> None:
        self.device = device
        self.compiled = compiled
        self.batch = COMPILED_BATCH
        dtype = DTYPES[precision]
        cast = plain and precision != "fp32"
        self._input = dtype if cast else torch.float32
        self._autocast = dtype if precision != "fp32" and not plain else None
        if cast or device != "cpu":
            module = copy.deepcopy(module).to(device, dtype if cast else torch.float32)
        self._module = module
        self._call: Any = torch.compile(module, dynamic=False) if compiled else module
        self.layout = "contiguous"

    @torch.inference_mode()
    def __call__(self, pixels: Tensor, *rest: Tensor) -> Tensor:
        """Float32 answers on the CPU of inputs on the CPU, whole batches in one forward pass."""
        context: AbstractContextManager[Any] = (
            torch.autocast(self.device, self._autocast) if self._autocast is not None else nullcontext()
        )
        pixels = pixels.to(self.device, self._input)
        if self.layout == "channels_last":
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        with context:
            answer: Tensor = self._call(pixels, *(tensor.to(self.device) for tensor in rest))
        return answer.float().cpu()

    def padded(self, pixels: Tensor, *rest: Tensor) -> Tensor:
        """As a call; a compiled module is given a full batch, so that it is compiled once."""
        count = len(pixels)
        if not self.compiled or count == self.batch:
            return self(pixels, *rest)
        filled = [torch.cat([t, t[-1:].expand(self.batch - count, *t.shape[1:])]) for t in (pixels, *rest)]
        return self(*filled)[:count]

    def tune(self, example: Sequence[Tensor], sizes: Sequence[int], convolutional: bool) -> None:
        """Choose batch size and memory layout by trying them on rows of `example` repeated."""
        if self.compiled:
            return
        layouts = ("contiguous", "channels_last") if convolutional else ("contiguous",)
        best, chosen = float("inf"), layouts[0]
        for layout in layouts:
            self.layout = layout
            if layout == "channels_last":
                self._module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self(*_rows(example, 2))
            for size in sizes:
                seconds = _time(self, _rows(example, size)) / size
                if seconds < best:
                    best, self.batch, chosen = seconds, size, layout
                if seconds * size > 8:  # a slow model: larger batches would take longer than they are worth
                    break
        self.layout = chosen
        if chosen == "contiguous" and convolutional:
            self._module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _rows(example: Sequence[Tensor], count: int) -> list[Tensor]:
    return [tensor[:1].expand(count, *tensor.shape[1:]).contiguous() for tensor in example]


def _time(tower: Tower, rows: Sequence[Tensor]) -> float:
    before = time.perf_counter()
    tower(*rows)
    return time.perf_counter() - before


class TorchDream:
    """DREAM by PyTorch: window by window as published, or in batches. The text is embedded beforehand."""

    def __init__(
        self, model: DreamModel, text: str, device: str, precision: str, batched: bool, compiled: bool = False
    ) -> None:
        self.tower = Tower(model.tower, model.plain, device, precision, compiled)
        self._preprocess = model.preprocess
        self._text = model.embed(text)
        self._batched = batched
        self.forward_alone = False  # one batch of ready windows stands for all; the answers mean nothing
        self._ready: Tensor | None = None

    def tune(self, quick: bool, convolutional: bool) -> None:
        """Choose the batch size."""
        if self._batched:
            size = self._preprocess.size
            sizes = (33,) if quick else (16, 33, 64)
            self.tower.tune([torch.rand(1, 3, size, size)], sizes, convolutional)

    @property
    def how(self) -> str:
        """Batch size and layout, in words."""
        if not self._batched:
            return "1 window per forward"
        return f"batches of {self.tower.batch}" + (
            ", channels last" if self.tower.layout != "contiguous" else ""
        )

    def map(self, image: UInt8, config: DreamConfig) -> Float64:
        """Realness map of an image, float64 (H, W)."""

        def similarity(origins: Sequence[tuple[int, int]], window: int) -> Sequence[float]:
            return self.similarities(image, origins, window)

        height, width = image.shape[:2]
        return realness_map(similarity, height, width, config.windows_px, config.stride_px, config.aggregate)

    def sample(self, image: UInt8, config: DreamConfig, count: int, draw: np.random.Generator) -> list[float]:
        """Similarities of `count` windows drawn without replacement from all scales in proportion."""
        height, width = image.shape[:2]
        grids = [
            (window, window_origins(height, width, window, config.stride_px)) for window in config.windows_px
        ]
        every = [(window, origin) for window, origins in grids for origin in origins]
        chosen = [every[index] for index in draw.choice(len(every), min(count, len(every)), replace=False)]
        result: list[float] = []
        for window, _ in grids:
            result += self.similarities(image, [origin for size, origin in chosen if size == window], window)
        return result

    def similarities(self, image: UInt8, origins: Sequence[tuple[int, int]], window: int) -> list[float]:
        """Cosine of each window with the text."""
        if not self._batched:
            return loop(self.tower, self._text, image, origins, window, self._preprocess)
        picture, result = Image.fromarray(image), []
        for chunk in batches(len(origins), self.tower.batch):
            if self.forward_alone:
                result += self._forward(chunk.stop - chunk.start)
                continue
            pixels = torch.stack([self._preprocess(picture, *origin, window) for origin in origins[chunk]])
            features = nn.functional.normalize(self.tower.padded(pixels), dim=-1)
            result += (features @ self._text).tolist()
        return result

    def _forward(self, count: int) -> list[float]:
        if self._ready is None:
            size = self._preprocess.size
            self._ready = torch.rand(self.tower.batch, 3, size, size, device=self.tower.device)
        features = nn.functional.normalize(self.tower(self._ready[:count]), dim=-1)
        return (features @ self._text).tolist()  # type: ignore[no-any-return]


class TorchOnePass:
    """DREAM by PyTorch in one pass over the picture, in float32. The text is embedded beforehand."""

    how = "one pass over the picture"

    def __init__(self, model: DreamModel, text: str, device: str) -> None:
        self._tower = OnePass(copy.deepcopy(model.tower).to(device), model.preprocess.normalise)
        self._text = model.embed(text)
        self._device = device

    @torch.inference_mode()
    def map(self, image: UInt8, config: DreamConfig) -> Float64:
        """Realness map of an image, float64 (H, W)."""
        picture = torch.tensor(image, device=self._device)[None]

        def similarity(origins: Sequence[tuple[int, int]], window: int) -> Sequence[float]:
            tops, lefts = (sorted(set(each)) for each in zip(*origins, strict=True))
            pooled = self._tower.pool(picture, tops, lefts, window)[0]
            return (self._tower.embed(pooled).cpu() @ self._text).flatten().tolist()  # type: ignore[no-any-return]

        height, width = image.shape[:2]
        return realness_map(similarity, height, width, config.windows_px, config.stride_px, config.aggregate)


class TorchCore:
    """CORE by PyTorch on files: image by image as published, or in batches; texts padded to the full length."""

    def __init__(
        self, model: CoreModel, device: str, precision: str, batched: bool, compiled: bool = False
    ) -> None:
        self.tower = Tower(model.module, model.plain, device, precision, compiled)
        self._model = model
        self._batched = batched
        if not batched:
            self.tower.batch = 1

    def tune(self, quick: bool, example: Path) -> None:
        """Choose batch size and layout."""
        if self._batched:
            inputs = self._inputs([example], ["Yes. The hand looks wrong."])
            self.tower.tune(inputs, (8,) if quick else (8, 16), True)

    @property
    def how(self) -> str:
        """Batch size and layout, in words."""
        if not self._batched:
            return "1 image per forward"
        return f"batches of {self.tower.batch}" + (
            ", channels last" if self.tower.layout != "contiguous" else ""
        )

    def score(self, paths: Sequence[Path], texts: Sequence[str]) -> Float64:
        """MOS of images with their texts, float64 (N,)."""
        result: list[float] = []
        for chunk in batches(len(paths), self.tower.batch):
            result += self.tower.padded(*self._inputs(paths[chunk], texts[chunk])).tolist()
        return np.array(result)

    def _inputs(self, paths: Sequence[Path], texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        model, length = self._model, self._model.max_tokens
        pixels = [core_pixels(path, model.height_px, model.width_px, model.interpolation) for path in paths]
        rows = [encoding.ids for encoding in model.tokenizer.encode_batch(list(texts))]
        rows = [row if len(row) <= length else [*row[: length - 1], row[-1]] for row in rows]
        ids = torch.tensor([row + [model.pad_id] * (length - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
        return torch.stack(pixels), ids, mask
