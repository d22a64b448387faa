"""Decodes images on threads ahead of the model, within a budget of memory, and keeps the input order."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

from realm_engine.arrays import UInt8
from realm_engine.errors import ClosedError, RealmError
from realm_engine.pictures.decode import Admit
from realm_engine.pictures.inputs import Entry

T = TypeVar("T")

# Decoded images that wait for the model; one 4000 x 3000 photograph is 36 MB.
BUDGET_BYTES = 256 << 20
DECODING = "decode"
"""How the names of threads begin that decode."""


class Watch(Protocol):
    """Told how long things take, from whichever thread does them."""

    def decoded(self, seconds: float) -> None:
        """An image was decoded, or could not be; waiting for memory does not count."""

    def computed(self, images: int, seconds: float) -> None:
        """A call of so many images is over, well or not."""


class _Slot(Generic[T]):
    """An entry on its way: decoding, then waiting for the model, then answered, then gone."""

    def __init__(self, turn: int, entry: Entry, future: Future[UInt8]) -> None:
        self.turn = turn
        self.entry = entry
        self.future = future
        self.answer: T | None = None


class _StoppedError(RealmError):
    """Nobody waits for the images any more."""


class _Budget:
    """Lets decoders start while what they hold and will hold fits.

    Invariants: images are admitted in the order of their turns, each exactly once, if only to be passed over; one that
    does not fit beside others is admitted when nothing is held. So the image that the model waits for always comes:
    those before it are gone, those after it are not admitted. And no image is refused for the sake of later ones.
    """

    def __init__(self, limit: int, room: Callable[[], int] | None) -> None:
        """`room()`: bytes that the process may take beside what it holds now; asked where something is held."""
        self._limit = limit
        self._room = room
        self._turn = 0
        self._held: dict[int, int] = {}
        self._full = False
        self._closed = False
        self._changed = threading.Condition()

    def admit(self, turn: int, size: int) -> None:
        """Wait until an image that will take so many bytes may be decoded; they are held from then on."""
        with self._changed:
            self._wait(lambda: self._turn == turn)
            if not self._fits(size):
                self._full = True
                self._changed.notify_all()
                self._wait(lambda: self._fits(size))
                self._full = False
            self._held[turn] = size
            self._turn += 1
            self._changed.notify_all()

    def decoded(self, turn: int, size: int) -> None:
        """An image takes so many bytes from now on, 0 if there is none; it may never have been admitted."""
        with self._changed:
            self._wait(lambda: self._turn >= turn)
            if self._turn == turn:
                self._turn += 1
            self._held[turn] = size
            if size == 0:
                del self._held[turn]
            self._changed.notify_all()

    def release(self, turn: int) -> None:
        """An image is gone, and what was made of it."""
        with self._changed:
            self._held.pop(turn, None)
            self._changed.notify_all()

    def settled(self, future: Future[UInt8]) -> bool:
        """Wait until a future is done, or until it may not be because a decoder waits for others to be gone."""
        future.add_done_callback(lambda _: self._notify())
        with self._changed:
            self._changed.wait_for(lambda: future.done() or self._full)
        return future.done()

    def close(self) -> None:
        """Nobody is admitted any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _wait(self, ready: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self._closed or ready())
        if self._closed:
            raise _StoppedError("stopped")

    def _fits(self, size: int) -> bool:
        held = sum(self._held.values())
        if held == 0:
            return True
        return (
            held < self._limit and held + size <= self._limit and (self._room is None or size <= self._room())
        )


