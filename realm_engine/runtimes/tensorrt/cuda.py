"""CUDA's runtime through `cuda-bindings`: calls that raise, memory on the device and pinned on the host.

`cuda-bindings` (the part of cuda-python that is needed) rather than pycuda: it comes as wheels, where pycuda is
compiled at installation and then wants a CUDA toolkit; its runtime is linked in, so that without a driver it
still imports and says what is missing; TensorRT's own samples use it; and it has graph capture.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from realm_engine.arrays import Array
from realm_engine.errors import DeviceError
from realm_engine.machine.packages import install_command
from realm_engine.runtimes.base import first_line

log = logging.getLogger("realm_engine")

# Freed blocks that are kept for the next buffer of their size: a new image of the same size then lies where the
# last one lay, and a recorded CUDA graph stays valid.
POOL_BYTES = 512 << 20
_ALIGNMENT = 512


class CudaError(Exception):
    """A call of the CUDA runtime that failed; `name` is CUDA's own, such as cudaErrorMemoryAllocation."""

    def __init__(self, call: str, name: str, text: str) -> None:
        super().__init__(f"{call}: {text}")
        self.name = name


class OutOfMemoryError(CudaError):
    """The device has no room for what was asked for."""

    def __init__(self, wanted_bytes: int, free_bytes: int) -> None:
        super().__init__("cudaMalloc", "cudaErrorMemoryAllocation", "out of memory")
        self.wanted_bytes = wanted_bytes
        self.free_bytes = free_bytes


class Cuda:
    """`cuda.bindings.runtime` with exceptions."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the runtime and return its value. Raises CudaError."""
        code, *values = getattr(self.module, name)(*arguments)
        if int(code) != 0:
            raise CudaError(name, getattr(code, "name", str(code)), self._text(code))
        return values[0] if len(values) == 1 else tuple(values)

    def runtime_version(self) -> int:
        """CUDA version of the bindings, such as 13020."""
        return int(self.call("cudaRuntimeGetVersion"))

    def free_bytes(self) -> int:
        """Free memory of the device; 0 when it cannot say."""
        try:
            return int(self.call("cudaMemGetInfo")[0])
        except CudaError:
            return 0

    def _text(self, code: Any) -> str:
        found = self.module.cudaGetErrorString(code)[1]
        return found.decode() if isinstance(found, bytes) else str(found)

    # ------------------------------------------------------------- memory

    def malloc(self, size_bytes: int) -> int:
        """Device memory, as an address. Raises OutOfMemoryError or CudaError."""
        try:
            return int(self.call("cudaMalloc", size_bytes))
        except CudaError as error:
            if error.name != "cudaErrorMemoryAllocation":
                raise
            self.module.cudaGetLastError()  # or the next call would report it again
            raise OutOfMemoryError(size_bytes, self.free_bytes()) from error

    def free(self, address: int) -> None:
        """Give device memory back."""
        self.call("cudaFree", address)

    def to_device(self, address: int, host: Array, stream: Any) -> None:
        """Copy a contiguous host array, in the order of the stream."""
        kind = self.module.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.call("cudaMemcpyAsync", address, host.ctypes.data, host.nbytes, kind, stream)

    def to_host(self, host: Array, address: int, stream: Any) -> None:
        """Copy to a contiguous host array, in the order of the stream."""
        kind = self.module.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.call("cudaMemcpyAsync", host.ctypes.data, address, host.nbytes, kind, stream)

    # ------------------------------------------------------ streams, graphs

    def stream(self) -> Any:
        """A stream that does not wait for the default one."""
        return self.call("cudaStreamCreateWithFlags", self.module.cudaStreamNonBlocking)

    def synchronize(self, stream: Any) -> None:
        """Wait for what was put into a stream."""
        self.call("cudaStreamSynchronize", stream)

    def begin_capture(self, stream: Any) -> None:
        """Record what is put into the stream from here on; other threads may go on allocating."""
        mode = self.module.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call("cudaStreamBeginCapture", stream, mode)

    def end_capture(self, stream: Any) -> Any:
        """What was recorded, ready to launch. Raises CudaError when it could not be recorded."""
        graph = self.call("cudaStreamEndCapture", stream)
        try:
            return self.call("cudaGraphInstantiate", graph, 0)
        finally:
            self.call("cudaGraphDestroy", graph)

    def abort_capture(self, stream: Any) -> None:
        """Leave the recording mode after an error, and forget the error."""
        self.module.cudaStreamEndCapture(stream)
        self.module.cudaGetLastError()


