"""Decoding ahead of the device: the budget of memory, batches, and what fails."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from realm_engine import Engine
from realm_engine.errors import DeviceError
from realm_engine.machine.memory import MemoryLimit
from realm_engine.pictures.inputs import Entry
from realm_engine.pictures.pipeline import Pipeline


def entries(count: int):
    return (Entry(index, str(index), index) for index in range(count))


class Held:
    """Counts the decoded images, of at most 360 bytes, that no run has taken yet."""

    def __init__(self):
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    def load(self, index):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        return np.zeros((10, 10 + index % 3, 3), dtype=np.uint8)

    def run(self, images, batch):
        with self.lock:
            self.now -= len(batch)
        return [entry.index for entry in batch]


def test_decoded_images_stay_within_the_budget():
    held = Held()
    pipeline = Pipeline(
        held.load, held.run, lambda entry, message: message, batch_size=8, threads=2, budget_bytes=3 * 300
    )
    assert list(pipeline.stream(entries(60))) == list(range(60))
    # three images of 300 bytes fill the budget; two decoders may each be at one more, and one is waited for
    assert held.most <= 3 + 2 + 1


def test_large_images_are_scored_in_smaller_batches():
    sizes = []

    def run(images, batch):
        sizes.append(len(images))
        return [entry.index for entry in batch]

    pipeline = Pipeline(
        lambda index: np.zeros((10, 10, 3), np.uint8),
        run,
        lambda entry, message: message,
        batch_size=8,
        threads=2,
        per_call=lambda image: 250 // image[:, :, 0].size,
    )
    assert list(pipeline.stream(entries(20))) == list(range(20))
    assert max(sizes) == 2


def test_a_batch_that_fails_is_tried_one_by_one():
    def run(images, batch):
        if any(entry.index == 5 for entry in batch):
            raise DeviceError("out of memory")
        return [str(entry.index) for entry in batch]

    pipeline = Pipeline(
        lambda index: np.zeros((4, 4, 3), np.uint8), run, lambda entry, message: message, 8, 2
    )
    expected = [str(index) if index != 5 else "out of memory" for index in range(12)]
    assert list(pipeline.stream(entries(12))) == expected


def test_a_bug_in_a_decoder_is_not_hidden():
    def load(index):
        raise ZeroDivisionError

    pipeline = Pipeline(load, lambda *_: [], lambda entry, message: message, 4, 2)
    with pytest.raises(ZeroDivisionError):
        list(pipeline.stream(entries(3)))


def test_a_pipeline_that_gathers_fills_its_batches_and_never_waits_for_the_budget():
    def sizes_of(budget_bytes, gather):
        sizes, started = [], threading.Event()

        def load(index):
            if index == 0:
                return np.zeros((4, 4, 3), np.uint8)
            started.wait(0.05)  # the first is there long before the others
            return np.zeros((4, 4, 3), np.uint8)

        def run(images, batch):
            sizes.append(len(images))
            return [entry.index for entry in batch]

        pipeline = Pipeline(load, run, lambda entry, message: message, 4, 2, None, budget_bytes, gather)
        assert list(pipeline.stream(entries(12))) == list(range(12))
        return sizes

    assert sizes_of(1 << 20, gather=True) == [4, 4, 4]
    assert sizes_of(1 << 20, gather=False)[0] == 1
    assert sum(sizes_of(2 * 48, gather=True)) == 12  # two images fill the budget: it ends, in smaller batches


@pytest.mark.parametrize(
    ("limit", "bytes_waiting"),
    [("800M", 100 << 20), ("1.5G", 192 << 20), (None, 256 << 20), ("2G", 256 << 20), ("64G", 256 << 20)],
)
def test_decoded_images_that_wait_take_an_eighth_of_the_memory_limit(bundle_path, limit, bytes_waiting):
    with Engine.open(bundle_path, device="cpu", threads=1, max_memory=limit) as engine:
        pipeline = engine._pipeline(lambda *_: [], lambda *_: None, lambda image: 1, 8, 1)
    assert pipeline._budget_bytes == bytes_waiting


def test_an_engine_stops_decoding_where_its_memory_limit_says(bundle_path, monkeypatch):
    """Three images wait, two more are in the hands of decoders, and one is what the model waits for."""
    held = Held()
    monkeypatch.setattr("realm_engine.engine.load_image", held.load)
    with Engine.open(bundle_path, device="cpu", threads=1) as engine:
        engine._memory = MemoryLimit(8 * 3 * 300, strict=True)
        pipeline = engine._pipeline(held.run, lambda entry, message: message, lambda image: 8, 8, 2)
        assert list(pipeline.stream(entries(60))) == list(range(60))
    assert held.most <= 3 + 2 + 1
