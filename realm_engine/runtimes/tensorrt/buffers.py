"""Where the tensors of an execution context lie: an array on the device, and a page-locked one to copy through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from realm_engine.arrays import Array
from realm_engine.runtimes.tensorrt.cuda import Cuda, DeviceArray, DevicePool, PinnedArray


class Buffers:
    """Pairs of arrays by the name of their tensor."""

    def __init__(self, cuda: Cuda, pool: DevicePool) -> None:
        self._cuda = cuda
        self._pool = pool
        self._device: dict[str, DeviceArray] = {}
        self._pinned: dict[str, PinnedArray] = {}

    def make(self, name: str, shape: Sequence[int], dtype: npt.DTypeLike) -> int:
        """Make the pair of a tensor; the address on the device. Raises OutOfMemoryError or CudaError."""
        self._device[name] = DeviceArray(self._pool, shape, dtype)
        self._pinned[name] = PinnedArray(self._cuda, shape, dtype)
        return self._device[name].address

    def upload(self, name: str, value: Array, stream: Any) -> int:
        """Start copying a host array to the device, to the pair made for its shape at first; the address there."""
        if name not in self._device:
            self.make(name, value.shape, value.dtype)
        pinned, address = self._pinned[name].array, self._device[name].address
        np.copyto(pinned, value)
        self._cuda.to_device(address, pinned, stream)
        return address

    def fetch(self, name: str, stream: Any) -> Array:
        """Start copying a tensor to the host; valid once the stream is synchronised, until the next run."""
        pinned = self._pinned[name].array
        self._cuda.to_host(pinned, self._device[name].address, stream)
        return pinned

    def close(self) -> None:
        """Give all memory back; pairs can be made anew."""
        for array in self._device.values():
            array.close()
        for pinned in self._pinned.values():
            pinned.close()
        self._device.clear()
        self._pinned.clear()
