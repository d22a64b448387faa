"""Decoding ahead of the device: the budget of memory, batches, and what fails."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from realm_engine.errors import DeviceError
from realm_engine.pictures.inputs import Entry
from realm_engine.pictures.pipeline import Pipeline


def entries(count: int):
    return (Entry(index, str(index), index) for index in range(count))


def test_decoded_images_stay_within_the_budget():
    live, most, lock = 0, 0, threading.Lock()

    def load(index):
        nonlocal live, most
        with lock:
            live += 1
            most = max(most, live)
        return np.zeros((10, 10 + index % 3, 3), dtype=np.uint8)

    def run(images, batch):
        nonlocal live
        with lock:
            live -= len(batch)
        return [entry.index for entry in batch]

    pipeline = Pipeline(
        load, run, lambda entry, message: message, batch_size=8, threads=2, budget_bytes=3 * 300
    )
    assert list(pipeline.stream(entries(60))) == list(range(60))
    # three images of 300 bytes fill the budget; two decoders may each be at one more, and one is waited for
    assert most <= 3 + 2 + 1


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
