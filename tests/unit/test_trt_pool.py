"""Device memory in blocks, on an emulated GPU."""

from __future__ import annotations

import pytest
import trt_emulator as emulator

from realm_engine.backends.tensorrt.cuda import Cuda, DevicePool, OutOfMemoryError


def test_the_pool_reuses_trims_and_bounds():
    device = emulator.Runtime(capacity=10_000)
    pool = DevicePool(Cuda(device), keep_bytes=4096)
    first = pool.take(1000)
    pool.give(first)
    assert pool.take(1000).address == first.address and device.mallocs == 1
    blocks = [pool.take(1024) for _ in range(6)]
    for block in blocks:
        pool.give(block)
    assert device.used == 1024 + 4096  # one in use, four waiting
    pool.take(9000 - 1024)  # only fits once those that wait are freed
    with pytest.raises(OutOfMemoryError) as caught:
        pool.take(5000)
    assert caught.value.wanted_bytes == 5120 and caught.value.free_bytes < 2000
