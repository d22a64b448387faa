"""Decodes images on threads ahead of the model, within a budget of memory, and keeps the input order."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from realm_engine.arrays import UInt8
from realm_engine.errors import RealmError
from realm_engine.pictures.inputs import Entry

T = TypeVar("T")

# Decoded images that wait for the model; one 4000 x 3000 photograph is 36 MB.
BUDGET_BYTES = 256 << 20


class _Slot(Generic[T]):
    """An entry on its way: decoding, then waiting for the model, then answered."""

    def __init__(self, entry: Entry, future: Future[UInt8]) -> None:
        self.entry = entry
        self.future = future
        self.answer: T | None = None


class _Budget:
    """Lets decoders start while what they hold and will hold fits; the one the model waits for always may."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._head = 0
        self._closed = False
        self._waiting = 0
        self._changed = threading.Condition()

    def admit(self, index: int, size: int) -> None:
        """Wait until an image that will take so many bytes may be decoded; it is held from then on."""

        def may() -> bool:
            fits = self._held < self._limit and self._held + size <= max(self._limit, size)
            return fits or index <= self._head or self._closed

        with self._changed:
            if not may():
                self._waiting += 1
                self._changed.notify_all()
                self._changed.wait_for(may)
                self._waiting -= 1
            self._held += size

    def settled(self, future: Future[UInt8]) -> bool:
        """Wait until a future is done, or until it cannot be because decoders wait for the budget."""
        future.add_done_callback(lambda _: self._notify())
        with self._changed:
            self._changed.wait_for(lambda: future.done() or self._waiting > 0)
        return future.done()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

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
    """Streams entries through `load` (on threads) and `run` (here, in batches of images with equal keys).

    `key(image)` is the image's shape unless told otherwise; `per_call(image)` says how many images with that key one
    `run` takes, at most `batch_size`. `run(images,
    entries)` answers a batch; `fail(entry, message)` answers a entry whose image, or whose batch of one, raised a
    RealmError. Answers come in the order of the entries, whatever the batches were.
    """

    def __init__(
        self,
        load: Callable[[Any], UInt8],
        run: Callable[[list[UInt8], list[Entry]], Sequence[T]],
        fail: Callable[[Entry, str], T],
        batch_size: int,
        threads: int,
        per_call: Callable[[UInt8], int] | None = None,
        budget_bytes: int = BUDGET_BYTES,
        gather: bool = False,
        key: Callable[[UInt8], Hashable] | None = None,
        weigh: Callable[[Any], int] | None = None,
    ) -> None:
        """`weigh(source)`: about how many bytes loading it will hold at its peak, 0 where that is not known.

        `gather`: wait for images that are being decoded rather than run a batch that is not full."""
        self._load = load
        self._run = run
        self._fail = fail
        self._per_call = per_call or (lambda image: batch_size)
        self._batch_size = batch_size
        self._threads = threads
        self._budget_bytes = budget_bytes
        self._gather = gather
        self._weigh = weigh or (lambda source: 0)
        self._key = key or (lambda image: image.shape)

    def stream(self, entries: Iterator[Entry]) -> Iterator[T]:
        """Yield one answer per entry. Closing the generator stops the decoders."""
        budget = _Budget(self._budget_bytes)
        lookahead = 2 * self._batch_size + self._threads
        slots: deque[_Slot[T]] = deque()
        executor = ThreadPoolExecutor(self._threads, thread_name_prefix="decode")
        try:
            while True:
                for entry in itertools.islice(entries, lookahead - len(slots)):
                    slots.append(_Slot(entry, executor.submit(self._decode, entry, budget)))
                if not slots:
                    return
                head = slots[0]
                budget.advance(head.entry.index)
                if head.answer is None:
                    self._answer(slots, budget)
                assert head.answer is not None
                slots.popleft()
                yield head.answer
        finally:
            budget.close()
            executor.shutdown(wait=True, cancel_futures=True)

    def _decode(self, entry: Entry, budget: _Budget) -> UInt8:
        if entry.error is not None:
            raise RealmError(entry.error)
        size = self._weigh(entry.source)
        budget.admit(entry.index, size)
        left = -size
        try:
            image = self._load(entry.source)
            left += image.nbytes
        finally:
            budget.release(-left)
        return image

    def _answer(self, slots: deque[_Slot[T]], budget: _Budget) -> None:
        """Answer the first slot, and with it as many later ones with its key as a batch holds."""
        image = self._image(slots[0])
        if image is None:
            return
        try:
            limit = min(self._batch_size, self._per_call(image))
        except RealmError:  # whatever is wrong with it, `run` says so as well
            limit = 1
        batch, images, key = [slots[0]], [image], self._key(image)
        for slot in itertools.islice(slots, 1, None):
            if len(batch) == limit:
                break
            # A decoder may wait for the budget until the first slot is gone: never wait for that one here.
            if slot.answer is None and (slot.future.done() or (self._gather and budget.settled(slot.future))):
                other = self._image(slot)
                if other is not None and self._key(other) == key:
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
            slot.answer = self._fail(slot.entry, str(error))
            return None

    def _score(self, batch: list[_Slot[T]], images: list[UInt8]) -> None:
        """Answer a batch; where it fails, one by one, so that only the image to blame has an error."""
        try:
            answers = self._run(images, [slot.entry for slot in batch])
        except (RealmError, MemoryError) as error:
            if len(batch) == 1:
                batch[0].answer = self._fail(batch[0].entry, str(error) or "not enough memory to score it")
                return
            for slot, image in zip(batch, images, strict=True):
                self._score([slot], [image])
            return
        for slot, answer in zip(batch, answers, strict=True):
            slot.answer = answer
