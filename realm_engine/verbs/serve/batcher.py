"""The queue: pictures of many requests wait in it, and one thread hands them to the engine's own batcher.

The engine decodes ahead and puts pictures of one size into one call, whoever sent them. No answer depends on what else
was in the call.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from realm_engine.engine import Engine
from realm_engine.errors import RealmError
from realm_engine.pictures.inputs import Entry
from realm_engine.pictures.pipeline import Watch
from realm_engine.verbs.serve.work import Finish, Work

log = logging.getLogger(__name__)

LEAST_RETRY_S, MOST_RETRY_S = 1, 60
_FIRST_PACE_S = 0.05  # a picture takes so long until one has been measured
_MEMORY = 0.95  # how much of the old pace counts in the new one


class QueueFullError(RealmError):
    """The queue has no room for so many pictures; `retry_s`: in how many seconds it may have."""

    def __init__(self, message: str, retry_s: int) -> None:
        super().__init__(message)
        self.retry_s = retry_s


class EndingError(RealmError):
    """The server ends, and this will not be computed any more."""


class QueueWatch(Watch, Protocol):
    """A `Watch` that is told of the queue as well."""

    def queued(self, seconds: float) -> None:
        """A picture has waited so long until a decoder could have it."""


class Ticket:
    """The pictures of one request. `done` holds their answers, in order, or what went wrong with all of them."""

    def __init__(self, work: Work, entries: Sequence[Entry], finish: Finish) -> None:
        self.work = work
        self.finish = finish
        self.done: Future[list[Any]] = Future()
        self._answers: list[Any] = [None] * len(entries)
        self._left = len(entries)

    def answer(self, place: int, found: Any) -> None:
        """Take what the engine says of the picture in one place."""
        if self.done.done():  # nobody waits any more
            return
        try:
            self._answers[place] = self.finish(found)
        except Exception as error:
            self.fail(error)
            return
        self._left -= 1
        if self._left == 0:
            with suppress(InvalidStateError):  # given up just now
                self.done.set_result(self._answers)

    def fail(self, error: BaseException) -> None:
        """Nothing will come of it."""
        with suppress(InvalidStateError):
            self.done.set_exception(error)


@dataclass(frozen=True)
class _Job:
    """A picture of a ticket; `number` counts all that ever came."""

    number: int
    ticket: Ticket
    place: int
    entry: Entry
    since: float


class Batcher:
    """Works off what is submitted, in the order in which it came as far as batches allow.

    Any thread may call `submit`, `give_up`, `close` and the properties.
    """

    def __init__(self, engine: Engine, most: int, watch: QueueWatch) -> None:
        """`most`: pictures that may wait; those that the engine has taken do not count."""
        self._engine = engine
        self._most = most
        self._watch = watch
        self._lines: dict[Work, deque[_Job]] = {}  # never an empty one
        self._flying: deque[_Job] = deque()
        self._waiting = 0
        self._numbers = itertools.count()
        self._pace_s = _FIRST_PACE_S
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Pictures that wait for the engine."""
        return self._waiting

    @property
    def is_full(self) -> bool:
        """Whether not one more picture has room."""
        return self._waiting >= self._most

    @property
    def is_alive(self) -> bool:
        """Whether anything will ever be answered."""
        return self._thread.is_alive()

    def retry_s(self) -> int:
        """In how many seconds what waits now should be done."""
        return max(LEAST_RETRY_S, min(MOST_RETRY_S, math.ceil(self._waiting * self._pace_s)))

    def full(self) -> QueueFullError:
        """The error that says so."""
        return QueueFullError(
            f"{self._waiting} pictures wait already, and at most {self._most} may; ask again later",
            self.retry_s(),
        )

    def submit(self, work: Work, entries: Sequence[Entry], finish: Finish) -> Ticket:
        """Queue the pictures of a request, all or none. Raises QueueFullError and EndingError."""
        ticket = Ticket(work, entries, finish)
        with self._changed:
            if self._closed:
                raise EndingError("the server is ending; ask another one, or later")
            if self._waiting + len(entries) > self._most:
                raise self.full()
            now = time.perf_counter()
            line = self._lines.setdefault(work, deque())
            line.extend(
                _Job(next(self._numbers), ticket, place, entry, now) for place, entry in enumerate(entries)
            )
            self._waiting += len(entries)
            self._changed.notify_all()
        return ticket

    def drop(self, ticket: Ticket) -> None:
        """Nobody waits for a request any more: what the engine has not taken of it is forgotten."""
        ticket.done.cancel()
        with self._changed:
            line = self._lines.get(ticket.work, deque())
            kept = deque(job for job in line if job.ticket is not ticket)
            self._waiting -= len(line) - len(kept)
            if kept:
                self._lines[ticket.work] = kept
            else:
                self._lines.pop(ticket.work, None)

    def give_up(self) -> int:
        """Let all that waits fail with EndingError, and take no more; returns how many pictures that are."""
        with self._changed:
            self._closed = True
            jobs = [*self._flying, *itertools.chain.from_iterable(self._lines.values())]
            left = [job for job in jobs if not job.ticket.done.done()]
            self._lines.clear()
            self._waiting = 0
            self._changed.notify_all()
        for job in left:
            job.ticket.fail(EndingError("the server ended before this was computed; ask another one"))
        return len(left)

    def close(self, seconds: float) -> bool:
        """Take no more and wait for the thread to finish; whether it did within so many seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    # ----------------------------------------------------- the thread's own

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                self._serve(work)
            except Exception as error:
                if not isinstance(error, RealmError | MemoryError):
                    log.exception("a run of %s failed", work)
                self._fail(work, error)

    def _next(self) -> Work | None:
        """The work of the picture that has waited longest; None once there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closed)
            if not self._lines:
                return None
            return min(self._lines, key=lambda work: self._lines[work][0].number)

    def _serve(self, work: Work) -> None:
        """Have the engine answer pictures of one kind until none waits, or it is another one's turn."""
        last = time.perf_counter()
        for found in work.stream(self._engine, _Feed(self, work), self._watch):
            with self._changed:
                job = self._flying.popleft()
            job.ticket.answer(job.place, found)
            del found, job  # a map: before the next one is made
            now = time.perf_counter()
            self._pace_s, last = _MEMORY * self._pace_s + (1 - _MEMORY) * (now - last), now

    def take(self, work: Work, taken: int) -> Entry | None:
        """The next picture for a run that has taken so many; None: not now."""
        with self._changed:
            if taken >= work.turn and len(self._lines) > (work in self._lines):
                return None
            line = self._lines.get(work)
            if line is None:
                return None
            job = line.popleft()
            if not line:
                del self._lines[work]
            self._waiting -= 1
            self._flying.append(job)
        self._watch.queued(time.perf_counter() - job.since)
        return job.entry

    def _fail(self, work: Work, error: Exception) -> None:
        """What the engine had taken, and all that would end the same way, fails with this error."""
        with self._changed:
            jobs = [*self._flying, *self._lines.pop(work, ())]
            self._waiting -= len(jobs) - len(self._flying)
            self._flying.clear()
        for job in jobs:
            job.ticket.fail(error)


class _Feed:
    """The entries of one run: the queue's, as long as there are any. It may run dry and go on (`Pipeline.stream`)."""

    def __init__(self, batcher: Batcher, work: Work) -> None:
        self._batcher, self._work, self._taken = batcher, work, 0

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        entry = self._batcher.take(self._work, self._taken)
        if entry is None:
            raise StopIteration
        self._taken += 1
        return entry
