"""What a comparison says in words: "better" where a difference was found, else how large one could be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from realm_engine.verbs.compare.comparison import SIGNIFICANT
from realm_engine.verbs.compare.results import Difference, Numbers
from realm_engine.verbs.compare.statistics.permutation import DRAWS
from realm_engine.verbs.compare.subjects import Subject
from realm_engine.verbs.report.numbers import interval, number, probability


def verdict(pair: Difference, subject: Subject) -> str:
    """What was found of two generators, without names of generators: those stand beside it."""
    if pair.difference is None:
        return "nothing to compare"
    if pair.better is not None:
        return "better" if pair.better == pair.first else "worse"
    return f"no difference found (could be as large as {number(pair.bound, subject.decimals)})"


def leading(numbers: Numbers, say: Callable[[str], str] = str) -> list[str]:
    """One paragraph, sentence by sentence: who leads by the headline measure, by how much, and how sure that is.

    `say`: how the name of a generator stands in it.
    """
    subject = numbers.subject(numbers.headline)
    order = [g for g in numbers.best_first(subject.name) if numbers.summary(subject.name, g).mean is not None]
    if len(order) < 2:
        return [
            f"Fewer than two generators have a value of {say(subject.column)}: there is nothing to compare."
        ]
    best, second = order[:2]
    places = subject.decimals
    mean = {g: number(numbers.summary(subject.name, g).mean, places) for g in order}
    level = "highest" if subject.better == "high" else "lowest, which is better here"
    against = {g: numbers.between(subject.name, best, g) for g in order[1:]}
    beaten = [g for g, pair in against.items() if pair.better == best]
    found = [
        f"{say(best)} is {level} by {say(subject.column)}, with {mean[best]} on average; "
        f"{say(second)} has {mean[second]}."
    ]
    if len(beaten) == len(against):
        pair = against[second]
        ahead = 1.0 if subject.better == "high" else -1.0
        low, high = sorted((ahead * (pair.low or 0.0), ahead * (pair.high or 0.0)))
        found.append(
            f"{say(best)} is better than {'all others' if len(against) > 1 else say(second)}: it is ahead of "
            f"{say(second)} by "
            f"{number(ahead * (pair.difference or 0.0), places)} (95 % interval {interval(low, high, places)}, "
            f"p {_equals(pair.corrected)})."
        )
    elif not any(pair.better for pair in numbers.pairs if pair.measure == subject.name):
        largest = max(pair.bound or 0.0 for pair in numbers.pairs if pair.measure == subject.name)
        whom = "between the two" if len(order) == 2 else "between any two"
        found.append(
            f"No difference was found {whom}: what there is could be as large as {number(largest, places)}, "
            "in either direction."
        )
    else:
        rest = [g for g in against if g not in beaten]
        bound = max(against[g].bound or 0.0 for g in rest)
        better = f" {say(best)} is better than {_listed(list(map(say, beaten)))}." if beaten else ""
        found.append(
            f"No difference was found between {say(best)} and {_listed(list(map(say, rest)))} (could be as large as "
            f"{number(bound, places)}).{better}"
        )
    return found


def too_many(numbers: Numbers) -> list[str]:
    """A warning where so much is tested that nothing could be found, whatever there is."""
    tests = sum(pair.p is not None for pair in numbers.pairs)
    if tests < SIGNIFICANT * (DRAWS + 1):
        return []
    return [
        f"{tests} tests are too many for {DRAWS} draws: the least corrected p value is above .05, so nothing can be "
        "found; compare fewer generators or measures"
    ]


def how_sure(numbers: Numbers) -> str:
    """What stands behind it, one sentence."""
    pictures = sum(1 for row in numbers.rows)
    tests = sum(pair.p is not None for pair in numbers.pairs)
    unit = (
        f"{len(numbers.pairing.keys)} {numbers.pairing.by}s that all have"
        if numbers.pairing.paired
        else "each by itself"
    )
    corrected = f", corrected for all {tests} tests of this page," if tests > 1 else ""
    return (
        f"{pictures} pictures of {len(numbers.generators)} generators, {unit}; a difference counts as found where the "
        f"p value{corrected} is below .05."
    )


def _equals(p: float | None) -> str:
    text = probability(p)
    return text if text.startswith("<") else f"= {text}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
