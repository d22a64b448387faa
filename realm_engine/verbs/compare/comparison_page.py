"""The page of a comparison: its numbers put where the template wants them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from realm_engine.verbs.compare.gallery import Gallery
from realm_engine.verbs.compare.results import ALIKE, Numbers, SetDistance, Summary
from realm_engine.verbs.compare.scores import Row
from realm_engine.verbs.compare.shares import by_column
from realm_engine.verbs.compare.statistics.bootstrap import RESAMPLES, SEED
from realm_engine.verbs.compare.statistics.permutation import DRAWS
from realm_engine.verbs.compare.statistics.sets import SUBSET_SIZE, SUBSETS
from realm_engine.verbs.compare.statistics.wins import RANKING_RESAMPLES
from realm_engine.verbs.compare.words import how_sure, leading, verdict
from realm_engine.verbs.report.facts import Run
from realm_engine.verbs.report.numbers import interval, number
from realm_engine.verbs.report.page import render
from realm_engine.verbs.report.plots import Dots, intervals
from realm_engine.verbs.report.shown import quoted

MATRIX_MOST = 8
FAILED_MOST = 100


@dataclass(frozen=True)
class Told:
    """What a page says beside its numbers. `sources`, `sizes`: by generator; `failed`: rows with an error."""

    run: Run
    sources: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    failed: Sequence[Row] = ()
    distances: Sequence[SetDistance] = ()
    gallery: Gallery | None = None


def comparison_page(numbers: Numbers, told: Told) -> bytes:
    """The page as one HTML file."""
    headline = numbers.subject(numbers.headline)
    ordered = [headline, *(s for s in numbers.subjects if s is not headline)]
    measures = [_measure(numbers, subject.name, index) for index, subject in enumerate(ordered)]
    gallery = told.gallery
    names = ", ".join(quoted(name) for name in numbers.generators[:6])
    more = len(numbers.generators) - 6
    context = {
        "title": f"Comparison: {' / '.join(numbers.generators[:6])}",
        "names": names + (f" and {more} more" if more > 0 else ""),
        "headline": headline,
        "lead": " ".join(leading(numbers, quoted)),
        "sure": how_sure(numbers),
        "warnings": told.warnings,
        "generators": [_generator(numbers, told, name) for name in numbers.best_first(headline.name)],
        "sizes": any(size != "–" for size in told.sizes.values()),
        "pairing": numbers.pairing.why,
        "paired": numbers.pairing.paired,
        "unit": numbers.pairing.by or "picture",
        "run": told.run,
        "measures": measures,
        "rankings": [
            _ranked(numbers, subject.name, index)
            for index, subject in enumerate(ordered)
            if numbers.ranking and subject.ranks
        ],
        "distances": told.distances,
        "distance_words": _distance_words(told.distances),
        "gallery": gallery.shelves if gallery is not None else (),
        "sides": gallery.sides if gallery is not None else (),
        "side_names": numbers.generators,
        "gallery_left_out": gallery.left_out if gallery is not None else 0,
        "correlations": numbers.correlations,
        "alike": ALIKE,
        "failed": told.failed[:FAILED_MOST],
        "failed_total": len(told.failed),
        "how": _how(numbers),
        "subjects": ordered,
    }
    context["sections"] = _sections(context)
    return render("compare.html", context)


def _sections(context: Mapping[str, Any]) -> dict[str, str]:
    there = {
        "compared": ("What was compared", True),
        "measures": ("Measure by measure", True),
        "pairs": ("Pair by pair", True),
        "ranking": ("Ranking", context["rankings"]),
        "sets": ("Distance from photographs", context["distances"]),
        "gallery": ("Gallery", context["gallery"]),
        "correlation": ("Correlation", context["correlations"]),
        "failed": ("Failed", context["failed"]),
        "how": ("How, licences, limits", True),
    }
    return {anchor: words for anchor, (words, shown) in there.items() if shown}


def _generator(numbers: Numbers, told: Told, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "source": told.sources.get(name, "–"),
        "pictures": told.counts.get(name, 0),
        "failed": sum(row.generator == name for row in told.failed),
        "left_out": numbers.pairing.left_out.get(name, 0),
        "sizes": told.sizes.get(name, "–"),
    }


def _measure(numbers: Numbers, measure: str, index: int) -> dict[str, Any]:
    subject, order = numbers.subject(measure), numbers.best_first(measure)
    summaries = [numbers.summary(measure, name) for name in order]
    dots = [
        Dots(s.generator, s.mean, s.low, s.high, _values(numbers, s.generator, subject.column))
        for s in summaries
    ]
    couples = itertools.combinations(order, 2) if subject.ranks else ()
    pairs = [numbers.between(measure, first, second) for first, second in couples]
    shares = [each for name in order for each in numbers.shares if each.generator == name]
    return {
        "subject": subject,
        "order": order,
        "summaries": summaries,
        "shares": by_column(each for each in shares if each.measure == measure),
        "plot": intervals(dots, subject.column, f"m{index}"),
        "alt": f"Mean {subject.column} with 95 % interval: {_spoken(summaries, subject.decimals)}",
        "pairs": [{**vars(pair), "words": verdict(pair, subject)} for pair in pairs],
        "matrix": _matrix(numbers, measure, order) if pairs and 2 < len(order) <= MATRIX_MOST else [],
    }


def _values(numbers: Numbers, generator: str, column: str) -> Any:
    found = [row.values.get(column) for row in numbers.rows if row.generator == generator]
    return np.array([value for value in found if value is not None], dtype=np.float64)


def _spoken(summaries: Sequence[Summary], places: int) -> str:
    return "; ".join(
        f"{s.generator} {number(s.mean, places)} ({interval(s.low, s.high, places)})" for s in summaries
    )


def _matrix(numbers: Numbers, measure: str, order: Sequence[str]) -> list[dict[str, Any]]:
    def cell(row: str, column: str) -> dict[str, Any] | None:
        if row == column:
            return None
        pair = numbers.between(measure, row, column)
        found = "" if pair.better is None else "better" if pair.better == row else "worse"
        return {"difference": pair.difference, "found": found}

    return [{"name": row, "cells": [cell(row, column) for column in order]} for row in order]


def _ranked(numbers: Numbers, measure: str, index: int) -> dict[str, Any]:
    subject = numbers.subject(measure)
    ranked = sorted(
        (r for r in numbers.ranking if r.measure == measure), key=lambda each: (-each.points, each.generator)
    )
    dots = [Dots(r.generator, r.points, r.low, r.high, np.empty(0)) for r in ranked]
    spoken = "; ".join(f"{r.generator} {number(r.points, 0)} ({interval(r.low, r.high, 0)})" for r in ranked)
    return {
        "subject": subject,
        "ranked": ranked,
        "plot": intervals(dots, "Bradley-Terry points", f"r{index}", density=False),
        "alt": f"Bradley-Terry points by {subject.column}: {spoken}",
    }


def _distance_words(distances: Sequence[SetDistance]) -> str:
    kinds = {each.kind for each in distances}
    found = []
    if "kd" in kinds:
        found.append(
            f"kd: unbiased squared maximum mean discrepancy with the kernel (x·y/d + 1)³ on features of the bundle's "
            f"tower, in standard deviations of the reference, over {SUBSETS} subsets of at most {SUBSET_SIZE} pictures "
            "(no spread where a subset is all there is). Not called KID: the features are not Inception's."
        )
    if "fd" in kinds:
        found.append("fd: squared Frechet distance of two Gaussians on the same features.")
    return " ".join(found)


def _how(numbers: Numbers) -> list[str]:
    unit = f"{numbers.pairing.by}s, all generators jointly" if numbers.pairing.paired else "pictures"
    test = (
        "flip of signs of differences between what belongs together"
        if numbers.pairing.paired
        else "exchange of labels"
    )
    lines = [
        f"Intervals: percentile bootstrap, {RESAMPLES} resamples over {unit}, seed {SEED}. They are not corrected for "
        "being many.",
        f"p values: two-sided permutation test by random {test}, {DRAWS} draws, seed {SEED}, "
        f"p = (1 + draws as extreme) / {DRAWS + 1}; corrected by Holm's method over all pairs and measures.",
    ]
    if numbers.pairing.paired:
        lines.append(f"Shares of {numbers.pairing.by}s won count ties half and have Wilson's 95 % interval.")
    if numbers.shares:
        lines.append("Shares of words have Wilson's 95 % interval, each picture counting by itself.")
    if numbers.ranking:
        lines.append(
            f"Bradley-Terry: half a win is added to each side of each pair; intervals are from the first "
            f"{RANKING_RESAMPLES} of the resamples; 1000 + {400 / math.log(10):.1f} × strength."
        )
    elif len(numbers.generators) > 2 and not numbers.pairing.paired:
        lines.append("There is no ranking by wins: pictures that do not belong together do not win or lose.")
    lines += [
        f"The headline, {quoted(numbers.headline)}, was chosen before the data: what other measures find does not "
        "change who leads. Many comparisons of one folder invite picking; report all of them.",
        "A measure says what it measures: that a generator scores higher on it does not say that people prefer it.",
    ]
    return lines
