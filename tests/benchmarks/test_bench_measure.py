"""The timing core of the benchmarks, with a clock that only moves when it is told to."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.measure import Contender, Spread, order, paired_ratios, percentile, run_rounds


class Clock:
    def __init__(self):
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def contender(
        self, key: str, seconds: float, scale: float = 1.0, fails_at: int | None = None
    ) -> Contender:
        def call():
            self.calls.append(key)
            if fails_at is not None and self.calls.count(key) == fails_at:
                raise MemoryError("no room\nfor more")
            self.now += seconds

        return Contender(key, call, scale)


def test_order_alternates_and_everybody_is_first_once_in_a_while():
    keys = ["a", "b", "c"]
    assert order(keys, 0) == ["a", "b", "c"]
    assert order(keys, 1) == ["c", "b", "a"]
    assert order(keys, 2) == ["b", "c", "a"]
    assert order(keys, 3) == ["a", "c", "b"]
    assert order([], 5) == []
    firsts = {order(keys, index)[0] for index in range(6)}
    assert firsts == set(keys)


def test_a_drift_falls_on_all_alike():
    """Two contenders of equal cost on a machine that slows down steadily come out equal over pairs of rounds."""
    places = [order(["a", "b"], index).index("a") for index in range(8)]
    assert sum(places) == 4


@pytest.mark.parametrize("count", [1, 2, 3, 10, 31])
@pytest.mark.parametrize("q", [0, 50, 95, 99, 100])
def test_percentiles_are_those_of_numpy_by_hand(count, q):
    values = list(np.random.default_rng(count).exponential(size=count))
    place = q / 100 * (count - 1)
    low, rest = int(place), place - int(place)
    ordered = [*sorted(values), 0.0]
    by_hand = ordered[low] * (1 - rest) + ordered[low + 1] * rest
    assert percentile(values, q) == pytest.approx(by_hand)


def test_percentile_of_nothing():
    assert math.isnan(percentile([], 50))


def test_paired_ratios():
    assert paired_ratios([10, 20, 30], [1, 4, 5]) == [10, 5, 6]
    assert paired_ratios([10, 20], [2]) == [5]
    spread = Spread.of(paired_ratios([10, 20, 30], [1, 4, 5]))
    assert (spread.median, spread.low, spread.high, spread.count) == (6, 5, 10, 3)
    assert Spread.of([]).count == 0


def test_rounds_are_timed_and_scaled():
    clock = Clock()
    contenders = [clock.contender("slow", 2.0, scale=10), clock.contender("fast", 0.5)]
    samples = run_rounds(contenders, least=3, most=3, budget_s=0, warm_up=1, clock=clock)
    assert samples["slow"].seconds == [20, 20, 20]
    assert samples["fast"].seconds == [0.5, 0.5, 0.5]
    assert clock.calls == ["slow", "fast", "slow", "fast", "fast", "slow", "fast", "slow"]


def test_budget_ends_the_rounds_beyond_the_least():
    clock = Clock()
    samples = run_rounds([clock.contender("a", 1.0)], least=2, most=100, budget_s=5, clock=clock)
    assert len(samples["a"].seconds) == 5
    samples = run_rounds([clock.contender("a", 9.0)], least=2, most=100, budget_s=5, clock=clock)
    assert len(samples["a"].seconds) == 2
    samples = run_rounds([clock.contender("a", 0.01)], least=2, most=7, budget_s=5, clock=clock)
    assert len(samples["a"].seconds) == 7


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_one_that_fails_does_not_lose_the_others(fails_at):
    clock = Clock()
    contenders = [clock.contender("bad", 1.0, fails_at=fails_at), clock.contender("good", 1.0)]
    samples = run_rounds(contenders, least=3, most=3, budget_s=0, warm_up=1, clock=clock)
    assert samples["bad"].error == "MemoryError: no room"
    assert samples["bad"].seconds == []
    assert samples["good"].seconds == [1, 1, 1]
    assert clock.calls.count("bad") == fails_at
