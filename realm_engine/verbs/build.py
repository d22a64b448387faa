"""Builds the engines of a bundle ahead of time: the work behind `realm-engine build`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from realm_engine.bundle.bundle import Bundle, Part
from realm_engine.errors import BundleError, DeviceError, RealmError
from realm_engine.opened import Contents
from realm_engine.runtimes.tensorrt.cuda import open_cuda
from realm_engine.runtimes.tensorrt.engines import Engines, Recipe, Target
from realm_engine.runtimes.tensorrt.gpu import find_gpu
from realm_engine.runtimes.tensorrt.plan_cache import write_plan
from realm_engine.runtimes.tensorrt.runtime import FLAVOURS, open_runtime, parse_architectures

DEVICES = tuple(FLAVOURS)


@dataclass(frozen=True)
class Built:
    """One engine: where it lies (None where it could not be kept), or why it is missing.

    `new`: built just now, not found in the cache.
    """

    model: str
    precision: str
    arch: str
    path: Path | None = None
    size_bytes: int = 0
    seconds: float = 0.0
    new: bool = False
    error: str | None = None


@dataclass(frozen=True)
class BuildList:
    """Engines to build, and with what."""

    engines: Engines
    recipes: tuple[Recipe, ...]
    here: bool

    def missing(self) -> tuple[Recipe, ...]:
        """Those that are not in the cache."""
        return tuple(recipe for recipe in self.recipes if not self.engines.cache.holds(recipe.key))

    def estimate_seconds(self) -> float:
        """How long building those that are missing will take, roughly."""
        return sum(self.engines.estimate(recipe) for recipe in self.missing())


def plan_builds(
    bundle: str, device: str, precision: str = "auto", architectures: str | None = None
) -> BuildList:
    """Decide which engines a bundle needs.

    Args:
        bundle: Name or folder.
        device: tensorrt or tensorrt-rtx.
        precision: A variant of the bundle, or "auto": what its manifest recommends for the device, else fp32.
        architectures: "sm_89,sm_120": GPUs that need not be here; None: the one of this machine.

    Raises:
        BundleError: the bundle cannot be used, or has nothing in that precision.
        DeviceError: the runtime is missing, there is no GPU, or it does not build for that architecture.
    """
    opened = Contents(Bundle.open(bundle))
    files = _files(opened.bundle, opened.parts, device, precision)
    runtime = open_runtime(device)
    engines = Engines(runtime)
    if architectures is not None:
        targets = [Target(arch, here=False) for arch in parse_architectures(architectures, runtime)]
    else:
        targets = [_this_gpu(engines)]
    recipes = [engines.recipe(path, variant, target) for target in targets for path, variant in files]
    return BuildList(engines, tuple(recipes), here=architectures is None)


def build_all(
    work: BuildList, output: Path | None = None, progress: Callable[[float, str], None] | None = None
) -> Iterator[Built]:
    """Build, one after the other; those that are in the cache are only named.

    `output`: a folder that gets a copy of every engine and its record. `progress(done, what)` is called in
    engines, fractions included. An engine that cannot be built is a Built with `error`.
    """
    show = progress or (lambda done, what: None)
    for index, recipe in enumerate(work.recipes):
        key = recipe.key
        show(index, f"{key.model} {key.arch}")
        started = time.monotonic()

        def report(fraction: float, index: int = index, what: str = f"{key.model} {key.arch}") -> None:
            show(index + fraction, what)

        try:
            plan = work.engines.plan(recipe, report, work.here)
            path = plan.path if output is None else write_plan(output, key, plan)
        except RealmError as error:
            yield Built(key.model, key.precision, key.arch, error=str(error))
            continue
        yield Built(
            key.model,
            key.precision,
            key.arch,
            path,
            len(plan.data),
            time.monotonic() - started,
            plan.built,
        )
    show(len(work.recipes), "")


def _files(bundle: Bundle, parts: Sequence[Part], device: str, precision: str) -> Sequence[tuple[Path, str]]:
    """The ONNX files that an engine opens in a precision, each once, as `Engine` chooses them."""
    found: dict[tuple[Path, str], None] = {}
    for part in parts:
        offered = bundle.precisions(part)
        wanted = precision
        if precision == "auto":
            recommended = bundle.recommended_for(device)
            wanted = recommended if recommended in offered else offered[0]
        if wanted not in offered:
            continue
        for graph in part.graphs:
            variants = bundle.graphs[graph].variants
            used = wanted if wanted in variants else "fp32"
            found[bundle.path(graph, used), used] = None
    if not found:
        offered = tuple(dict.fromkeys(p for part in parts for p in bundle.precisions(part)))
        raise BundleError(f"{bundle.name}: no {precision} variant; this bundle has {', '.join(offered)}")
    return list(found)


def _this_gpu(engines: Engines) -> Target:
    device = engines.runtime.flavour.device
    try:
        return engines.target(find_gpu(open_cuda(device), device))
    except DeviceError as error:
        if not engines.runtime.flavour.ahead_of_time:
            raise
        known = ",".join(engines.runtime.architectures)
        raise DeviceError(f"{error}; for a GPU elsewhere give --gpu-arch, from {known}") from error
