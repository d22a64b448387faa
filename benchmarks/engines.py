"""The engine as a contender. Imports no torch: alone in a process it costs what it costs its users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import TEXT
from benchmarks.settings import Settings, UnavailableError
from realm_engine import Engine
from realm_engine.arrays import Float32, Float64, UInt8
from realm_engine.maps.realness_map import DreamConfig

FORWARD_ALONE = "forward alone"  # windows cut and resized beforehand: no more than a bound
ONE_PASS = "one pass"  # windows pooled from one pass over the picture, where the tower can; the engine's default then
EACH_WINDOW = "each window"  # every window by itself, as published, where the engine's default is another
# In what a device is worth its time; bf16 is computed by the runtime from the float32 file, the others need theirs.
PRECISIONS = {"cpu": ("fp32", "int8"), "openvino": ("fp32", "bf16", "int8"), "cuda": ("fp32", "fp16")}


@dataclass(frozen=True)
class Spec:
    """One contender.

    Attributes:
        family: published, eager, compile or engine.
        device: cpu, cuda or openvino.
        precision: fp32, fp16, bf16 or int8.
        variation: What else distinguishes it, "" for nothing.
    """

    family: str
    device: str
    precision: str
    variation: str = ""

    @property
    def key(self) -> str:
        """Its name in tables."""
        device = f" {self.device}" if self.family == "engine" else ""
        return f"{self.family}{device} {self.precision}" + (self.variation and f", {self.variation}")


def specs(
    settings: Settings,
    files: Sequence[str],
    compiled: bool,
    forward_alone: bool = False,
    one_pass: bool = False,
) -> list[Spec]:
    """Every contender of a run, the baselines first.

    Args:
        settings: Devices of the run.
        files: Precisions that the model's bundle has files of.
        compiled: With torch.compile.
        forward_alone: With the bound of eager PyTorch on windows that are ready.
        one_pass: The engine's default is one pass over the picture: with that in PyTorch, and the engine's other way.
    """
    device, precisions = settings.torch_device, ("fp32", settings.half)
    result = [Spec("published", device, "fp32")]
    result += [Spec("eager", device, precision) for precision in precisions]
    if forward_alone:
        result.append(Spec("eager", device, settings.half, FORWARD_ALONE))
    if one_pass:
        result.append(Spec("eager", device, "fp32", ONE_PASS))
    if compiled:
        result.append(Spec("compile", device, settings.half))
    if one_pass:
        result += [Spec("engine", engine, "fp32", EACH_WINDOW) for engine in settings.devices]
    return result + [
        Spec("engine", engine, name)
        for engine in settings.devices
        for name in PRECISIONS[engine]
        if name == "bf16" or name in files
    ]


# The engine sizes its calls by what its process holds. Here that process also holds PyTorch's copies of the
# models, which no user's does; memory is measured in separate processes, with the engine's default limit.
MAX_MEMORY = "64G"


def open_engine(bundle: str, spec: Spec, threads: int, max_memory: str | None = MAX_MEMORY) -> Engine:
    """The engine as a contender asks for it; `max_memory` None is its default."""
    encoder = "each-window" if spec.variation == EACH_WINDOW else "auto"
    return Engine.open(bundle, spec.device, spec.precision, threads, max_memory, tuned=False, encoder=encoder)


def _published(values: Float32) -> Float64:
    """A map as the published loop leaves it: 0 where no window is."""
    return np.nan_to_num(values.astype(np.float64), nan=0.0)


class EngineDream:
    """DREAM by the engine. Every timed map has a text it has not seen, so that none is remembered."""

    def __init__(self, bundle: str, spec: Spec, threads: int, max_memory: str | None = MAX_MEMORY) -> None:
        self.engine = open_engine(bundle, spec, threads, max_memory)
        self._serial = 0

    @property
    def how(self) -> str:
        """The runtime."""
        return str(self.engine.describe()["runtime"])

    def map(self, image: UInt8, config: DreamConfig) -> Float64:
        """Realness map for the fixed text, float64 (H, W)."""
        return _published(self.engine.map(image, TEXT, config).values)

    def fresh(self, image: UInt8, config: DreamConfig) -> Float64:
        """The same for a new text."""
        self._serial += 1
        result = self.engine.map(image, f"{TEXT} ({self._serial})", config)
        return _published(result.values)


class EngineCore:
    """CORE by the engine, from files."""

    def __init__(self, bundle: str, spec: Spec, threads: int, max_memory: str | None = MAX_MEMORY) -> None:
        self.engine = open_engine(bundle, spec, threads, max_memory)
        self.batch: int | None = None  # the engine's choice

    @property
    def how(self) -> str:
        """The runtime."""
        return str(self.engine.describe()["runtime"])

    def score(self, paths: Sequence[Path], texts: Sequence[str]) -> Float64:
        """MOS of images with their texts, float64 (N,). Raises UnavailableError for one that failed."""
        options: dict[str, Any] = {} if self.batch is None else {"batch_size": self.batch}
        scores = self.engine.score(list(paths), list(texts), **options)
        failed = [score.error for score in scores if score.mos is None]
        if failed:
            raise UnavailableError(f"scoring failed: {failed[0]}")
        return np.array([score.mos for score in scores])