class Pipeline(Generic[T]):
    """Streams entries through `load` (on threads) and `run` (here, in batches of images with equal keys).

    `load(source, admit)` calls `admit(size_bytes)` before it takes so much, and may have to wait there. `key(image)` is
    the image's shape unless told otherwise; `per_call(image)` says how many images with that key one `run` takes, at
    most `batch_size`. `run(images, entries)` answers a batch; `fail(entry, message)` answers an entry whose image, or
    whose batch of one, raised a RealmError. Answers come in the order of the entries, whatever the batches were. An
    image counts as held until whoever takes the answers asks for the next: an answer may hold the image.
    """

    def __init__(
        self,
        load: Callable[[Any, Admit], UInt8],
        run: Callable[[list[UInt8], list[Entry]], Sequence[T]],
        fail: Callable[[Entry, str], T],
        batch_size: int,
        threads: int,
        per_call: Callable[[UInt8], int] | None = None,
        budget_bytes: int = BUDGET_BYTES,
        gather: bool = False,
        key: Callable[[UInt8], Hashable] | None = None,
        room: Callable[[], int] | None = None,
        watch: Watch | None = None,
    ) -> None:
        """`gather`: wait for images that are being decoded rather than run a batch that is not full.

        `room()`: bytes that the process may take beside what it holds, where that is bounded. `watch`: is told how long
        images and calls take.
        """
        self._load = load
        self._run = run
        self._fail = fail
        self._per_call = per_call or (lambda image: batch_size)
        self._batch_size = batch_size
        self._threads = threads
        self._budget_bytes = budget_bytes
        self._gather = gather
        self._room = room
        self._key = key or (lambda image: image.shape)
        self._watch = watch

    def stream(self, entries: Iterator[Entry]) -> Generator[T, None, None]:
        """Yield one answer per entry. Closing the generator stops the decoders; those at work end by themselves.

        Nobody waits for them: an image that takes seconds to decode must not hold up an interrupt. `entries` may raise
        StopIteration because there are none just now, as a queue does: they are asked again after every answer, and the
        stream is over once nothing is left to answer. Raises ClosedError.
        """
        budget = _Budget(self._budget_bytes, self._room)
        lookahead = 2 * self._batch_size + self._threads
        slots: deque[_Slot[T]] = deque()
        turns = itertools.count()
        executor = ThreadPoolExecutor(self._threads, thread_name_prefix=DECODING)
        try:
            while True:
                for entry in itertools.islice(entries, lookahead - len(slots)):
                    turn = next(turns)
                    slots.append(_Slot(turn, entry, executor.submit(self._decode, turn, entry, budget)))
                if not slots:
                    return
                if slots[0].answer is None:
                    self._answer(slots, budget)
                done = slots.popleft()
                assert done.answer is not None
                yield done.answer
                turn = done.turn
                del done
                budget.release(turn)
        finally:
            budget.close()
            executor.shutdown(wait=False, cancel_futures=True)

    def _decode(self, turn: int, entry: Entry, budget: _Budget) -> UInt8:
        size = 0
        begun, waited = time.perf_counter(), 0.0

        def admit(needs: int) -> None:
            nonlocal waited
            asked = time.perf_counter()
            try:
                budget.admit(turn, needs)
            finally:
                waited += time.perf_counter() - asked

        try:
            if entry.error is not None:
                raise RealmError(entry.error)
            image = self._load(entry.source, admit)
            size = image.nbytes
        finally:
            if self._watch is not None:
                self._watch.decoded(time.perf_counter() - begun - waited)
            budget.decoded(turn, size)
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
            # A decoder may wait until the first slot is gone: never wait for that one here.
            if slot.answer is None and (slot.future.done() or (self._gather and budget.settled(slot.future))):
                other = self._image(slot)
                if other is not None and self._key(other) == key:
                    batch.append(slot)
                    images.append(other)
        self._score(batch, images)
        for slot in batch:
            slot.future = Future()  # drops the decoded image

    def _image(self, slot: _Slot[T]) -> UInt8 | None:
        """The decoded image; None after answering the slot with its error."""
        try:
            return slot.future.result()
        except RealmError as error:
            slot.answer = self._fail(slot.entry, str(error))
            return None

    def _score(self, batch: list[_Slot[T]], images: list[UInt8]) -> None:
        """Answer a batch; where it fails, one by one, so that only the image to blame has an error."""
        begun = time.perf_counter()
        try:
            answers = self._run(images, [slot.entry for slot in batch])
        except ClosedError:  # no picture is to blame, and none that follows can be answered
            raise
        except (RealmError, MemoryError) as error:
            if len(batch) == 1:
                batch[0].answer = self._fail(batch[0].entry, str(error) or "not enough memory to score it")
                return
            for slot, image in zip(batch, images, strict=True):
                self._score([slot], [image])
            return
        finally:
            if self._watch is not None:
                self._watch.computed(len(batch), time.perf_counter() - begun)
        for slot, answer in zip(batch, answers, strict=True):
            slot.answer = answer
