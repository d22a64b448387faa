"""Runs an engine: one stream, own scratch memory, and recorded CUDA graphs for calls that repeat.

A `_Lane` is an execution context with its buffers for one set of shapes. Changing a context would invalidate
the CUDA graph recorded from it, so several shapes in turn have several lanes; all share the scratch memory,
whose size follows the shapes in use and not the largest that the profile allows.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from realm_engine.backends.base import Array, contiguous, first_line
from realm_engine.backends.tensorrt.cuda import (
    Cuda,
    CudaError,
    DeviceArray,
    DevicePool,
    OutOfMemoryError,
    PinnedArray,
)
from realm_engine.backends.tensorrt.profiles import ShapeProfile, choose, dims_of
from realm_engine.backends.tensorrt.runtime import TrtRuntime
from realm_engine.errors import DeviceError
from realm_engine.manifest import TensorSpec
from realm_engine.memory import format_bytes

log = logging.getLogger("realm_engine")

# Shapes that are kept ready: whole calls and the last, smaller one, of two image sizes.
MAX_LANES = 4
# The first run of a lane settles what TensorRT put off; the second is recorded; from then on it is replayed.
_RUNS_BEFORE_CAPTURE = 1


class EngineRejectedError(Exception):
    """A plan that the runtime does not take: damaged, or made by another version or for another GPU."""


@dataclass(frozen=True)
class Interface:
    """What a session must know of its graph: name for errors, inputs, outputs and the profiles of the plan."""

    where: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    profiles: tuple[ShapeProfile, ...]


class TensorRTSession:
    """One engine on the device. `run` may be called from any thread; calls wait for one another."""

    def __init__(
        self,
        runtime: TrtRuntime,
        cuda: Cuda,
        pool: DevicePool,
        engine: Any,
        interface: Interface,
        cuda_graphs: bool,
        jit_cache: JitCache | None = None,
    ) -> None:
        self._runtime = runtime
        self._cuda = cuda
        self._pool = pool
        self._engine = engine
        self._interface = interface
        self._jit = jit_cache
        # TensorRT-RTX records graphs by itself, for dynamic shapes too; TensorRT leaves that to us.
        self._record = cuda_graphs and not runtime.flavour.ahead_of_time
        self._config = self._runtime_config(cuda_graphs)
        self._lanes: OrderedDict[tuple[Any, ...], _Lane] = OrderedDict()
        self._scratch: DeviceArray | None = None
        self._lock = threading.Lock()
        self._stream = cuda.stream()

    # ------------------------------------------------------------------ run

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """See `Session.run`. A call beyond the profile, or the memory, is run in parts where rows allow that."""
        where = self._interface.where
        with self._lock:
            if self._engine is None:
                raise DeviceError(f"{where}: the engine is closed; open it again")
            feeds = {name: _check(where, self._spec(name), value) for name, value in inputs.items()}
            dims = dims_of(self._interface.inputs, {name: feed.shape for name, feed in feeds.items()}, where)
            self._check_outputs(outputs)
            profile, split, largest = choose(self._interface.profiles, dims, where)
            try:
                return self._in_parts(feeds, outputs, dims, profile, split, largest)
            except CudaError as error:
                raise DeviceError(
                    f"{where}: {self._runtime.name} failed: {first_line(error)}; "
                    "use --device cuda if it goes on"
                ) from error

    def _in_parts(
        self,
        feeds: Mapping[str, Array | DeviceArray],
        outputs: Sequence[str],
        dims: Mapping[str, int],
        profile: int,
        split: str | None,
        largest: int,
    ) -> list[Array]:
        count = dims[split] if split else 1
        part = min(count, largest)
        while True:
            try:
                rows = [
                    self._once(self._rows(feeds, split, start, start + part), outputs, profile)
                    for start in range(0, count, part)
                ]
            except OutOfMemoryError as error:
                self._drop_lanes()
                if split is None or part == 1:
                    raise self._no_room(error) from error
                part = -(-part // 2)
                log.warning(
                    "%s: the GPU has no room for %d %s a call; going on with %d",
                    *(self._interface.where, min(count, part * 2), split, part),
                )
                continue
            if len(rows) == 1:
                return rows[0]
            return [np.concatenate(pieces) for pieces in zip(*rows, strict=True)]

    def _rows(
        self, feeds: Mapping[str, Array | DeviceArray], split: str | None, start: int, stop: int
    ) -> dict[str, Array | DeviceArray]:
        """The feeds of one part: those that have the split dimension are cut, always along the first axis."""
        part = dict(feeds)
        for tensor in self._interface.inputs:
            value = part[tensor.name]
            if split is not None and split in tensor.shape:
                if isinstance(value, DeviceArray):
                    if start == 0 and stop >= value.shape[0]:
                        continue
                    raise DeviceError(f"{self._interface.where}: {tensor.name} is too large for one call")
                part[tensor.name] = value[start:stop]
        return part

    def _once(
        self, feeds: Mapping[str, Array | DeviceArray], outputs: Sequence[str], profile: int
    ) -> list[Array]:
        lane = self._lane(profile, feeds)
        lane.load(feeds, self._stream)
        self._give_scratch(lane)
        lane.execute(self._stream, self._runtime.messages.take)
        results = [lane.fetch(name, self._stream) for name in outputs]
        self._cuda.synchronize(self._stream)
        return [result.copy() for result in results]  # the next run writes into the same memory

    # ---------------------------------------------------------------- lanes

    def _lane(self, profile: int, feeds: Mapping[str, Array | DeviceArray]) -> _Lane:
        shapes = tuple((tensor.name, feeds[tensor.name].shape) for tensor in self._interface.inputs)
        # Without recording there is nothing to protect: one context per profile serves all shapes.
        key = (profile, shapes) if self._record else (profile,)
        lane = self._lanes.get(key)
        if lane is None:
            while len(self._lanes) >= MAX_LANES:
                self._lanes.popitem(last=False)[1].close()
            lane = _Lane(self._cuda, self._pool, self._context(), self._interface, self._record)
            self._lanes[key] = lane
            lane.select_profile(profile, self._stream)
        self._lanes.move_to_end(key)
        lane.set_shapes(dict(shapes))
        return lane

    def _context(self) -> Any:
        context = (
            self._engine.create_execution_context(self._config)
            if self._config is not None
            else self._engine.create_execution_context(
                self._runtime.module.ExecutionContextAllocationStrategy.USER_MANAGED
            )
        )
        if context is None:
            raise self._failed("cannot start the engine")
        return context

    def _runtime_config(self, cuda_graphs: bool) -> Any:
        """TensorRT-RTX's settings of a context; None for TensorRT, which needs none."""
        if not self._runtime.flavour.ahead_of_time:
            return None
        module = self._runtime.module
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(
            module.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        strategy = module.CudaGraphStrategy
        config.cuda_graph_strategy = strategy.WHOLE_GRAPH_CAPTURE if cuda_graphs else strategy.DISABLED
        if self._jit is not None:
            self._jit.attach(config)
        return config

    def _give_scratch(self, lane: _Lane) -> None:
        """Hand a lane the shared scratch memory, grown where its shapes need more.

        The other lanes get the new memory, and drop what they recorded with the old, at their next run.
        """
        needed = lane.scratch_bytes()
        if self._scratch is None or self._scratch.nbytes < needed:
            if self._scratch is not None:
                self._scratch.close()
                self._scratch = None
            self._scratch = DeviceArray(self._pool, (max(1, needed),), np.uint8)
        lane.use_scratch(self._scratch)

    def _drop_lanes(self) -> None:
        for lane in self._lanes.values():
            lane.close()
        self._lanes.clear()
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None
        self._pool.trim()

    # --------------------------------------------------------------- errors

    def _spec(self, name: str) -> TensorSpec:
        for tensor in self._interface.inputs:
            if tensor.name == name:
                return tensor
        raise DeviceError(f"{self._interface.where}: it has no input {name!r}")

    def _check_outputs(self, outputs: Sequence[str]) -> None:
        known = [tensor.name for tensor in self._interface.outputs]
        for name in outputs:
            if name not in known:
                raise DeviceError(f"{self._interface.where}: it has no output {name!r}, only {known}")

    def _failed(self, what: str) -> DeviceError:
        reason = self._runtime.messages.take() or "it does not say why"
        text = first_line(Exception(reason))
        return DeviceError(f"{self._interface.where}: {self._runtime.name} {what}: {text}")

    def _no_room(self, error: OutOfMemoryError) -> DeviceError:
        return DeviceError(
            f"{self._interface.where}: the GPU has no room: {format_bytes(error.wanted_bytes)} are needed, "
            f"{format_bytes(error.free_bytes)} are free; close other programs on it, use smaller images, "
            "or --device cpu"
        )

    def close(self) -> None:
        """See `Session.close`. Keeps what TensorRT-RTX compiled for the next process."""
        with self._lock:
            if self._engine is None:
                return
            if self._jit is not None:
                self._jit.save()
            try:
                self._drop_lanes()
                self._cuda.call("cudaStreamDestroy", self._stream)
            except CudaError as error:
                log.debug("%s: closing: %s", self._interface.where, error)
            self._config = self._engine = None


class JitCache:
    """What TensorRT-RTX compiles on the machine itself (its runtime cache), kept between processes."""

    def __init__(self, data: bytes, keep: Callable[[bytes], None]) -> None:
        self._data = data
        self._keep = keep
        self._cache: Any = None

    def attach(self, config: Any) -> None:
        """Let contexts made with this configuration use and fill the cache."""
        self._cache = config.create_runtime_cache()
        if self._data and not self._cache.deserialize(self._data):
            log.debug("the runtime cache is of another version, driver or GPU, and starts anew")
            self._data = b""
        config.set_runtime_cache(self._cache)

    def save(self) -> None:
        """Keep the cache if it grew."""
        found = self._cache.serialize() if self._cache is not None else None
        data = b"" if found is None else bytes(found)
        if data and data != self._data:
            self._keep(data)


class _Lane:
    """One execution context, its buffers, and the CUDA graph of its present shapes and addresses."""

    def __init__(
        self, cuda: Cuda, pool: DevicePool, context: Any, interface: Interface, record: bool
    ) -> None:
        self._cuda = cuda
        self._pool = pool
        self._context = context
        self._interface = interface
        self._record = record
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._device: dict[str, DeviceArray] = {}
        self._pinned: dict[str, PinnedArray] = {}
        self._addresses: dict[str, int] = {}
        self._scratch_bytes = 0
        self._scratch: tuple[int, int] | None = None
        self._graph: Any = None
        self._runs = 0

    def select_profile(self, profile: int, stream: Any) -> None:
        if not self._context.set_optimization_profile_async(profile, int(stream)):
            raise DeviceError(f"{self._interface.where}: shape profile {profile} is not in the engine")

    def set_shapes(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Tell the context its input shapes; makes buffers for the outputs."""
        if shapes == self._shapes:
            return
        self.forget_graph()
        self._shapes = {}
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise DeviceError(
                    f"{self._interface.where}: the engine refuses {name} of shape {shape}; "
                    "realm-engine cache prune --max-size 0, then try again"
                )
        self._release()
        for tensor in self._interface.outputs:
            shape = tuple(int(size) for size in self._context.get_tensor_shape(tensor.name))
            if min(shape, default=1) < 0:
                raise DeviceError(
                    f"{self._interface.where}: the shape of {tensor.name} is not known: {shape}"
                )
            self._device[tensor.name] = DeviceArray(self._pool, shape, tensor.dtype)
            self._pinned[tensor.name] = PinnedArray(self._cuda, shape, tensor.dtype)
            self._address(tensor.name, self._device[tensor.name].address)
        self._scratch_bytes = int(self._context.update_device_memory_size_for_shapes())
        self._scratch = None  # where it lies has to be said again
        self._shapes = shapes

    def load(self, feeds: Mapping[str, Array | DeviceArray], stream: Any) -> None:
        """Copy what is on the host; what is on the device already is used there."""
        for tensor in self._interface.inputs:
            value = feeds[tensor.name]
            if isinstance(value, DeviceArray):
                self._address(tensor.name, value.address)
                continue
            if tensor.name not in self._device:
                self._device[tensor.name] = DeviceArray(self._pool, value.shape, value.dtype)
                self._pinned[tensor.name] = PinnedArray(self._cuda, value.shape, value.dtype)
            pinned, device = self._pinned[tensor.name], self._device[tensor.name]
            np.copyto(pinned.array, value)
            self._cuda.to_device(device.address, pinned.array, stream)
            self._address(tensor.name, device.address)

    def scratch_bytes(self) -> int:
        """Scratch memory that the present shapes need."""
        return self._scratch_bytes

    def use_scratch(self, scratch: DeviceArray) -> None:
        """Use this scratch memory."""
        if self._scratch == (scratch.address, scratch.nbytes):
            return
        self.forget_graph()
        if hasattr(self._context, "set_device_memory"):
            self._context.set_device_memory(scratch.address, scratch.nbytes)
        else:  # TensorRT 10.0
            self._context.device_memory = scratch.address
        self._scratch = (scratch.address, scratch.nbytes)

    def execute(self, stream: Any, reason: Callable[[], str]) -> None:
        """Run: as it is, recording it, or from the recording."""
        if self._graph is None and self._record and self._runs >= _RUNS_BEFORE_CAPTURE:
            self._capture(stream)
        if self._graph is not None:
            self._cuda.call("cudaGraphLaunch", self._graph, stream)
        elif not self._context.execute_async_v3(int(stream)):
            text = first_line(Exception(reason() or "it does not say why"))
            raise DeviceError(f"{self._interface.where}: the engine failed: {text}")
        self._runs += 1

    def _capture(self, stream: Any) -> None:
        """Record one run; a graph that cannot be recorded simply runs without."""
        self._cuda.begin_capture(stream)
        try:
            recorded = bool(self._context.execute_async_v3(int(stream)))
        except Exception:
            self._cuda.abort_capture(stream)
            raise
        if not recorded:
            self._cuda.abort_capture(stream)
            self._record = False
            return
        try:
            self._graph = self._cuda.end_capture(stream)
        except CudaError as error:
            log.debug("%s: no CUDA graph: %s", self._interface.where, error)
            self._cuda.module.cudaGetLastError()
            self._record = False

    def fetch(self, name: str, stream: Any) -> Array:
        """Start copying an output to the host; valid once the stream is synchronised, until the next run."""
        pinned = self._pinned[name].array
        self._cuda.to_host(pinned, self._device[name].address, stream)
        return pinned

    def forget_graph(self) -> None:
        """Drop the recording: shapes or addresses are about to change."""
        if self._graph is not None:
            self._cuda.call("cudaGraphExecDestroy", self._graph)
            self._graph = None
        self._runs = 0

    def _address(self, name: str, address: int) -> None:
        if self._addresses.get(name) == address:
            return
        self.forget_graph()
        if not self._context.set_tensor_address(name, address):
            raise DeviceError(f"{self._interface.where}: the engine has no tensor {name!r}")
        self._addresses[name] = address

    def _release(self) -> None:
        for array in self._device.values():
            array.close()
        for pinned in self._pinned.values():
            pinned.close()
        self._device.clear()
        self._pinned.clear()
        self._addresses.clear()

    def close(self) -> None:
        """Free the context and its buffers."""
        self.forget_graph()
        self._context = None
        self._release()


def _check(where: str, tensor: TensorSpec, value: Any) -> Array | DeviceArray:
    checked: Array | DeviceArray = value if isinstance(value, DeviceArray) else contiguous(value)
    if str(checked.dtype) != tensor.dtype:
        raise DeviceError(f"{where}: input {tensor.name!r} is {checked.dtype}, expected {tensor.dtype}")
    return checked


def open_engine(runtime: TrtRuntime, plan: bytes) -> Any:
    """Deserialise a plan. Raises EngineRejectedError, saying why, when the runtime does not take it."""
    module = runtime.module
    runtime.messages.take()
    try:
        opener = runtime.opener
        engine = opener.deserialize_cuda_engine(plan)
    except (RuntimeError, TypeError) as error:
        raise EngineRejectedError(runtime.messages.take() or first_line(error)) from error
    if engine is None:
        why = runtime.messages.take()
        raise EngineRejectedError(
            _diagnosis(module, opener, plan) or first_line(Exception(why or "no reason given"))
        )
    return engine


def _diagnosis(module: Any, opener: Any, plan: bytes) -> str:
    """TensorRT-RTX's own words for what is wrong with a plan, "" where it has none."""
    if not hasattr(opener, "get_engine_validity"):
        return ""
    validity, found = opener.get_engine_validity(plan)
    if validity == module.EngineValidity.VALID:
        return ""
    names = [
        name.lower().replace("_", " ")
        for name, flag in module.EngineInvalidityDiagnostics.__members__.items()
        if int(found) & int(flag)
    ]
    return ", ".join(names)
