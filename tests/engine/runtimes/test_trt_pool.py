"""Device memory in blocks, on an emulated GPU."""

from __future__ import annotations

import threading
import time

import pytest
import trt_emulator as emulator

from realm_engine.runtimes.tensorrt.cuda import Cuda, DevicePool, OutOfMemoryError


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


class Watched(emulator.Runtime):
    """A device that lets another thread act in the middle of every cudaFree."""

    def __init__(self, meanwhile):
        super().__init__()
        self.meanwhile = meanwhile

    def cudaFree(self, address):  # noqa: N802
        thread = threading.Thread(target=self.meanwhile)
        thread.start()
        thread.join(timeout=0.2)  # one that has to wait gets its turn later
        return super().cudaFree(address)


def test_no_block_that_is_being_freed_is_handed_to_another_thread():
    taken = []
    device = Watched(lambda: taken.append(pool.take(1024)))
    pool = DevicePool(Cuda(device))
    for block in [pool.take(1024) for _ in range(2)]:
        pool.give(block)
    pool.trim()
    deadline = time.monotonic() + 10
    while len(taken) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(taken) == 2 and all(block.address in device.blocks for block in taken)
    assert taken[0].address != taken[1].address


def test_an_array_that_is_collected_in_the_middle_of_an_allocation_deadlocks_nothing():
    device = emulator.Runtime(capacity=4096)
    pool, malloc = DevicePool(Cuda(device)), device.cudaMalloc
    held = [pool.take(512)]

    def collecting(size):
        while held:
            pool.give(held.pop())
        return malloc(size)

    device.cudaMalloc = collecting
    thread = threading.Thread(target=pool.take, args=(1024,), daemon=True)
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()
