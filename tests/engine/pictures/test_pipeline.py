"""Decoding ahead of the device: the budget of memory, batches, and what fails."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from realm_engine.errors import DeviceError
from realm_engine.pictures.pipeline import Job, Pipeline


def jobs(count: int):
    return (Job(index, str(index), index, None) for index in range(count))


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
        return [job.index for job in batch]

    pipeline = Pipeline(
        load, run, lambda job, message: message, batch_size=8, threads=2, budget_bytes=3 * 300
    )
    assert list(pipeline.stream(jobs(60))) == list(range(60))
    # three images of 300 bytes fill the budget; two decoders may each be at one more, and one is waited for
    assert most <= 3 + 2 + 1


def test_large_images_are_scored_in_smaller_batches():
    sizes = []

    def run(images, batch):
        sizes.append(len(images))
        return [job.index for job in batch]

    pipeline = Pipeline(
        lambda index: np.zeros((10, 10, 3), np.uint8),
        run,
        lambda job, message: message,
        batch_size=8,
        threads=2,
        per_call=lambda image: 250 // image[:, :, 0].size,
    )
    assert list(pipeline.stream(jobs(20))) == list(range(20))
    assert max(sizes) == 2


def test_a_batch_that_fails_is_tried_one_by_one():
    def run(images, batch):
        if any(job.index == 5 for job in batch):
            raise DeviceError("out of memory")
        return [str(job.index) for job in batch]

    pipeline = Pipeline(lambda index: np.zeros((4, 4, 3), np.uint8), run, lambda job, message: message, 8, 2)
    expected = [str(index) if index != 5 else "out of memory" for index in range(12)]
    assert list(pipeline.stream(jobs(12))) == expected


def test_a_bug_in_a_decoder_is_not_hidden():
    def load(index):
        raise ZeroDivisionError

    pipeline = Pipeline(load, lambda *_: [], lambda job, message: message, 4, 2)
    with pytest.raises(ZeroDivisionError):
        list(pipeline.stream(jobs(3)))
