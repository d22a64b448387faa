"""A GPU that is not there: CUDA's runtime and TensorRT's execution, emulated in host memory to check the protocol.

It computes, but above all it refuses what would be undefined on a real one: freed addresses, inputs without one, a
recorded graph whose context, buffers or scratch memory changed since. Its classes have only members that the real
bindings have (`tests/support/data/tensorrt-*.json`), so code that runs here calls nothing that does not exist there.
"""

# ruff: noqa: N802, N815  (CUDA's own names)

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np


class Code(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35


class Runtime:
    """`cuda.bindings.runtime` with `capacity` bytes of device memory."""

    cudaStreamNonBlocking = 1
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self, capacity: int = 1 << 30) -> None:
        self.capacity = capacity
        self.blocks: dict[int, Any] = {}
        self.pinned: dict[int, Any] = {}
        self.recording: list[Callable[[], None]] | None = None
        self.launches = 0
        self.mallocs = 0

    @property
    def used(self) -> int:
        return sum(ctypes.sizeof(block) for block in self.blocks.values())

    def cudaGetErrorString(self, code):
        return Code.cudaSuccess, Code(code).name.encode()

    def cudaGetLastError(self):
        return (Code.cudaSuccess,)

    def cudaMemGetInfo(self):
        return Code.cudaSuccess, self.capacity - self.used, self.capacity

    def cudaMalloc(self, size):
        assert self.recording is None, "allocation while recording"
        if self.used + size > self.capacity:
            return Code.cudaErrorMemoryAllocation, None
        block = (ctypes.c_uint8 * size)()
        self.blocks[ctypes.addressof(block)] = block
        self.mallocs += 1
        return Code.cudaSuccess, ctypes.addressof(block)

    def cudaFree(self, address):
        del self.blocks[address]
        return (Code.cudaSuccess,)

    def cudaMallocHost(self, size):
        block = (ctypes.c_uint8 * size)()
        self.pinned[ctypes.addressof(block)] = block
        return Code.cudaSuccess, ctypes.addressof(block)

    def cudaFreeHost(self, address):
        del self.pinned[address]
        return (Code.cudaSuccess,)

    def cudaMemcpyAsync(self, target, source, size, kind, stream):
        assert self.recording is None, "copy while recording"
        device = target if kind == 1 else source
        assert device in self.blocks and size <= ctypes.sizeof(self.blocks[device]), "not device memory"
        ctypes.memmove(target, source, size)
        return (Code.cudaSuccess,)

    def cudaStreamCreateWithFlags(self, flags):
        return Code.cudaSuccess, 7

    def cudaStreamSynchronize(self, stream):
        return (Code.cudaSuccess,)

    def cudaStreamDestroy(self, stream):
        return (Code.cudaSuccess,)

    def cudaStreamBeginCapture(self, stream, mode):
        self.recording = []
        return (Code.cudaSuccess,)

    def cudaStreamEndCapture(self, stream):
        found, self.recording = self.recording, None
        return Code.cudaSuccess, found

    def cudaGraphInstantiate(self, graph, flags):
        return Code.cudaSuccess, list(graph)

    def cudaGraphDestroy(self, graph):
        return (Code.cudaSuccess,)

    def cudaGraphExecDestroy(self, graph):
        graph.clear()
        return (Code.cudaSuccess,)

    def cudaGraphLaunch(self, graph, stream):
        assert graph, "a graph that was destroyed"
        self.launches += 1
        for step in graph:
            step()
        return (Code.cudaSuccess,)


class Driver(Runtime):
    """A CUDA runtime with a driver of some version, 0 for none."""

    def __init__(self, driver, count=1):
        super().__init__()
        self.driver, self.count = driver, count

    def cudaGetDeviceCount(self):
        code = Code.cudaSuccess if self.driver >= 13000 else Code.cudaErrorInsufficientDriver
        return code, self.count

    def cudaDriverGetVersion(self):
        return Code.cudaSuccess, self.driver

    def cudaRuntimeGetVersion(self):
        return Code.cudaSuccess, 13050

    def cudaGetDeviceProperties(self, index):
        found = SimpleNamespace(name=b"NVIDIA GeForce RTX 4090", major=8, minor=9, totalGlobalMem=24 << 30)
        return Code.cudaSuccess, found


