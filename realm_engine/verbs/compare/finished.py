"""Finished scores, and what the bundles at hand know of their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from realm_engine.bundle.bundle import Bundle
from realm_engine.engine import EngineOptions
from realm_engine.measures.measure import Measure
from realm_engine.opened import Contents
from realm_engine.verbs.compare.scores import ScoreTable, decimals_of
from realm_engine.verbs.compare.subjects import Subject, subjects_of_table

UNKNOWN_DECIMALS = 6


@dataclass(frozen=True)
class Finished:
    """What a table of scores is about. `decimals`: of its columns by name, None of words. `known_by`: names of bundles.
    `usual`: the first measure of the first bundle.
    """

    subjects: tuple[Subject, ...]
    decimals: Mapping[str, int | None]
    known_by: str
    usual: str | None


def finished(
    table: ScoreTable, how: EngineOptions, wanted: Sequence[str] | None, better: Mapping[str, str]
) -> Finished:
    """What is known of a table; `how` names the bundles, which only say what its columns mean.

    Raises BundleError, and UsageError as `subjects_of_table`.
    """
    bundles = [Contents(Bundle.open(name)) for name in (how.bundle, *how.more)]
    measures: list[Measure] = [measure for contents in bundles for measure in contents.measures.all]
    subjects = subjects_of_table(table.columns, table.texts, measures, wanted, better)
    known = decimals_of(column for measure in measures for column in measure.columns)
    words = {column for subject in subjects for column in subject.words}
    decimals = {
        name: None if name in words else known.get(name, UNKNOWN_DECIMALS)
        for name in table.names
        if name in table.columns or (name in words and name in table.texts)
    }
    return Finished(
        tuple(subjects),
        decimals,
        ", ".join(contents.bundle.name for contents in bundles),
        measures[0].name if measures else None,
    )
