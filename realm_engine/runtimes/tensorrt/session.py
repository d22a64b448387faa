"""Runs an engine: one stream, a lane for each set of shapes, scratch memory that all of them share.

Changing a lane would invalidate the CUDA graph recorded from it, so several shapes in turn have several lanes. The
size of the scratch memory follows the shapes in use and not the largest that the profile allows.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from realm_engine.arrays import Array
from realm_engine.bundle.manifest import TensorSpec
from realm_engine.errors import ClosedError, DeviceError
from realm_engine.machine.memory import format_bytes
from realm_engine.runtimes.base import contiguous, first_line
from realm_engine.runtimes.padding import PER_ROW_DIM
from realm_engine.runtimes.tensorrt.cuda import Cuda, CudaError, DeviceArray, DevicePool, OutOfMemoryError
from realm_engine.runtimes.tensorrt.interface import Interface
from realm_engine.runtimes.tensorrt.jit_cache import JitCache
from realm_engine.runtimes.tensorrt.lane import Lane
from realm_engine.runtimes.tensorrt.profiles import choose, dims_of
from realm_engine.runtimes.tensorrt.runtime import TrtRuntime

log = logging.getLogger("realm_engine")

# Shapes that are kept ready: whole calls and the last, smaller one, of two image sizes.
MAX_LANES = 4


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
        self._lanes: OrderedDict[tuple[Any, ...], Lane] = OrderedDict()
        self._scratch: DeviceArray | None = None
        self._lock = threading.Lock()
        self._stream = cuda.stream()

    # ------------------------------------------------------------------ run

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """See `Session.run`. A call beyond the profile, or the memory, is run in parts where rows allow that."""
        where = self._interface.where
        with self._lock:
            if self._engine is None:
                raise ClosedError(f"{where}: the engine is closed; open it again")
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
            each = PER_ROW_DIM in tensor.shape and value.shape[0] > 1  # not one for all rows
            if split is not None and (split in tensor.shape or each):
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

    def _lane(self, profile: int, feeds: Mapping[str, Array | DeviceArray]) -> Lane:
        shapes = tuple((tensor.name, feeds[tensor.name].shape) for tensor in self._interface.inputs)
        # Without recording there is nothing to protect: one context per profile serves all shapes.
        key = (profile, shapes) if self._record else (profile,)
        lane = self._lanes.get(key)
        if lane is None:
            while len(self._lanes) >= MAX_LANES:
                self._lanes.popitem(last=False)[1].close()
            lane = Lane(self._cuda, self._pool, self._context(), self._interface, self._record)
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

    def _give_scratch(self, lane: Lane) -> None:
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


def _check(where: str, tensor: TensorSpec, value: Any) -> Array | DeviceArray:
    checked: Array | DeviceArray = value if isinstance(value, DeviceArray) else contiguous(value)
    if str(checked.dtype) != tensor.dtype:
        raise DeviceError(f"{where}: input {tensor.name!r} is {checked.dtype}, expected {tensor.dtype}")
    return checked
