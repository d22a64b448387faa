"""ONNX file -> engine plan: parse, profiles, build. Strongly typed: the precision is that of the file."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from realm_engine.arrays import Array
from realm_engine.bundle.manifest import TensorSpec
from realm_engine.errors import DeviceError
from realm_engine.machine.memory import available_bytes, format_bytes
from realm_engine.runtimes.base import first_line
from realm_engine.runtimes.tensorrt.profiles import MEMORY_VARIABLE, ShapeProfile
from realm_engine.runtimes.tensorrt.runtime import TrtRuntime

Progress = Callable[[float], None]

# Resident memory of a build, measured with TensorRT-RTX 1.7: 409 MB for realm-tiny's 13 MB, 1.4 GB for 351 MB.
_BUILD_BASE_BYTES = 400 << 20
_BUILD_COPIES = 3
_OUT_OF_MEMORY = re.compile(
    r"out of memory|bad_alloc|outofmemory|insufficient memory|could not allocate", re.I
)
_FREE_ZERO_POINT = re.compile(r"zero.?point", re.I)


@dataclass(frozen=True)
class BuildJob:
    """What to build. `arch`: for a GPU that need not be here ("sm_89"), None for the one that is."""

    path: Path
    precision: str
    inputs: tuple[TensorSpec, ...]
    profiles: tuple[ShapeProfile, ...]
    arch: str | None = None


def build_plan(
    runtime: TrtRuntime, job: BuildJob, timing: bytes = b"", progress: Progress | None = None
) -> tuple[bytes, bytes]:
    """Build an engine.

    Args:
        runtime: The TensorRT to build with.
        job: What to build.
        timing: What an earlier build measured; what does not suit is ignored.
        progress: Is called with the fraction that is done, from TensorRT's threads.

    Returns:
        The serialised engine, and the timing cache for the next build (empty if there is not one).

    Raises:
        DeviceError: the graph cannot be parsed or built, or memory does not suffice.
    """
    require_memory(job)
    try:
        return _build(runtime, job, timing, progress)
    except MemoryError as error:
        raise DeviceError(_too_little_memory(job)) from error
    except (RuntimeError, TypeError) as error:  # pybind11's, for what TensorRT refuses to create
        reason = runtime.messages.take() or first_line(error)
        raise DeviceError(f"{job.path.name}: {runtime.name} cannot build here: {_short(reason)}") from error


def _build(
    runtime: TrtRuntime, job: BuildJob, timing: bytes, progress: Progress | None
) -> tuple[bytes, bytes]:
    module = runtime.module
    runtime.messages.take()
    builder = module.Builder(runtime.logger)
    network = builder.create_network(1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = module.OnnxParser(network, runtime.logger)
    if not parser.parse_from_file(str(job.path)):
        reason = _parser_errors(parser)
        if _FREE_ZERO_POINT.search(reason):
            raise DeviceError(
                f"{job.path.name}: {runtime.name} takes int8 around zero alone; export it with python -m export "
                "--precision int8 --int8-for tensorrt, or use another --precision"
            )
        raise DeviceError(f"{job.path.name}: {runtime.name} cannot read it: {reason}")
    widened = widen_tables(module, network)
    config = builder.create_builder_config()
    if job.precision == "fp32":
        # The reference keeps all 23 bits of the mantissa; TF32, on by default, keeps 10.
        config.clear_flag(module.BuilderFlag.TF32)
    if job.arch is not None:
        config.num_compute_capabilities = 1
        if not config.set_compute_capability(runtime.architectures[job.arch], 0):
            raise DeviceError(f"{job.path.name}: {runtime.name} does not build for {job.arch}")
    for profile in job.profiles:
        _add_profile(builder, config, profile, job.inputs)
    # TensorRT-RTX times nothing while it builds.
    cache = None if runtime.flavour.ahead_of_time else use_timing(config, timing)
    watched = BuildProgress(progress or (lambda fraction: None))
    monitor = make_monitor(module, watched)
    config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    del widened  # the network only points to these
    if watched.interrupted:
        raise KeyboardInterrupt
    if plan is None:
        reason = runtime.messages.take()
        if _OUT_OF_MEMORY.search(reason):
            raise DeviceError(_too_little_memory(job))
        raise DeviceError(
            f"{job.path.name}: {runtime.name} cannot build it: {_short(reason) or 'it does not say why'}; "
            "use --device cuda, or another --precision"
        )
    return bytes(plan), timing_bytes(cache)


def _add_profile(builder: Any, config: Any, profile: ShapeProfile, inputs: Sequence[TensorSpec]) -> None:
    wanted = builder.create_optimization_profile()
    for tensor in inputs:
        wanted.set_shape(tensor.name, *profile.shapes(tensor))
    if config.add_optimization_profile(wanted) < 0:
        raise DeviceError(f"shape profile {profile.name!r} is not one that TensorRT accepts")


def widen_tables(module: Any, network: Any) -> list[Array]:
    """Turn int8 tables that are gathered from into float16; returns them, to be kept until the engine is built.

    TensorRT takes every int8 constant for a quantised one and refuses it unless a DequantizeLinear follows. In
    the files of a bundle, rows of an int8 embedding are gathered and only then scaled: whole numbers up to 127,
    which float16 holds exactly.
    """
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    quantised = {
        layer.get_input(0).name
        for layer in layers
        if layer.type == module.LayerType.DEQUANTIZE and layer.get_input(0) is not None
    }
    kept = []
    for layer in layers:
        if layer.type != module.LayerType.CONSTANT:
            continue
        output = layer.get_output(0)
        if output.dtype == module.int8 and output.name not in quantised:
            layer.__class__ = module.IConstantLayer
            values = layer.weights
            values = values if isinstance(values, np.ndarray) else values.numpy()
            table = np.ascontiguousarray(values.astype(np.float16))
            layer.weights = module.Weights(table)
            kept.append(table)
    return kept


def use_timing(config: Any, timing: bytes) -> Any:
    """Let a build use and fill a timing cache; None for a runtime without one."""
    for known in (timing, b""):
        cache = config.create_timing_cache(known)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return cache
    return None


def timing_bytes(cache: Any) -> bytes:
    """A timing cache for the next build, b"" for none."""
    return b"" if cache is None else bytes(cache.serialize())


def _parser_errors(parser: Any) -> str:
    found = []
    for index in range(min(parser.num_errors, 3)):
        error = parser.get_error(index)
        found.append(f"{error.desc()} (node {error.node_name() or error.node()}, {error.node_operator()})")
    return _short("; ".join(found)) or "it does not say why"


def _short(text: str) -> str:
    return first_line(Exception(text)) if text else ""


# ------------------------------------------------------------------- memory


def build_bytes(path: Path) -> int:
    """Host memory that a build takes, an upper estimate in bytes."""
    return _BUILD_BASE_BYTES + _BUILD_COPIES * path.stat().st_size


def require_memory(job: BuildJob) -> None:
    """Refuse a build that the system would kill. Raises DeviceError saying what would fit."""
    free = available_bytes()
    if free < build_bytes(job.path):
        raise DeviceError(
            f"{job.path.name}: building takes about {format_bytes(build_bytes(job.path))} of memory, "
            f"{format_bytes(free)} are free; {_what_fits(free)}"
        )


def _what_fits(free_bytes: int) -> str:
    largest = (free_bytes - _BUILD_BASE_BYTES) // _BUILD_COPIES
    fits = f"models up to {format_bytes(largest)} would fit" if largest > 0 else "no model would fit"
    return f"{fits}: close other programs, build elsewhere (realm-engine build), or use --device cuda"


def _too_little_memory(job: BuildJob) -> str:
    sizes = ", ".join(
        f"{profile.dims[name].max} {'images' if name == 'batch' else name}"
        for profile in job.profiles
        for name in ("windows", "batch")
        if name in profile.dims and profile.dims[name].max > 1
    )
    return (
        f"{job.path.name}: not enough memory to build an engine for up to {sizes or 'these sizes'} a call; "
        f"with {MEMORY_VARIABLE}=1G in the environment a smaller one is made, which fits"
    )


# ----------------------------------------------------------------- progress


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0
    children: dict[str, float] = field(default_factory=dict)


class BuildProgress:
    """The fraction of a build that is done, from TensorRT's nested phases; never goes back."""

    def __init__(self, show: Progress) -> None:
        self._show = show
        self._phases: dict[str, _Phase] = {}
        self._best = 0.0
        self.interrupted = False
        self._lock = threading.Lock()

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins, inside another one or on its own."""
        with self._lock:
            self._phases[name] = _Phase(parent, max(1, steps))

    def step(self, name: str, step: int) -> None:
        """A step of a phase, counted from 0, is done."""
        with self._lock:
            phase = self._phases.get(name)
            if phase is None:
                return
            phase.done = max(phase.done, step + 1)
            fraction = self._total()
        if fraction > self._best:
            self._best = fraction
            self._show(fraction)

    def finish(self, name: str) -> None:
        """A phase is over."""
        with self._lock:
            self._phases.pop(name, None)

    def _total(self) -> float:
        roots = [name for name, phase in self._phases.items() if phase.parent not in self._phases]
        return max((self._fraction(name) for name in roots), default=0.0)

    def _fraction(self, name: str) -> float:
        phase = self._phases[name]
        inside = [self._fraction(child) for child, found in self._phases.items() if found.parent == name]
        return min(1.0, (phase.done + min(1.0, max(inside, default=0.0))) / phase.steps)


def make_monitor(module: Any, progress: BuildProgress) -> Any:
    """A TensorRT progress monitor that feeds `progress`."""
    base = module.IProgressMonitor

    class _Monitor(base):  # type: ignore[misc,valid-type]  # the class exists only once the module is there
        def __init__(self) -> None:
            base.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                progress.step(phase_name, step)
            except KeyboardInterrupt:  # must not travel through TensorRT; False ends the build
                progress.interrupted = True
            return not progress.interrupted

        def phase_finish(self, phase_name: str) -> None:
            progress.finish(phase_name)

    return _Monitor()
