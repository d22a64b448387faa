"""A comparison of generators: every number of it, from rows of scores. No file, no engine, no words."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats

from realm_engine.arrays import Float64
from realm_engine.errors import UsageError
from realm_engine.verbs.compare.pairing import Pairing, pair
from realm_engine.verbs.compare.results import Correlation, Difference, Numbers, Ranked, Summary
from realm_engine.verbs.compare.scores import Row
from realm_engine.verbs.compare.shares import shares_of
from realm_engine.verbs.compare.statistics.bootstrap import (
    SEED,
    intervals_of_means,
    percentile_interval,
    resampled_means,
)
from realm_engine.verbs.compare.statistics.permutation import holm, label_p, sign_flip_p
from realm_engine.verbs.compare.statistics.wins import ranking, wilson, wins
from realm_engine.verbs.compare.subjects import Subject, headline_of

SIGNIFICANT = 0.05


def numbers_of(
    rows: Sequence[Row], subjects: Sequence[Subject], headline: str | None = None, paired: bool | None = None
) -> Numbers:
    """Compare the generators that rows name.

    Args:
        rows: Of at least two generators.
        subjects: What they are compared by, at least one.
        headline: The measure that the report is about, chosen before the data; None: the first subject that ranks.
        paired: See `pairing.pair`.

    Raises:
        UsageError: fewer than two generators, no headline that ranks, or no pairs where pairing was wished for.
    """
    by_generator: dict[str, list[Row]] = {}
    for row in rows:
        by_generator.setdefault(row.generator, []).append(row)
    names = tuple(by_generator)
    if len(names) < 2:
        raise UsageError(
            f"a comparison needs two generators or more; there is only {', '.join(names) or 'none'}"
        )
    main = headline_of(subjects, headline)
    pairing = pair(by_generator, paired)
    kept = {name: [row for row in own if pairing.keeps(row)] for name, own in by_generator.items()}
    computed = _paired(subjects, kept, pairing) if pairing.paired else _unpaired(subjects, kept)
    each = [_of_subject(subject, kept, found) for subject, found in zip(subjects, computed, strict=True)]
    tested = [
        (subject, found) for subject, (_, found, _) in zip(subjects, each, strict=True) if subject.ranks
    ]
    corrected = holm(np.array([[entry["p"] for entry in found] for _, found in tested]))
    pairs = [
        _difference(subject, entry, float(p))
        for (subject, found), row in zip(tested, corrected, strict=True)
        for entry, p in zip(found, row, strict=True)
    ]
    return Numbers(
        names,
        tuple(subjects),
        main.name,
        pairing,
        tuple(row for own in kept.values() for row in own),
        tuple(summary for summaries, _, _ in each for summary in summaries),
        tuple(pairs),
        tuple(ranked for _, _, own in each for ranked in own),
        tuple(correlations_of(subjects, [row for own in kept.values() for row in own])),
        tuple(share for name, own in kept.items() for share in shares_of(subjects, name, own)),
    )


def summaries_of_one(rows: Sequence[Row], subjects: Sequence[Subject], generator: str) -> tuple[Summary, ...]:
    """What measures make of pictures of one kind, each picture counting by itself."""
    found = []
    for subject in subjects:
        values = _column(rows, subject.column)
        ends = intervals_of_means(values[:, None])[:, 0]
        found.append(_summary(subject, generator, rows, values, _mean(values), ends))
    return tuple(found)


@dataclass(frozen=True)
class _Found:
    """What a subject makes of all generators and pairs: means [G], their ends [2, G], differences [P], theirs [2, P],
    p values [P]; `table` [keys, G] where pictures are paired.
    """

    means: Float64
    ends: Float64
    gaps: Float64
    gap_ends: Float64
    p: Float64
    table: Float64 | None = None


def _paired(subjects: Sequence[Subject], rows: Mapping[str, Sequence[Row]], pairing: Pairing) -> list[_Found]:
    found = []
    for subject in subjects:
        table = _by_key(subject.column, rows, pairing)
        gaps = np.stack([a - b for a, b in itertools.combinations(table.T, 2)], axis=1)
        ends = intervals_of_means(np.concatenate([table, gaps], axis=1))
        means, differences = (np.array([_mean(column) for column in each.T]) for each in (table, gaps))
        own = len(rows)
        found.append(_Found(means, ends[:, :own], differences, ends[:, own:], sign_flip_p(gaps), table))
    return found


def _unpaired(subjects: Sequence[Subject], rows: Mapping[str, Sequence[Row]]) -> list[_Found]:
    """All subjects at once, so that what is drawn serves them all."""
    values = [np.stack([_column(own, s.column) for s in subjects], axis=1) for own in rows.values()]
    # Apart, so that two generators of as many pictures do not share their draws.
    drawn = [resampled_means(own, seed=(SEED, index)) for index, own in enumerate(values)]  # [resamples, S]
    means = np.array([[_mean(column) for column in own.T] for own in values])  # [G, S]
    pairs = list(itertools.combinations(range(len(values)), 2))
    p = np.array([_label_p(values[a], values[b]) for a, b in pairs])  # [P, S]
    own_ends = np.stack([percentile_interval(each) for each in drawn])  # [G, 2, S]
    gap_ends = np.stack([percentile_interval(drawn[a] - drawn[b]) for a, b in pairs])
    gaps = np.array([means[a] - means[b] for a, b in pairs])
    return [
        _Found(means[:, s], own_ends[:, :, s].T, gaps[:, s], gap_ends[:, :, s].T, p[:, s])
        for s in range(len(subjects))
    ]


def _label_p(first: Float64, second: Float64) -> Float64:
    """p values of columns; those that miss the same rows, as nearly all do, share what is drawn."""
    found = np.full(first.shape[1], np.nan)
    missing = np.isnan(np.concatenate([first, second]))
    for pattern in {column.tobytes() for column in missing.T}:
        alike = np.array([column.tobytes() == pattern for column in missing.T])
        known = [values[~np.isnan(values[:, alike][:, 0])][:, alike] for values in (first, second)]
        found[alike] = label_p(known[0], known[1])
    return found


def _of_subject(
    subject: Subject, rows: Mapping[str, Sequence[Row]], found: _Found
) -> tuple[list[Summary], list[dict[str, Any]], list[Ranked]]:
    """Summaries, differences still without their correction, and the ranking."""
    summaries = [
        _summary(subject, name, own, _column(own, subject.column), found.means[i], found.ends[:, i])
        for i, (name, own) in enumerate(rows.items())
    ]
    differences = []
    for i, (a, b) in enumerate(itertools.combinations(range(len(rows)), 2)):
        first, second = list(rows)[a], list(rows)[b]
        entry = {"first": first, "second": second, "difference": found.gaps[i]}
        entry |= {"ends": found.gap_ends[:, i], "p": found.p[i]}
        won = {} if found.table is None else _won(found.table[:, a], found.table[:, b], subject)
        differences.append(entry | won)
    return summaries, differences, [] if found.table is None else _ranking(subject, found.table, rows)


def _column(rows: Sequence[Row], column: str) -> Float64:
    return np.array(
        [np.nan if (v := row.values.get(column)) is None else v for row in rows], dtype=np.float64
    )


def _by_key(column: str, rows: Mapping[str, Sequence[Row]], pairing: Pairing) -> Float64:
    """Means of what belongs together, float64 [keys, generators], NaN where all of it failed."""
    place = {key: index for index, key in enumerate(pairing.keys)}
    found = np.empty((len(place), len(rows)))
    for index, own in enumerate(rows.values()):
        values = _column(own, column)
        at = np.array([place[str(pairing.key_of(row))] for row in own])
        known = ~np.isnan(values)
        sums = np.bincount(at[known], weights=values[known], minlength=len(place))
        counts = np.bincount(at[known], minlength=len(place))
        with np.errstate(invalid="ignore"):
            found[:, index] = sums / counts
    return found


def _mean(values: Float64) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _won(first: Float64, second: Float64, subject: Subject) -> dict[str, Any]:
    results = wins(first, second, subject.better == "high")
    known = results[~np.isnan(results)]
    return {"games": len(known), "won": float(known.sum())}


def _summary(
    subject: Subject, generator: str, rows: Sequence[Row], values: Float64, mean: float, ends: Float64
) -> Summary:
    known = values[~np.isnan(values)]
    spread = np.percentile(known, [5, 50, 95]) if len(known) else np.full(3, np.nan)
    distrusted = sum(
        any(
            (v := row.values.get(name)) is not None and v > limit
            for name, (limit, _) in subject.distrust.items()
        )
        for row in rows
    )
    return Summary(
        measure=subject.name,
        generator=generator,
        n=len(known),
        failed=len(values) - len(known),
        mean=_known(mean),
        low=_known(ends[0]),
        high=_known(ends[1]),
        median=_known(spread[1]),
        deviation=float(known.std(ddof=1)) if len(known) > 1 else None,
        p5=_known(spread[0]),
        p95=_known(spread[2]),
        distrusted=distrusted,
    )


def _difference(subject: Subject, found: Mapping[str, Any], corrected: float) -> Difference:
    better = None
    if corrected < SIGNIFICANT:
        first_wins = (found["difference"] > 0) == (subject.better == "high")
        better = found["first"] if first_wins else found["second"]
    games = found.get("games")
    share = None if not games else found["won"] / games
    ends = (None, None) if not games else wilson(found["won"], games)
    return Difference(
        measure=subject.name,
        first=found["first"],
        second=found["second"],
        difference=_known(found["difference"]),
        low=_known(found["ends"][0]),
        high=_known(found["ends"][1]),
        p=_known(found["p"]),
        corrected=_known(corrected),
        better=better,
        games=games,
        won=share,
        won_low=ends[0],
        won_high=ends[1],
    )


def _ranking(subject: Subject, table: Float64, generators: Mapping[str, Any]) -> list[Ranked]:
    """Only of three or more: of two it says what the share of wins says; and only where one may rank."""
    if not subject.ranks or len(generators) < 3 or np.isnan(table).all(axis=0).any():
        return []
    points, ends = ranking(table, subject.better == "high")
    return [
        Ranked(subject.name, name, float(points[i]), float(ends[0, i]), float(ends[1, i]))
        for i, name in enumerate(generators)
    ]


def correlations_of(subjects: Sequence[Subject], rows: Sequence[Row]) -> list[Correlation]:
    """Of all pairs of measures that have three pictures or more in common, which differ."""
    found = []
    for a, b in itertools.combinations(subjects, 2):
        both = np.stack([_column(rows, a.column), _column(rows, b.column)])
        both = both[:, ~np.isnan(both).any(axis=0)]
        if both.shape[1] >= 3 and (np.ptp(both, axis=1) > 0).all():
            found.append(
                Correlation(
                    a.name, b.name, both.shape[1], float(scipy.stats.spearmanr(both[0], both[1]).statistic)
                )
            )
    return found


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
