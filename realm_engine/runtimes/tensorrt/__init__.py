"""TensorRT and TensorRT-RTX behind one backend: engines are built once per GPU and kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from realm_engine.arrays import Array
from realm_engine.errors import DeviceError
from realm_engine.machine.memory import format_bytes
from realm_engine.runtimes.base import contiguous, first_line
from realm_engine.runtimes.tensorrt.cuda import (
    Cuda,
    CudaError,
    DeviceArray,
    DevicePool,
    OutOfMemoryError,
    open_cuda,
)
from realm_engine.runtimes.tensorrt.engines import Engines, Recipe, slug
from realm_engine.runtimes.tensorrt.gpu import Gpu, find_gpu
from realm_engine.runtimes.tensorrt.jit_cache import JitCache
from realm_engine.runtimes.tensorrt.opening import EngineRejectedError, open_engine
from realm_engine.runtimes.tensorrt.runtime import TrtRuntime, open_runtime
from realm_engine.runtimes.tensorrt.session import TensorRTSession

__all__ = ["TensorRTBackend", "open_tensorrt", "open_tensorrt_rtx"]

# "0" runs without CUDA graphs, to compare.
GRAPHS_VARIABLE = "REALM_CUDA_GRAPHS"


class TensorRTBackend:
    """One of the two TensorRTs on the GPU of this machine."""

    name = "tensorrt"
    fast_fp16 = True
    native: tuple[str, ...] = ()
    lacks: Mapping[str, str] = MappingProxyType({})
    resident = True
    texts_together = True
    row_sizes: Mapping[str, tuple[int, ...]] = MappingProxyType({})

    def __init__(self, runtime: TrtRuntime, cuda: Cuda, gpu: Gpu, engines: Engines, threads: int) -> None:
        self.device = runtime.flavour.device
        self.runtime = runtime.name
        self.threads = threads
        self.window_batch = engines.limits.windows
        self.image_batch = engines.limits.images
        self.gpu = gpu
        self._runtime = runtime
        self._cuda = cuda
        self._engines = engines
        self._target = engines.target(gpu)
        self._pool = DevicePool(cuda)
        self._stream = cuda.stream()

    def upload(self, array: Array) -> DeviceArray:
        """See `Backend.upload`. Raises DeviceError when the GPU's memory does not suffice."""
        host = contiguous(array)
        try:
            device = DeviceArray(self._pool, host.shape, host.dtype)
            self._cuda.to_device(device.address, host, self._stream)
            self._cuda.synchronize(self._stream)
        except OutOfMemoryError as error:
            raise DeviceError(
                f"device {self.device}: no room for an array of {format_bytes(host.nbytes)}, "
                f"{format_bytes(error.free_bytes)} are free; use smaller images or --device cpu"
            ) from error
        except CudaError as error:
            raise DeviceError(f"device {self.device}: {first_line(error)}; use --device cpu") from error
        return device

    def load(self, path: Path, precision: str) -> TensorRTSession:
        """See `Backend.load`. Builds the engine if it is missing, saying so."""
        recipe = self._engines.recipe(path, precision, self._target)
        plan = self._engines.plan(recipe)
        try:
            engine = open_engine(self._runtime, plan.data)
        except EngineRejectedError as error:
            engine = self._again(recipe, plan.built, error)
        graphs = os.environ.get(GRAPHS_VARIABLE, "1") != "0"
        try:
            return TensorRTSession(
                self._runtime, self._cuda, self._pool, engine, recipe.interface, graphs, self._jit(recipe)
            )
        except CudaError as error:
            raise DeviceError(f"{path.name}: {self.runtime} failed to start: {first_line(error)}") from error

    def _again(self, recipe: Recipe, built: bool, error: EngineRejectedError) -> Any:
        """Build an engine anew that came from the cache and is refused; one that is refused fresh is an error."""
        if not built:
            self._engines.cache.forget(recipe.key, f"{self.runtime} refuses it ({first_line(error)})")
            try:
                return open_engine(self._runtime, self._engines.plan(recipe).data)
            except EngineRejectedError as second:
                error = second
        raise DeviceError(
            f"{recipe.interface.where}: {self.runtime} cannot open its own engine: {first_line(error)}; "
            "check the driver (realm-engine doctor), or use --device cuda"
        ) from error

    def _jit(self, recipe: Recipe) -> JitCache | None:
        """Where TensorRT-RTX keeps the kernels it compiles on this machine, for this GPU and driver."""
        if not self._runtime.flavour.ahead_of_time:
            return None
        cache, name = (
            self._engines.cache,
            f"{recipe.key.stem}-{slug(self.gpu.name)}-{slug(self.gpu.driver)}.jit",
        )
        return JitCache(cache.read_blob(name), lambda data: cache.keep_blob(name, data))


def open_tensorrt(threads: int) -> TensorRTBackend:
    """TensorRT 10 or 11 on an NVIDIA GPU. Raises DeviceError, with the cure, when something is missing."""
    return _open("tensorrt", threads)


def open_tensorrt_rtx(threads: int) -> TensorRTBackend:
    """TensorRT-RTX on an RTX GPU. Raises DeviceError, with the cure, when something is missing."""
    return _open("tensorrt-rtx", threads)


def _open(device: str, threads: int) -> TensorRTBackend:
    runtime = open_runtime(device)
    cuda = open_cuda(device)
    gpu = find_gpu(cuda, device)
    try:
        return TensorRTBackend(runtime, cuda, gpu, Engines(runtime), threads)
    except CudaError as error:
        raise DeviceError(f"device {device}: {first_line(error)}; check nvidia-smi") from error
