"""The queue: pictures of many requests share the engine's calls, and no answer tells."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from realm_engine import DreamConfig, Engine
from realm_engine.errors import ClosedError, UsageError
from realm_engine.pictures.inputs import Entry
from realm_engine.verbs.serve.batcher import Batcher, EndingError, QueueFullError
from realm_engine.verbs.serve.work import AttributionMapping, RealnessMapping, Scoring

SCORES = Scoring(None, "default", None)
MAPS = RealnessMapping(DreamConfig((16,), 8), 10_000)
LONGEST_S = 60


class Seen:
    """Remembers what a watch is told."""

    def __init__(self):
        self.calls, self.waits = [], []

    def queued(self, seconds):
        self.waits.append(seconds)

    def decoded(self, seconds):
        pass

    def computed(self, images, seconds):
        self.calls.append(images)


class Stopped:
    """Work that takes what it is given at once, and answers when it is told to."""

    turn = 2

    def __init__(self):
        self.go, self.runs = threading.Event(), []

    def stream(self, engine, todo, watch):
        self.runs.append(0)
        assert self.go.wait(LONGEST_S)
        for entry in todo:
            self.runs[-1] += 1
            yield entry.name


@pytest.fixture
def batcher(engine):
    opened = Batcher(engine, 64, Seen())
    yield opened
    assert opened.close(LONGEST_S)


def same(found):
    return found


def entries(pictures, text="a seam"):
    return [Entry(index, f"{index}", picture, text) for index, picture in enumerate(pictures)]


def test_answers_are_those_of_score_to_the_last_bit_whoever_else_asks(engine, photo):
    pictures = [photo(48 + 8 * (seed % 2), 64, seed) for seed in range(30)]
    alone = [engine.score(picture, "a seam")[0].values for picture in pictures]
    seen = Seen()
    batcher = Batcher(engine, 1000, seen)

    def ask(start):
        some = [(start + step) % 30 for step in range(1 + start % 4)]
        found = batcher.submit(SCORES, entries([pictures[each] for each in some]), same).done.result(
            LONGEST_S
        )
        return [row.values for row in found] == [alone[each] for each in some]

    # What waits while the engine is at work goes into one call, whosever it is.
    held = Stopped()
    first = batcher.submit(held, entries(pictures[:1]), same)
    with ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(ask, start) for start in range(80)]
        while batcher.waiting < 1 + 2 * (1 + 2 + 3 + 4):  # each client has asked
            time.sleep(0.01)
        held.go.set()
        assert first.done.result(LONGEST_S) == ["0"]
        assert all(answer.result(LONGEST_S) for answer in answers)
    assert batcher.close(LONGEST_S)
    assert sum(seen.calls) == sum(1 + start % 4 for start in range(80)) == len(seen.waits) - 1
    assert max(seen.calls) > 4  # more than one request had in it


def test_scores_and_maps_take_turns(batcher, engine, photo):
    pictures = [photo(72, 96, seed) for seed in range(12)]
    maps = batcher.submit(MAPS, entries(pictures), lambda found: found.map.values)
    scores = batcher.submit(SCORES, entries(pictures), same)
    for found, picture in zip(maps.done.result(LONGEST_S), pictures, strict=True):
        np.testing.assert_array_equal(found, engine.map(picture, "a seam", MAPS.config).values)
    assert [row.error for row in scores.done.result(LONGEST_S)] == [None] * 12


def test_the_queue_takes_a_request_whole_or_not_at_all(batcher):
    stopped = Stopped()
    first = batcher.submit(stopped, entries([b""] * 60), same)
    with pytest.raises(
        QueueFullError, match="60 pictures wait already, and at most 64 may; ask again later"
    ) as full:
        batcher.submit(SCORES, entries([b""] * 5), same)
    assert 1 <= full.value.retry_s <= 60
    assert not batcher.is_full and batcher.waiting == 60
    batcher.submit(SCORES, entries([b""] * 4), same)
    assert batcher.is_full
    stopped.go.set()
    assert first.done.result(LONGEST_S) == [str(index) for index in range(60)]
    # Two of them, as another waits, whose turn it is not: theirs is the picture that came first.
    assert stopped.runs[0] == 2 and sum(stopped.runs) == 60


def test_what_nobody_waits_for_any_more_is_not_computed(batcher):
    stopped, other = Stopped(), Stopped()
    other.go.set()
    held = batcher.submit(stopped, entries([b""]), same)
    dropped = batcher.submit(other, entries([b""] * 9), same)
    kept = batcher.submit(other, entries([b""]), same)
    batcher.drop(dropped)
    assert batcher.waiting <= 2
    stopped.go.set()
    assert kept.done.result(LONGEST_S) == ["0"] == held.done.result(LONGEST_S)
    assert sum(other.runs) == 1


def test_a_run_that_cannot_be_fails_for_all_of_its_kind_and_others_go_on(batcher, photo):
    wrong = batcher.submit(AttributionMapping("core"), entries([photo()]), same)
    right = batcher.submit(SCORES, entries([photo()]), same)
    with pytest.raises(UsageError, match="no map says where the number of core comes from"):
        wrong.done.result(LONGEST_S)
    assert right.done.result(LONGEST_S)[0].error is None
    broken = batcher.submit(SCORES, entries([photo()]), lambda found: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        broken.done.result(LONGEST_S)
    assert batcher.is_alive and batcher.waiting == 0


def test_an_engine_that_is_closed_is_an_error_of_every_request(bundle_path, photo):
    with Engine.open(bundle_path, device="cpu", threads=1) as own:
        batcher = Batcher(own, 8, Seen())
    with pytest.raises(ClosedError):
        batcher.submit(SCORES, entries([photo()]), same).done.result(LONGEST_S)
    assert batcher.close(LONGEST_S)


def test_at_the_end_what_is_left_fails_and_nothing_more_is_taken(engine):
    batcher, stopped = Batcher(engine, 8, Seen()), Stopped()
    left = batcher.submit(stopped, entries([b""] * 3), same)
    assert not batcher.close(0.01)
    with pytest.raises(EndingError, match="the server is ending"):
        batcher.submit(SCORES, entries([b""]), same)
    assert batcher.give_up() == 3
    with pytest.raises(EndingError, match="ended before this was computed"):
        left.done.result(LONGEST_S)
    stopped.go.set()
    assert batcher.close(LONGEST_S) and batcher.give_up() == 0