INPUTS = {"image": np.uint8, "top": np.int64, "text": np.float32}


class Context:
    """Execution context of `similarity[n, k] = image.sum() + top[n] + text[k].sum()`."""

    def __init__(self, device: Runtime, scratch_per_window: int) -> None:
        self._device = device
        self._per_window = scratch_per_window
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._scratch = (0, 0)
        self._changes = 0

    def set_optimization_profile_async(self, index, stream):
        self._changes += 1
        return index == 0

    def set_input_shape(self, name, shape):
        self._changes += 1
        self._shapes[name] = tuple(shape)
        self._settled = False
        return name in INPUTS

    def get_tensor_shape(self, name):
        return (self._shapes["top"][0], self._shapes["text"][0])

    def update_device_memory_size_for_shapes(self):
        self._changes += 1
        self._scratch = (0, 0)  # partitioned anew: where it lies has to be said again
        return self._needed()

    def _needed(self):
        return self._per_window * self._shapes["top"][0]

    def set_device_memory(self, address, size):
        self._changes += 1
        self._scratch = (address, size)

    def set_tensor_address(self, name, address):
        self._changes += 1
        self._addresses[name] = address
        return name in (*INPUTS, "similarity")

    def execute_async_v3(self, stream):
        if self._device.recording is not None:
            assert self._settled, "recorded before a first run settled the shapes"
            changes = self._changes

            def replay() -> None:
                assert changes == self._changes, "the context changed since this graph was recorded"
                self._compute()

            self._device.recording.append(replay)
        else:
            self._compute()
            self._settled = True
        return True

    def _compute(self):
        address, size = self._scratch
        needed = self._needed()
        assert address in self._device.blocks and size >= needed, "scratch memory is missing"
        values = {
            name: self._view(self._addresses[name], self._shapes[name], dtype)
            for name, dtype in INPUTS.items()
        }
        out = self._view(self._addresses["similarity"], self.get_tensor_shape("similarity"), np.float32)
        rows = values["top"].astype(np.float32) + float(values["image"].sum())
        out[:] = rows[:, None] + values["text"].sum(axis=1)[None, :]

    def _view(self, address, shape, dtype):
        assert address in self._device.blocks, "an address of no allocated memory"
        count = int(np.prod(shape))
        block = self._device.blocks[address]
        assert count * np.dtype(dtype).itemsize <= ctypes.sizeof(block), "a buffer that is too small"
        return np.frombuffer(block, dtype, count).reshape(shape)


class OldContext(Context):
    """As in TensorRT 10.0: scratch memory is a property, without a size."""

    @property
    def device_memory(self):
        return self._scratch[0]

    @device_memory.setter
    def device_memory(self, address):
        Context.set_device_memory(self, address, ctypes.sizeof(self._device.blocks[address]))

    def __getattribute__(self, name):
        if name == "set_device_memory":
            raise AttributeError(name)
        return object.__getattribute__(self, name)

    def __dir__(self):
        return [name for name in super().__dir__() if name != "set_device_memory"]


class RuntimeConfig:
    """TensorRT-RTX's settings of a context."""

    cuda_graph_strategy = None

    def set_execution_context_allocation_strategy(self, strategy):
        self.allocation = strategy

    def create_runtime_cache(self):
        return RuntimeCache()

    def set_runtime_cache(self, cache):
        self.cache = cache


class RuntimeCache:
    """Accepts what it wrote itself."""

    data = b"compiled"

    def deserialize(self, blob):
        return blob == self.data

    def serialize(self):
        return self.data


class Engine:
    """`rtx`: contexts are made from a configuration."""

    def __init__(self, device: Runtime, context: type[Context], scratch_per_window: int, rtx: bool) -> None:
        self._device = device
        self._context = context
        self._per_window = scratch_per_window
        self.contexts: list[Context] = []
        self.configs: list[Any] = []
        if rtx:
            self.create_runtime_config = RuntimeConfig

    def create_execution_context(self, how):
        self.configs.append(how)
        self.contexts.append(self._context(self._device, self._per_window))
        return self.contexts[-1]


MODULE = SimpleNamespace(
    __version__="0",
    ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user-managed"),
    CudaGraphStrategy=SimpleNamespace(DISABLED="disabled", WHOLE_GRAPH_CAPTURE="whole"),
)
