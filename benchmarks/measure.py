"""The timing core: rounds in alternating order, percentiles, ratios paired by round. Knows no model."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Contender:
    """One thing to time.

    Attributes:
        key: Its name, unique in a case.
        call: One pass; returns only when the answer is in host memory, so that a GPU has finished.
        scale: Seconds of the whole case for each second of one call; more than 1 where a call is a sample.
    """

    key: str
    call: Callable[[], object]
    scale: float = 1.0


@dataclass
class Samples:
    """Seconds of a whole case, one value per round, or why it was not timed."""

    seconds: list[float] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of `count` values; nan of no values."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise values."""
        if not values:
            return cls(math.nan, math.nan, math.nan, 0)
        return cls(float(np.median(values)), min(values), max(values), len(values))


def order(keys: Sequence[str], index: int) -> list[str]:
    """Who runs when in round `index`: forwards and backwards in turn, each pair starting one place further.

    A drift of the machine (heat, a neighbour) then falls on all alike instead of on whoever runs last.
    """
    shift = (index // 2) % max(1, len(keys))
    turned = [*keys[shift:], *keys[:shift]]
    return turned if index % 2 == 0 else turned[::-1]


def run_rounds(
    contenders: Sequence[Contender],
    least: int,
    most: int,
    budget_s: float,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Samples]:
    """Time every contender once per round.

    Args:
        contenders: Their keys differ.
        least: Rounds that are always run.
        most: Rounds that are never exceeded.
        budget_s: No further round begins when one more of average length would exceed this.
        warm_up: Calls of each before the first round, not counted.
        clock: Seconds, increasing.

    Returns:
        Samples by key. One that raises is dropped with its reason; the others go on.
    """
    samples = {contender.key: Samples() for contender in contenders}
    alive = {contender.key: contender for contender in contenders}

    def attempt(key: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # whatever a runtime raises is this contender's result
            samples[key] = Samples(error=one_line(error))
            del alive[key]

    for _ in range(warm_up):
        for key in list(alive):
            attempt(key, lambda key=key: void(alive[key].call()))  # type: ignore[misc]
    started = clock()
    gc.freeze()  # what is there already need not be looked through again and again
    try:
        for index in range(most):
            spent = clock() - started
            if index >= least and spent + spent / index > budget_s:
                break
            for key in order(list(alive), index):
                gc.collect()  # nobody pays for the garbage of the one before

                def timed(key: str = key) -> None:
                    before = clock()
                    alive[key].call()
                    samples[key].seconds.append((clock() - before) * alive[key].scale)

                attempt(key, timed)
    finally:
        gc.unfreeze()
    return samples


def percentile(values: Sequence[float], q: float) -> float:
    """The q-th percentile (0..100) with linear interpolation; nan of nothing."""
    return float(np.percentile(values, q)) if values else math.nan


def paired_ratios(slow: Sequence[float], fast: Sequence[float]) -> list[float]:
    """slow / fast, round by round: how many times faster the second was in the same round."""
    return [a / b for a, b in zip(slow, fast, strict=False) if b > 0]


def one_line(error: BaseException) -> str:
    """The first line of an error with its type where the type says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    # This project's errors are sentences; of others the type is half of the message.
    ours = type(error).__module__.startswith(("realm_", "export", "benchmarks"))
    return text if ours else f"{type(error).__name__}: {text}"


def void(_: object) -> None:
    """Drop a result."""
