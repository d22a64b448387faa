"""The page of one folder: its scores sorted, how they are spread, its best and worst pictures with their maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from realm_engine.verbs.compare.comparison import correlations_of, summaries_of_one
from realm_engine.verbs.compare.gallery import SHOWN, DrawMap, Shown, sorted_by
from realm_engine.verbs.compare.results import ALIKE, Correlation, Share, Summary
from realm_engine.verbs.compare.scores import Row
from realm_engine.verbs.compare.shares import by_column, shares_of
from realm_engine.verbs.compare.subjects import Subject
from realm_engine.verbs.report.facts import Run
from realm_engine.verbs.report.numbers import interval, number
from realm_engine.verbs.report.page import render
from realm_engine.verbs.report.plots import histogram
from realm_engine.verbs.report.shown import quoted
from realm_engine.verbs.report.thumbnails import Thumbnails

LISTED = 400
FAILED_MOST = 100


@dataclass(frozen=True)
class Single:
    """What a page of one folder says. `called`: the folder or table; `rows`: all pictures; `headline`: a subject."""

    called: str
    rows: tuple[Row, ...] = field(repr=False)
    subjects: tuple[Subject, ...]
    headline: Subject
    run: Run
    warnings: tuple[str, ...] = ()

    @property
    def summaries(self) -> tuple[Summary, ...]:
        """What each measure makes of all pictures."""
        return summaries_of_one(self.rows, self.subjects, self.called)

    @property
    def shares(self) -> tuple[Share, ...]:
        """How often each measure that answers in words says each of them."""
        return tuple(shares_of(self.subjects, self.called, self.rows))

    @property
    def correlations(self) -> tuple[Correlation, ...]:
        """Of the measures with each other."""
        return tuple(correlations_of(self.subjects, self.rows))

    def _words(self, row: Row) -> dict[str, str | None]:
        return {column: row.words.get(column) for subject in self.subjects for column in subject.words}

    def best_first(self) -> list[Row]:
        """The pictures that have a value of the headline."""
        known = sorted_by(self.rows, self.headline.column)
        return known[::-1] if self.headline.better == "high" else known

    def sentences(self, say: Callable[[str], str] = str) -> list[str]:
        """What was found, in words."""
        known, places = self.best_first(), self.headline.decimals
        if not known:
            return [f"None of the {len(self.rows)} pictures has a value of {say(self.headline.column)}."]
        summary = next(s for s in self.summaries if s.measure == self.headline.name)
        best, worst = known[0], known[-1]
        return [
            f"{len(known)} picture{'' if len(known) == 1 else 's'}: {say(self.headline.column)} is "
            f"{number(summary.mean, places)} on average, from {number(worst.values[self.headline.column], places)} "
            f"({say(worst.filename)}) to {number(best.values[self.headline.column], places)} ({say(best.filename)}).",
        ]

    def document(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {
            "kind": "report",
            "engine_version": self.run.engine_version,
            "run": dict(self.run.facts),
            "command": self.run.command,
            "headline": self.headline.name,
            "summary": self.sentences(),
            "warnings": list(self.warnings),
            "measures": [
                {
                    **asdict(subject),
                    "summary": asdict(summary),
                    "shares": [asdict(each) for each in self.shares if each.measure == subject.name],
                }
                for subject, summary in zip(self.subjects, self.summaries, strict=True)
            ],
            "correlations": [asdict(each) for each in self.correlations],
            "pictures": [
                {"filename": row.filename, **row.values, **self._words(row)} for row in self.best_first()
            ],
            "failed": [{"filename": row.filename, "error": row.error} for row in self.rows if row.error],
        }


@dataclass(frozen=True)
class Pair:
    """A picture and its map, each None where there is none."""

    picture: Shown
    map: Shown | None


def chosen_pictures(
    single: Single, thumbnails: Thumbnails, maps: int, draw: DrawMap | None
) -> tuple[list[Pair], list[Pair]]:
    """The best and the worst pictures by the headline; the first `maps` of each with their maps."""
    known, column = single.best_first(), single.headline.column

    def pair(index: int, row: Row) -> Pair:
        value, mapped = row.values[column], None
        if draw is not None and index < maps:
            picture, note = draw(row.path)
            mapped = Shown(row.filename, value, picture, note)
        return Pair(Shown(row.filename, value, thumbnails.of_file(row.path)), mapped)

    most = min(SHOWN, (len(known) + 1) // 2)
    worst = known[::-1][: min(most, len(known) - most)]
    return [pair(*each) for each in enumerate(known[:most])], [pair(*each) for each in enumerate(worst)]


def single_page(single: Single, best: Sequence[Pair], worst: Sequence[Pair], left_out: int) -> bytes:
    """The page as one HTML file; without pictures there is no gallery."""
    ordered = [single.headline, *(s for s in single.subjects if s is not single.headline)]
    by_name = {s.measure: s for s in single.summaries}
    known, failed = single.best_first(), [row for row in single.rows if row.error is not None]
    half = LISTED // 2
    listed = known if len(known) <= LISTED else [*known[:half], *known[-half:]]
    context = {
        "title": f"Report: {Path(single.called).name}",
        "called": single.called,
        "headline": single.headline,
        "lead": " ".join(single.sentences(quoted)),
        "sure": _how_sure(single),
        "warnings": single.warnings,
        "run": single.run,
        "measures": [
            _measure(single, subject, by_name[subject.name], i) for i, subject in enumerate(ordered)
        ],
        "columns": ordered,
        "listed": list(
            zip(
                [*range(1, len(known) + 1)] if listed is known else _ranks(len(known), half),
                listed,
                strict=True,
            )
        ),
        "known": len(known),
        "best": best,
        "worst": worst,
        "left_out": left_out,
        "correlations": single.correlations,
        "alike": ALIKE,
        "failed": [_without_generator(row) for row in failed[:FAILED_MOST]],
        "failed_total": len(failed),
        "subjects": ordered,
        "how": [
            "Interval of the mean: percentile bootstrap, 10000 resamples over pictures, seed 0.",
            "A measure says what it measures: a picture that scores low need not be false, one that scores high need "
            "not be true.",
        ],
    }
    context["sections"] = {
        anchor: words
        for anchor, words, there in (
            ("run", "What was run", True),
            ("measures", "Measure by measure", True),
            ("gallery", "Best and worst", best or worst),
            ("scores", "Scores, sorted", listed),
            ("correlation", "Correlation", context["correlations"]),
            ("failed", "Failed", failed),
            ("how", "How, licences, limits", True),
        )
        if there
    }
    return render("single.html", context)


def _ranks(count: int, half: int) -> list[int]:
    return [*range(1, half + 1), *range(count - half + 1, count + 1)]


def _without_generator(row: Row) -> dict[str, Any]:
    return {"generator": "", "filename": row.filename, "error": row.error}


def _how_sure(single: Single) -> str:
    summary = next(s for s in single.summaries if s.measure == single.headline.name)
    if summary.mean is None:
        return ""
    places = single.headline.decimals
    distrusted = (
        f" {summary.distrusted} of them {'is' if summary.distrusted == 1 else 'are'} to be distrusted (see below)."
        if summary.distrusted
        else ""
    )
    return (
        f"95 % interval of that mean: {interval(summary.low, summary.high, places)}; nine of ten pictures lie between "
        f"{number(summary.p5, places)} and {number(summary.p95, places)}.{distrusted}"
    )


def _measure(single: Single, subject: Subject, summary: Summary, index: int) -> dict[str, Any]:
    values = np.array([v for row in single.rows if (v := row.values.get(subject.column)) is not None])
    return {
        "subject": subject,
        "summary": summary,
        "shares": by_column(each for each in single.shares if each.measure == subject.name),
        "plot": histogram(values, subject.column, f"h{index}") if len(values) else None,
        "alt": f"Distribution of {subject.column}: median {number(summary.median, subject.decimals)}, nine of ten from "
        f"{interval(summary.p5, summary.p95, subject.decimals)}",
    }
