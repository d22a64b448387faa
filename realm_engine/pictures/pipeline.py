"""Decodes images on threads ahead of the model, within a budget of memory, and keeps the input order."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from realm_engine.arrays import UInt8
from realm_engine.errors import RealmError

T = TypeVar("T")

# Decoded images that wait for the model; one 4000 x 3000 photograph is 36 MB.
BUDGET_BYTES = 256 << 20


@dataclass
class Job:
    """One image to decode; `source` is whatever `load` takes."""

    index: int
    name: str
    source: Any
    text: str | None
    error: str | None = None


class _Slot(Generic[T]):
    """A job on its way: decoding, then waiting for the model, then answered."""

    def __init__(self, job: Job, future: Future[UInt8]) -> None:
        self.job = job
        self.future = future
        self.answer: T | None = None


class _Budget:
    """Lets decoders start while decoded images are few; the one the model waits for always may."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._head = 0
        self._closed = False
        self._changed = threading.Condition()

    def admit(self, index: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._held < self._limit or index <= self._head or self._closed)

    def hold(self, size: int) -> None:
        with self._changed:
            self._held += size

    def release(self, size: int) -> None:
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def advance(self, head: int) -> None:
        with self._changed:
            self._head = head
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Pipeline(Generic[T]):
    """Streams jobs through `load` (on threads) and `run` (here, in batches of images of equal size).

    `per_call(image)` says how many images of that size one `run` takes, at most `batch_size`. `run(images,
    jobs)` answers a batch; `fail(job, message)` answers a job whose image, or whose batch of one, raised a
    RealmError. Answers come in the order of the jobs, whatever the batches were.
    """

    def __init__(
        self,
        load: Callable[[Any], UInt8],
        run: Callable[[list[UInt8], list[Job]], Sequence[T]],
        fail: Callable[[Job, str], T],
        batch_size: int,
        threads: int,
        per_call: Callable[[UInt8], int] | None = None,
        budget_bytes: int = BUDGET_BYTES,
    ) -> None:
        self._load = load
        self._run = run
        self._fail = fail
        self._per_call = per_call or (lambda image: batch_size)
        self._batch_size = batch_size
        self._threads = threads
        self._budget_bytes = budget_bytes

    def stream(self, jobs: Iterator[Job]) -> Iterator[T]:
        """Yield one answer per job. Closing the generator stops the decoders."""
        budget = _Budget(self._budget_bytes)
        lookahead = 2 * self._batch_size + self._threads
        slots: deque[_Slot[T]] = deque()
        executor = ThreadPoolExecutor(self._threads, thread_name_prefix="decode")
        try:
            while True:
                for job in itertools.islice(jobs, lookahead - len(slots)):
                    slots.append(_Slot(job, executor.submit(self._decode, job, budget)))
                if not slots:
                    return
                head = slots[0]
                budget.advance(head.job.index)
                if head.answer is None:
                    self._answer(slots, budget)
                assert head.answer is not None
                slots.popleft()
                yield head.answer
        finally:
            budget.close()
            executor.shutdown(wait=True, cancel_futures=True)

    def _decode(self, job: Job, budget: _Budget) -> UInt8:
        if job.error is not None:
            raise RealmError(job.error)
        budget.admit(job.index)
        image = self._load(job.source)
        budget.hold(image.nbytes)
        return image

    def _answer(self, slots: deque[_Slot[T]], budget: _Budget) -> None:
        """Answer the first slot, and with it as many later ones of its size as a batch holds."""
        image = self._image(slots[0])
        if image is None:
            return
        try:
            limit = min(self._batch_size, self._per_call(image))
        except RealmError:  # whatever is wrong with it, `run` says so as well
            limit = 1
        batch, images = [slots[0]], [image]
        for slot in itertools.islice(slots, 1, None):
            if len(batch) == limit:
                break
            # A decoder may wait for the budget until the first slot is gone: never wait for it here.
            if slot.answer is None and slot.future.done():
                other = self._image(slot)
                if other is not None and other.shape == image.shape:
                    batch.append(slot)
                    images.append(other)
        self._score(batch, images)
        for slot, used in zip(batch, images, strict=True):
            slot.future = Future()  # drops the decoded image
            budget.release(used.nbytes)

    def _image(self, slot: _Slot[T]) -> UInt8 | None:
        """The decoded image; None after answering the slot with its error."""
        try:
            return slot.future.result()
        except RealmError as error:
            slot.answer = self._fail(slot.job, str(error))
            return None

    def _score(self, batch: list[_Slot[T]], images: list[UInt8]) -> None:
        """Answer a batch; where it fails, one by one, so that only the image to blame has an error."""
        try:
            answers = self._run(images, [slot.job for slot in batch])
        except (RealmError, MemoryError) as error:
            if len(batch) == 1:
                batch[0].answer = self._fail(batch[0].job, str(error) or "not enough memory to score it")
                return
            for slot, image in zip(batch, images, strict=True):
                self._score([slot], [image])
            return
        for slot, answer in zip(batch, answers, strict=True):
            slot.answer = answer
