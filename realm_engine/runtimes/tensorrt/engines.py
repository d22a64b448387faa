"""Engines of ONNX files: what each is made from and for, taken from the cache or built."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realm_engine.bundle.onnx_file import read_interface
from realm_engine.errors import DeviceError
from realm_engine.machine.files import sha256_of
from realm_engine.machine.memory import parse_bytes
from realm_engine.runtimes.tensorrt.builder import BuildJob, Progress, build_plan
from realm_engine.runtimes.tensorrt.gpu import Gpu
from realm_engine.runtimes.tensorrt.interface import Interface
from realm_engine.runtimes.tensorrt.plan_cache import EngineCache, Plan
from realm_engine.runtimes.tensorrt.plan_record import EngineKey, estimate_seconds
from realm_engine.runtimes.tensorrt.profiles import MEMORY_VARIABLE, Limits, ShapeProfile, canonical, profiles
from realm_engine.runtimes.tensorrt.runtime import TrtRuntime

log = logging.getLogger("realm_engine")

_SECONDS_BETWEEN_REPORTS = 30.0
# Where nothing was built here yet: seconds, and seconds per MB of the ONNX file. TensorRT-RTX as measured on two
# cores; TensorRT tries kernels on the GPU, minutes for a ViT-B/32 according to its users.
_FIRST_GUESS = {"tensorrt-rtx": (2.0, 0.05), "tensorrt": (30.0, 0.5)}


@dataclass(frozen=True)
class Target:
    """What an engine is for. `gpu` and `driver`: "" where plans do not depend on them."""

    arch: str
    gpu: str = ""
    driver: str = ""
    here: bool = True


@dataclass(frozen=True)
class Recipe:
    """Everything that decides about one engine."""

    key: EngineKey
    job: BuildJob
    interface: Interface


class Engines:
    """Makes engines with one TensorRT, and keeps them."""

    def __init__(
        self, runtime: TrtRuntime, cache: EngineCache | None = None, limits: Limits | None = None
    ) -> None:
        self.runtime = runtime
        self.cache = cache or EngineCache()
        self.limits = limits or default_limits()

    def target(self, gpu: Gpu) -> Target:
        """The GPU of this machine. Raises DeviceError when this TensorRT does not run on it.

        An engine of TensorRT-RTX is for an architecture and compiled to the end on the GPU itself, so one that
        was built elsewhere serves as well. One of TensorRT is for this very GPU, driver and version.
        """
        if not self.runtime.flavour.ahead_of_time:
            return Target(gpu.arch, gpu.name, gpu.driver)
        if gpu.arch not in self.runtime.architectures:
            raise DeviceError(
                f"{self.runtime.name} does not run on {gpu.name} ({gpu.arch}), only on "
                f"{', '.join(self.runtime.architectures)}; use --device tensorrt or --device cuda"
            )
        return Target(gpu.arch)

    def recipe(self, path: Path, precision: str, target: Target) -> Recipe:
        """What the engine of an ONNX file is made from. Raises DeviceError for a file that is not a bundle's graph."""
        try:
            graph = read_interface(path)
            config: Any = json.loads(graph.metadata.get("realm.config", "{}"))
            digest = sha256_of(path)
        except (OSError, ValueError) as error:
            raise DeviceError(f"{path.name}: not a readable ONNX file ({error})") from error
        if not isinstance(config, Mapping):
            raise DeviceError(f"{path.name}: its realm.config is no JSON object; export the bundle again")
        boxes = self._profiles(path, graph.inputs, config)
        flavour = self.runtime.flavour
        key = EngineKey(
            device=flavour.device,
            model=f"{graph.metadata.get('realm.bundle', path.parent.name)}/{path.name}",
            precision=precision,
            onnx_sha256=digest,
            runtime=self.runtime.name,
            gpu=target.gpu,
            arch=target.arch,
            driver=target.driver,
            profiles=canonical(boxes),
        )
        arch = target.arch if flavour.ahead_of_time else None
        return Recipe(
            key,
            BuildJob(path, precision, graph.inputs, boxes, arch),
            Interface(path.name, graph.inputs, graph.outputs, boxes),
        )

    def _profiles(self, path: Path, inputs: Any, config: Mapping[str, Any]) -> tuple[ShapeProfile, ...]:
        try:
            return profiles(inputs, config, self.limits)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DeviceError(
                f"{path.name}: no shape profile follows from its realm.config ({error!r}); export it again"
            ) from error

    def plan(self, recipe: Recipe, progress: Progress | None = None, here: bool = True) -> Plan:
        """The engine of a recipe, from the cache or built. `here`: for the GPU of this machine, on first use."""

        def build() -> bytes:
            shown = progress
            if shown is None:
                log.warning("%s", self._announcement(recipe))
                shown = reporter(recipe.key.model)
            timing = self._timing_name(recipe.key)
            plan, measured = build_plan(self.runtime, recipe.job, self.cache.read_blob(timing), shown)
            self.cache.keep_blob(timing, measured)
            return plan

        return self.cache.plan(recipe.key, build, for_this_gpu=here)

    def estimate(self, recipe: Recipe) -> float:
        """Seconds that building a recipe will take, roughly."""
        size = recipe.job.path.stat().st_size
        known = estimate_seconds(self.cache.entries(), recipe.key.device, size)
        base, per_mb = _FIRST_GUESS[recipe.key.device]
        return known if known is not None else base + per_mb * size / 1e6

    def _announcement(self, recipe: Recipe) -> str:
        seconds = self.estimate(recipe)
        return (
            f"{recipe.key.model}: no {self.runtime.flavour.title} engine for {recipe.key.gpu or recipe.key.arch} "
            f"yet: building it, about {seconds:.0f} s, and keeping it (realm-engine build does this ahead)"
        )

    def _timing_name(self, key: EngineKey) -> str:
        return f"{slug(self.runtime.name)}-{slug(key.gpu or key.arch)}.timing"


def default_limits() -> Limits:
    """Limits with the memory of REALM_TENSORRT_MEMORY ("1G"), else as they are. Raises UsageError for no size."""
    given = os.environ.get(MEMORY_VARIABLE)
    return Limits(memory_bytes=parse_bytes(given)) if given else Limits()


def reporter(model: str, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Progress for a build nobody watches: a line now and then."""
    start = last = clock()

    def show(fraction: float) -> None:
        nonlocal last
        now = clock()
        if now - last >= _SECONDS_BETWEEN_REPORTS and 0 < fraction < 1:
            last = now
            left = (now - start) / fraction * (1 - fraction)
            log.warning("%s: building, %.0f %% done, about %.0f s left", model, 100 * fraction, left)

    return show


def slug(text: str) -> str:
    """A text as part of a file name."""
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-")
