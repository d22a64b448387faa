"""The arithmetic of `tune`: speeds by a clock that only the calls move, and which of them is remembered."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from realm_engine.machine.memory import MemoryLimit
from realm_engine.verbs import tune
from realm_engine.verbs.fidelity import Trial
from realm_engine.verbs.tune import Candidate, rates


class Clock:
    """Stands still but for the calls that it makes, each of the seconds that it is told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.made: list[int] = []

    def __call__(self) -> float:
        return self.now

    def call(self, batch: int, seconds: list[float]):
        left = iter(seconds)

        def one() -> None:
            self.made.append(batch)
            self.now += next(left)

        return one


def test_a_speed_is_the_median_of_rounds_in_things_per_second():
    clock = Clock()
    # The warm-up of 9 s counts for nothing. A call of 0.2 s is made twice in a round of 0.4 s.
    four = [9.0, 0.2, *(second for second in (0.2, 0.25, 0.1, 0.5, 0.4) for _ in range(2))]
    # One of 1 s is longer than a round and is made once.
    eight = [9.0, 1.0, 0.5, 0.8, 2.0, 1.0, 1.6]
    found = rates({4: clock.call(4, four), 8: clock.call(8, eight)}, clock)
    # 4 / seconds: 20, 16, 40, 8, 10 (their mean is 18.8); 8 / seconds: 16, 10, 4, 8, 5 (their mean 8.6).
    assert found == {4: pytest.approx(16.0), 8: pytest.approx(8.0)}
    assert clock.made == [4, 4, 8, 8, *([4, 4, 8] * 5)]  # the sizes take turns


def test_a_call_too_short_to_time_is_repeated_until_a_round_is_full():
    clock = Clock()
    short = clock.call(1, [0.0, 0.0] + [1e-4] * 5 * 4000)
    assert rates({1: short}, clock) == {1: pytest.approx(1e4)}
    assert len(clock.made) == 2 + 5 * 4000


@pytest.fixture
def trial(photo) -> Trial:
    return Trial((), (photo(72, 96),), ("the face is melted",), (), ())


def test_the_fastest_of_all_batches_and_thread_counts_is_remembered(monkeypatch, trial):
    speeds = {
        ("core", 4): {4: 10.0, 8: 70.0, 16: 30.0},
        ("core", 2): {4: 20.0, 8: 60.0, 16: 40.0},
        ("dream", 4): {16: 100.0, 32: 200.0, 64: 150.0},
        ("dream", 2): {16: 500.0, 32: 300.0, 64: 400.0},
    }
    monkeypatch.setattr(tune, "_thread_counts", lambda candidate, threads: [4, 2])
    monkeypatch.setattr(tune.Engine, "open", lambda *how, **more: nullcontext(how[3]))
    monkeypatch.setattr(tune, "_speeds", lambda threads, part, resident, trial: speeds[part, threads])
    record = {"passes": True, "srocc": 0.999, "missed": []}
    monkeypatch.setattr(tune, "compare", lambda *of: {"core": record, "dream": record | {"passes": False}})
    found = list(
        tune._measure("b", Candidate("cpu", "fp16", ("core", "dream"), False), trial, None, None, None)
    )
    assert [(one.part, one.batch, one.threads, one.per_second, one.passes) for one in found] == [
        ("core", 8, 4, 70.0, True),
        ("dream", 16, 2, 500.0, False),
    ]
    assert {(one.device, one.precision) for one in found} == {("cpu", "fp16")}
    assert all(one.differences == {"srocc": 0.999} for one in found)


@pytest.mark.parametrize(
    ("cores", "resident", "asked", "tried"),
    [
        (8, False, None, [8, 4]),
        (4, False, None, [4, 2]),
        (3, False, None, [3]),
        (8, True, None, [8]),
        (8, False, 5, [5]),
    ],
)
def test_half_the_threads_are_tried_where_there_are_enough(monkeypatch, cores, resident, asked, tried):
    monkeypatch.setattr(tune, "open_backend", lambda device: SimpleNamespace(threads=cores))
    assert tune._thread_counts(Candidate("cpu", "fp32", ("core",), resident), asked) == tried


def test_what_is_timed_is_the_work_of_one_call(engine, trial, monkeypatch):
    """As many images, or windows, as the speed is multiplied by, in one call of the graph."""
    assert len(tune._measure_call(engine, "core", trial, 4)()) == 4
    for batch in (16, 32, 64):
        assert tune._map_call(engine, trial, batch)().shape == (batch, 1)
    sizes: list[int] = []
    encoder = engine.maps.dream.encoder
    session = encoder._session()

    def run(feeds, names):
        sizes.append(len(feeds["top"]))
        return session.run(feeds, names)

    monkeypatch.setattr(encoder, "_session", lambda: SimpleNamespace(run=run))
    # What other tests have left in this process must not make calls smaller.
    monkeypatch.setattr(encoder, "_memory", MemoryLimit(1 << 40))
    tune._map_call(engine, trial, 64)()
    assert sizes == [64]


def test_each_size_of_a_device_is_timed(engine, trial, monkeypatch):
    seen = {}
    monkeypatch.setattr(tune, "rates", lambda calls, clock: dict.fromkeys(calls, clock()))
    for part in ("core", "dream"):
        for resident in (False, True):
            seen[part, resident] = tune._speeds(engine, part, resident, trial, lambda: 1.0)
    assert {key: list(found) for key, found in seen.items()} == {
        ("core", False): [4, 8, 16],
        ("core", True): [16, 32, 64],
        ("dream", False): [16, 32, 64],
        ("dream", True): [64, 128, 256, 512],
    }
    assert np.unique([list(found.values()) for found in seen.values() if len(found) == 3]).tolist() == [1.0]