class Block:
    """A piece of device memory of a pool."""

    def __init__(self, address: int, size_bytes: int) -> None:
        self.address = address
        self.size_bytes = size_bytes


class DevicePool:
    """Device memory in blocks, freed ones kept for their size. Whoever gives a block back is done with it.

    The sessions of a backend share it, from any thread.
    """

    def __init__(self, cuda: Cuda, keep_bytes: int = POOL_BYTES) -> None:
        self._cuda = cuda
        self._keep_bytes = keep_bytes
        self._free: dict[int, list[Block]] = {}
        self._kept_bytes = 0
        # Reentrant: an array that is collected while the lock is held gives its block back there and then.
        self._lock = threading.RLock()

    def take(self, size_bytes: int) -> Block:
        """A block of at least so many bytes. Raises OutOfMemoryError or CudaError."""
        size = max(1, -(-size_bytes // _ALIGNMENT)) * _ALIGNMENT
        with self._lock:
            waiting = self._free.get(size)
            if waiting:
                self._kept_bytes -= size
                return waiting.pop()
            try:
                return Block(self._cuda.malloc(size), size)
            except OutOfMemoryError:
                if not self._kept_bytes:
                    raise
                self.trim()
                return Block(self._cuda.malloc(size), size)

    def give(self, block: Block) -> None:
        """Give a block back."""
        with self._lock:
            if self._kept_bytes + block.size_bytes > self._keep_bytes:
                self._cuda.free(block.address)
                return
            self._free.setdefault(block.size_bytes, []).append(block)
            self._kept_bytes += block.size_bytes

    def trim(self) -> None:
        """Free every block that waits."""
        with self._lock:
            waiting, self._free, self._kept_bytes = self._free, {}, 0
            for blocks in waiting.values():
                for block in blocks:
                    self._cuda.free(block.address)


class DeviceArray:
    """An array on the device: what `Backend.upload` makes of one. Its memory returns to the pool with it."""

    def __init__(self, pool: DevicePool, shape: Sequence[int], dtype: npt.DTypeLike) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.nbytes = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        self._pool = pool
        self._block: Block | None = pool.take(self.nbytes)

    @property
    def address(self) -> int:
        """Where it lies."""
        if self._block is None:
            raise ValueError("this array was closed")
        return self._block.address

    def close(self) -> None:
        """Give the memory back."""
        block, self._block = self._block, None
        if block is not None:
            self._pool.give(block)

    def __del__(self) -> None:
        try:
            self.close()
        except Exception as error:  # the interpreter may be going down
            log.debug("device memory: %s", error)


class PinnedArray:
    """A host array in page-locked memory, which the device copies from and to without a detour."""

    def __init__(self, cuda: Cuda, shape: Sequence[int], dtype: npt.DTypeLike) -> None:
        self._cuda = cuda
        kind: np.dtype[Any] = np.dtype(dtype)
        count = int(np.prod(tuple(shape), dtype=np.int64))
        size_bytes = max(1, count * kind.itemsize)
        self._address: int | None = int(cuda.call("cudaMallocHost", size_bytes))
        raw = (ctypes.c_uint8 * size_bytes).from_address(self._address)
        self.array: Array = np.frombuffer(memoryview(raw), dtype=kind, count=count).reshape(tuple(shape))

    def close(self) -> None:
        """Free the memory; views of `array` must be gone."""
        address, self._address = self._address, None
        if address is not None:
            self._cuda.call("cudaFreeHost", address)


def open_cuda(device: str) -> Cuda:
    """Import the bindings. Raises DeviceError when they are not installed."""
    try:
        from cuda.bindings import runtime
    except (ImportError, OSError) as error:
        raise DeviceError(
            f"device {device}: cuda-bindings cannot be imported ({first_line(error)}); "
            f"{install_command(device)}"
        ) from error
    return Cuda(runtime)
