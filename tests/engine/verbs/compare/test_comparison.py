"""A comparison's numbers against plain loops, and what it says of them."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

from realm_engine.errors import UsageError
from realm_engine.verbs.compare.comparison import numbers_of
from realm_engine.verbs.compare.results import Numbers
from realm_engine.verbs.compare.scores import Row
from realm_engine.verbs.compare.subjects import Subject
from realm_engine.verbs.compare.words import how_sure, leading, too_many, verdict

GOOD = Subject("quality", "quality", "high", "how good", distrust={"odd": (1.0, "how odd")})
BAD = Subject("noise", "noise", "low", "how noisy")


def table(shifts: dict[str, float], prompts: int = 60, seeds: int = 1, seed: int = 0) -> list[Row]:
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(size=prompts)
    return [
        Row(
            generator,
            f"{prompt}-{each}.png",
            {
                "quality": 5 + shift + difficulty[prompt] + 0.5 * rng.normal(),
                "noise": 2 + rng.normal() + difficulty[prompt] - shift,
                "odd": 2.0 if prompt == 0 else 0.0,
            },
            f"prompt {prompt}",
        )
        for generator, shift in shifts.items()
        for prompt in range(prompts)
        for each in range(seeds)
    ]


@pytest.mark.parametrize("seeds", [1, 3])
def test_means_differences_and_wins_are_those_of_a_plain_loop(seeds):
    rows = table({"a": 0.0, "b": 0.4}, 40, seeds)
    rows[5] = Row("a", rows[5].filename, dict.fromkeys(("quality", "noise", "odd")), rows[5].prompt, "broken")
    found = numbers_of(rows, [GOOD, BAD])
    for subject in (GOOD, BAD):
        means: dict[str, dict[str, float]] = {"a": {}, "b": {}}
        for generator, prompt in itertools.product("ab", range(40)):
            values = [
                row.values[subject.column]
                for row in rows
                if row.generator == generator and row.prompt == f"prompt {prompt}" and row.error is None
            ]
            if values:
                means[generator][f"prompt {prompt}"] = float(np.mean(values))
        both = [prompt for prompt in means["a"] if prompt in means["b"]]
        gaps = [means["a"][prompt] - means["b"][prompt] for prompt in both]
        pair = found.between(subject.name, "a", "b")
        assert pair.difference == pytest.approx(np.mean(gaps), abs=1e-9)
        assert pair.games == len(both) == (39 if seeds == 1 else 40)
        ahead = np.sum(np.array(gaps) > 0 if subject.better == "high" else np.array(gaps) < 0)
        assert pair.won == pytest.approx(ahead / len(both))
        assert found.summary(subject.name, "a").mean == pytest.approx(np.mean(list(means["a"].values())))
    summary = found.summary("quality", "a")
    assert (summary.n, summary.failed) == (40 * seeds - 1, 1)
    own = [row.values["quality"] for row in rows if row.generator == "a" and row.error is None]
    assert summary.median == pytest.approx(np.median(own))
    assert summary.deviation == pytest.approx(np.std(own, ddof=1))
    assert (summary.p5, summary.p95) == pytest.approx(np.percentile(own, [5, 95]))


def test_flags_are_counted():
    assert numbers_of(table({"a": 0, "b": 0}), [GOOD, BAD]).summary("quality", "a").distrusted == 1


def test_a_clear_difference_is_better_in_both_directions_of_a_measure():
    found = numbers_of(table({"a": 0.0, "b": 1.0}), [GOOD, BAD])
    assert [pair.better for pair in found.pairs] == ["b", "b"]
    assert found.between("quality", "b", "a").difference > 0 > found.between("noise", "b", "a").difference
    assert found.best_first("noise") == found.best_first("quality") == ["b", "a"]
    assert all(pair.p <= pair.corrected for pair in found.pairs)
    first, second = leading(found)
    assert (
        first.startswith("b is highest by quality, with ")
        and "b is better than a: it is ahead of a by" in second
    )
    assert "60 prompts that all have" in how_sure(found)


def test_no_difference_says_how_large_it_could_be():
    found = numbers_of(table({"a": 0.0, "b": 0.0}), [GOOD])
    (pair,) = found.pairs
    assert pair.better is None and pair.bound == max(abs(pair.low), abs(pair.high))
    assert verdict(pair, GOOD) == f"no difference found (could be as large as {pair.bound:.3f})"
    assert "No difference was found between the two: what there is could be as large as" in leading(found)[1]


def test_the_leader_may_be_better_than_some_alone():
    found = numbers_of(table({"a": 0.0, "b": 0.02, "c": -1.0}), [GOOD])
    sentence = leading(found)[1]
    assert "No difference was found between" in sentence and sentence.endswith("is better than c.")


def test_a_difference_turned_round_is_the_same_difference():
    pair = numbers_of(table({"a": 0.0, "b": 0.3}), [GOOD]).pairs[0]
    turned = pair.turned()
    assert (turned.first, turned.second, turned.better) == ("b", "a", pair.better)
    assert turned.low == -pair.high and turned.won_low == pytest.approx(1 - pair.won_high)
    assert turned.turned().difference == pair.difference


def test_rankings_are_of_three_or_more_and_of_pairs_alone():
    three = table({"a": 0.0, "b": 0.5, "c": 1.0})
    ranked = {
        each.generator: each for each in numbers_of(three, [GOOD, BAD]).ranking if each.measure == "noise"
    }
    assert ranked["c"].points > ranked["b"].points > ranked["a"].points
    assert np.mean([each.points for each in ranked.values()]) == pytest.approx(1000)
    assert all(each.low <= each.points <= each.high for each in ranked.values())
    assert numbers_of(three, [GOOD], paired=False).ranking == ()
    assert numbers_of(table({"a": 0, "b": 1}), [GOOD]).ranking == ()


def test_unpaired_intervals_are_wider_where_prompts_differ_more_than_generators():
    rows = table({"a": 0.0, "b": 0.3})
    within, apart = (numbers_of(rows, [GOOD], paired=paired).pairs[0] for paired in (True, False))
    assert apart.difference == pytest.approx(within.difference)
    assert apart.high - apart.low > 1.5 * (within.high - within.low)
    assert apart.won is None and apart.games is None


def test_unpaired_generators_of_as_many_pictures_do_not_share_their_draws():
    """Were they drawn alike, the difference of two folders with equal values would have no spread at all."""
    rows = table({"a": 0.0})
    rows += [Row("b", row.filename, row.values, row.prompt) for row in rows]
    pair = numbers_of(rows, [GOOD], paired=False).pairs[0]
    assert pair.difference == 0.0 and pair.high - pair.low > 0.3


def test_measures_that_miss_other_rows_are_tested_on_what_they_have():
    rows = table({"a": 0.0, "b": 0.5}, 30)
    rows[3] = Row("a", rows[3].filename, {**rows[3].values, "noise": None}, rows[3].prompt)
    both = numbers_of(rows, [GOOD, BAD], paired=False)
    for subject in (GOOD, BAD):
        assert both.between(subject.name, "a", "b").p == numbers_of(rows, [subject], paired=False).pairs[0].p


def test_correlations_are_of_what_has_both():
    found = numbers_of(table({"a": 0.0, "b": 1.0}), [GOOD, BAD]).correlations
    assert len(found) == 1 and found[0].n == 120 and -1 <= found[0].r <= 1


def test_a_generator_without_any_value_stands_last_and_is_compared_with_nothing():
    rows = [
        row if row.generator != "b" else Row("b", row.filename, {"quality": None}, row.prompt, "broken")
        for row in table({"a": 0, "b": 0, "c": 0})
    ]
    found = numbers_of(rows, [GOOD])
    assert found.best_first("quality")[-1] == "b" and found.summary("quality", "b").mean is None
    assert found.between("quality", "a", "b").p is None and found.between("quality", "a", "c").p is not None
    assert found.ranking == ()
    assert leading(found)


def test_everything_failed_is_said():
    rows = [Row(g, f"{i}.png", {"quality": None}, None, "broken") for g in "ab" for i in range(3)]
    assert "nothing to compare" in leading(numbers_of(rows, [GOOD]))[0]


def test_one_generator_is_no_comparison_and_the_headline_is_one_of_the_measures():
    with pytest.raises(UsageError, match=r"a comparison needs two generators or more; there is only a"):
        numbers_of(table({"a": 0}), [GOOD])
    with pytest.raises(UsageError, match=r"did you mean 'quality'"):
        numbers_of(table({"a": 0, "b": 0}), [GOOD], "qualty")


def test_memory_stays_small():
    rows = table(dict.fromkeys("abcde", 0.0), 400)
    tracemalloc.start()
    try:
        for paired in (True, False):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            numbers_of(rows, [GOOD], paired=paired)
            assert tracemalloc.get_traced_memory()[1] - before < 64e6
    finally:
        tracemalloc.stop()


def test_so_many_tests_that_nothing_can_be_found_are_said():
    few, many = (dict.fromkeys("abcdefghijklmnopqrstuvwxyzABCDEFG"[:count], 0.0) for count in (5, 33))
    assert too_many(numbers_of(table(few, 4), [GOOD])) == []
    assert "528 tests are too many for 9999 draws" in too_many(numbers_of(table(many, 4), [GOOD]))[0]


def test_results_are_the_same_every_time():
    rows = table({"a": 0.0, "b": 0.2, "c": 0.1}, 20)
    first, second = (numbers_of(rows, [GOOD, BAD]) for _ in range(2))
    for name in ("summaries", "pairs", "ranking", "correlations"):
        assert getattr(first, name) == getattr(second, name)
    assert isinstance(first, Numbers)
