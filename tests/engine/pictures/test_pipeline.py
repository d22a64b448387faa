"""Decoding ahead of the device: the budget of memory, batches, and what fails."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from decoders import wait_until_no_thread_decodes
from hypothesis import given, settings
from hypothesis import strategies as st

from realm_engine import Engine
from realm_engine.errors import DeviceError, ImageError
from realm_engine.machine.memory import MemoryLimit
from realm_engine.pictures.inputs import Entry
from realm_engine.pictures.intake import Intake
from realm_engine.pictures.pipeline import Pipeline


def entries(count: int):
    return (Entry(index, str(index), index) for index in range(count))


class Held:
    """Counts the decoded images, of at most 360 bytes, that no run has taken yet."""

    def __init__(self):
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    def load(self, index, admit):
        admit(300 + 30 * (index % 3))
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
    assert held.most <= 3  # three images of 300 bytes fill the budget


def test_large_images_are_scored_in_smaller_batches():
    sizes = []

    def run(images, batch):
        sizes.append(len(images))
        return [entry.index for entry in batch]

    pipeline = Pipeline(
        lambda index, admit: np.zeros((10, 10, 3), np.uint8),
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
        lambda index, admit: np.zeros((4, 4, 3), np.uint8), run, lambda entry, message: message, 8, 2
    )
    expected = [str(index) if index != 5 else "out of memory" for index in range(12)]
    assert list(pipeline.stream(entries(12))) == expected


def test_a_bug_in_a_decoder_is_not_hidden():
    def load(index, admit):
        raise ZeroDivisionError

    pipeline = Pipeline(load, lambda *_: [], lambda entry, message: message, 4, 2)
    with pytest.raises(ZeroDivisionError):
        list(pipeline.stream(entries(3)))


def test_a_pipeline_that_gathers_fills_its_batches_and_never_waits_for_the_budget():
    def sizes_of(budget_bytes, gather):
        sizes, started = [], threading.Event()

        def load(index, admit):
            admit(48)
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
        pipeline = engine._intake.pipeline(lambda *_: [], lambda *_: None, lambda image: 1, 8, 1)
    assert pipeline._budget_bytes == bytes_waiting


def test_an_engine_stops_decoding_where_its_memory_limit_says(bundle_path, monkeypatch):
    held = Held()
    monkeypatch.setattr("realm_engine.pictures.intake.load_image", held.load)
    with Engine.open(bundle_path, device="cpu", threads=1) as engine:
        engine._intake = Intake(MemoryLimit(8 * 3 * 300, strict=True))
        pipeline = engine._intake.pipeline(held.run, lambda entry, message: message, lambda image: 8, 8, 2)
        assert list(pipeline.stream(entries(60))) == list(range(60))
    assert held.most <= 3


def peak_of(sizes, budget_bytes, threads, batch_size, room=None):
    """Streams images of these sizes (None: cannot be decoded), each answered with its place.

    Returns the answers, and the most bytes that were admitted and not gone at once.
    """
    held, most, lock = {}, [0], threading.Lock()

    def load(index, admit):
        size = sizes[index]
        if size is None:
            raise ImageError("broken")
        admit(size)
        with lock:
            held[index] = size
            most[0] = max(most[0], sum(held.values()))
        return np.zeros((1, size // 3, 3), np.uint8)

    def run(images, batch):
        assert len({image.shape for image in images}) == 1
        return [entry.index for entry in batch]

    pipeline = Pipeline(
        load, run, lambda entry, message: message, batch_size, threads, budget_bytes=budget_bytes, room=room
    )
    answers = []
    for answer in pipeline.stream(entries(len(sizes))):
        answers.append(answer)
        with lock:
            held.pop(len(answers) - 1, None)
    return answers, most[0]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([3, 30, 300, 3000, 3000, None]), max_size=40),
    budget_bytes=st.integers(1, 4000),
    threads=st.integers(1, 4),
    batch_size=st.integers(1, 5),
    room=st.sampled_from([None, 0, 100, 10**6]),
)
def test_any_sizes_and_any_budget_give_what_a_plain_loop_gives(
    sizes, budget_bytes, threads, batch_size, room
):
    """It ends, in order, and never holds more than the budget, or than the one image that is larger alone."""
    done = []
    asked = None if room is None else lambda: room
    worker = threading.Thread(
        target=lambda: done.append(peak_of(sizes, budget_bytes, threads, batch_size, asked)), daemon=True
    )
    worker.start()
    worker.join(30)
    assert done, "the pipeline waits for ever"
    answers, most = done[0]
    assert answers == ["broken" if size is None else index for index, size in enumerate(sizes)]
    largest = max((size for size in sizes if size is not None), default=0)
    assert most <= max(budget_bytes, largest)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_three_huge_images_are_decoded_one_at_a_time(threads):
    answers, most = peak_of([3000, 3000, 3000, 3, 3], 100, threads, 8)
    assert answers == [0, 1, 2, 3, 4] and most == 3000


def test_an_image_is_held_until_the_next_answer_is_asked_for():
    """An answer may hold its image, as maps do: the next large one is not decoded beside it."""
    admitted = []

    def load(index, admit):
        admit(1000)
        admitted.append(index)
        return np.zeros((10, 10, 3), np.uint8)

    pipeline = Pipeline(
        load, lambda images, batch: images, lambda entry, message: message, 1, 2, budget_bytes=100
    )
    stream = pipeline.stream(entries(3))
    for index in range(3):
        next(stream)
        time.sleep(0.05)
        assert admitted == list(range(index + 1))
    assert list(stream) == []


def test_nobody_waits_for_a_decoder_that_is_at_work():
    """An interrupt must not wait for a picture that takes long: the threads end by themselves."""
    release, started = threading.Event(), threading.Event()

    def load(index, admit):
        if index:
            started.set()
            release.wait(60)
        return np.zeros((1, 1, 3), np.uint8)

    pipeline = Pipeline(load, lambda images, batch: [0] * len(batch), lambda entry, message: message, 1, 2)
    stream = pipeline.stream(entries(9))
    next(stream)
    assert started.wait(10)
    start = time.monotonic()
    stream.close()
    assert time.monotonic() - start < 5
    release.set()
    wait_until_no_thread_decodes()


class Puts:
    """Entries that run dry for now, as a queue does: two, then none until some are answered."""

    def __init__(self, count: int):
        self.left, self.ready = list(entries(count)), 2

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left or not self.ready:
            raise StopIteration
        self.ready -= 1
        return self.left.pop(0)


def test_entries_that_run_dry_are_asked_again_after_every_answer():
    puts, answered = Puts(7), []
    pipeline = Pipeline(
        lambda index, admit: np.zeros((4, 4, 3), np.uint8),
        lambda images, batch: [entry.index for entry in batch],
        lambda entry, message: message,
        batch_size=4,
        threads=1,
    )
    for answer in pipeline.stream(puts):
        answered.append(answer)
        puts.ready += 1
    assert answered == list(range(7))


def test_who_watches_is_told_of_every_image_and_call():
    class Seen:
        decodes, calls = 0, []

        def decoded(self, seconds):
            assert 0 <= seconds < 60
            self.decodes += 1

        def computed(self, images, seconds):
            assert 0 <= seconds < 60
            self.calls.append(images)

    def load(index, admit):
        if index == 3:
            raise ImageError("broken")
        admit(48)
        return np.zeros((4, 4, 3), np.uint8)

    seen = Seen()
    pipeline = Pipeline(
        load,
        lambda images, batch: [entry.index for entry in batch],
        lambda entry, message: message,
        batch_size=4,
        threads=1,
        gather=True,
        watch=seen,
    )
    assert list(pipeline.stream(entries(6))) == [0, 1, 2, "broken", 4, 5]
    assert seen.decodes == 6 and sum(seen.calls) == 5 and max(seen.calls) > 1
