"""What generators are compared by: one column of each measure, and what the manifest says of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from realm_engine.bundle.columns import Column, numbers_of, words_of
from realm_engine.errors import UsageError
from realm_engine.measures.measure import Listed, Measure

Direction = Literal["high", "low"]


@dataclass(frozen=True)
class Subject:
    """One column that generators are compared by.

    `name`: of its measure; `column`: in tables. `decimals`: of what is shown. `says`: what the measure answers, with
    its caveats, in the manifest's words. `distrust`: columns of the same measure by which a picture's numbers are to
    be distrusted, with their limit and meaning. `words`: columns of the same measure whose cells are words, with all
    words that there are. `ranks`: whether generators and pictures may be put in an order by it. `licence`,
    `training_data`: None where nobody says.
    """

    name: str
    column: str
    better: Direction
    meaning: str
    says: str = ""
    decimals: int = 3
    licence: str | None = None
    commercial_use: bool | None = None
    training_data: str | None = None
    worth: Mapping[str, Any] = field(default_factory=dict)
    distrust: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ranks: bool = True


def subject_of(measure: Listed) -> Subject:
    """The column that stands for a measure: the first that says how sure it is, else the first plain number.

    Raises UsageError for a measure that answers in words alone.
    """
    if not numbers_of(measure.columns):
        raise UsageError(f"{measure.name}: answers in words alone, of which there is no mean; leave it out")
    column = lead_column(measure.columns)
    return Subject(
        name=measure.name,
        column=column.name,
        better=column.better,
        meaning=column.meaning,
        says=measure.says,
        decimals=_shown_decimals(column),
        licence=measure.terms.licence,
        commercial_use=measure.terms.commercial_use,
        training_data=measure.terms.training_data,
        worth=dict(measure.worth),
        distrust={
            each.name: (each.flag_above, each.meaning)
            for each in measure.columns
            if each.flag_above is not None
        },
        words={each.name: each.words for each in words_of(measure.columns)},
        ranks=measure.ranks,
    )


def headline_of(subjects: Sequence[Subject], wished: str | None, usual: str | None = None) -> Subject:
    """What a page is about: what is wished for, else the usual one where it is taken, else the first that ranks.

    Raises UsageError where that is none of them, and where one may not rank by it.
    """
    by_name = {subject.name: subject for subject in subjects}
    able = [subject for subject in subjects if subject.ranks]
    main = able[:1] if wished is None else [pick(by_name, wished, "--headline:")]
    if wished is None and usual in by_name and by_name[usual].ranks:
        main = [by_name[usual]]
    if not main or not main[0].ranks:
        names = wished or ", ".join(by_name)
        why = next((s.says for s in main or subjects if s.says), "it says so")
        raise UsageError(
            f"{names}: nothing may be put in an order by it ({why}), and a page is about an order; take "
            f"{', '.join(s.name for s in able) or 'another measure'} as {'the headline' if able else 'well'}"
        )
    return main[0]


def lead_column(columns: Sequence[Column]) -> Column:
    """The column of a measure that means are taken of."""
    numbers = numbers_of(columns)
    plain = [c for c in numbers if c.bound is None and c.curve is None and c.flag_above is None] or numbers
    return next((column for column in plain if column.interval is not None), plain[0])


def _shown_decimals(column: Column) -> int:
    """Three digits of the usual range."""
    span = column.high - column.low
    return min(column.decimals, 1 if span >= 50 else 2 if span >= 5 else 3)


def subjects_of_table(
    columns: Sequence[str],
    texts: Mapping[str, frozenset[str]],
    measures: Sequence[Measure],
    wanted: Sequence[str] | None,
    better: Mapping[str, str],
) -> list[Subject]:
    """What a table of finished scores is compared by: measures that are known here, and columns with a direction.

    Args:
        columns: Columns of numbers that the table has.
        texts: What its other columns hold.
        measures: Those of the bundles at hand.
        wanted: Names of measures or columns; None: every known measure, and every column in `better`.
        better: "high" or "low" by column, for those that no bundle here knows.

    Raises:
        UsageError: a name is neither, a column has no direction, or nothing is left.
    """
    for name in better:
        if name not in columns:
            raise UsageError(
                f"--better {name}: the table has no such column of numbers, only {_listed(columns)}"
            )
    found: dict[str, Subject] = {}
    for measure in measures:
        there = [column for column in numbers_of(measure.columns) if column.name in columns]
        if there and lead_column(there).bound is None:
            subject = subject_of(measure)
            column = lead_column(there)
            if column.name != subject.column:
                subject = Subject(measure.name, column.name, column.better, column.meaning, measure.says)
            words = {
                name: choice for name, choice in subject.words.items() if texts.get(name, {""}) <= set(choice)
            }
            found.setdefault(measure.name, replace(subject, words=words, ranks=measure.ranks))
    known = {column.name for measure in measures for column in measure.columns}
    for name, direction in better.items():
        found[name] = Subject(name, name, _direction(direction), f"the column {name}")
    if wanted is None:
        if not found and not columns:
            raise UsageError(
                "the table has no column of numbers; give one that realm-engine score has written"
            )
        if not found:
            raise UsageError(
                f"no bundle here knows one of the columns {_listed(columns)}; give --with BUNDLE, or say which way "
                f"is better: --better {next(iter(columns), 'COLUMN')}=high"
            )
        return list(found.values())
    for name in wanted:
        if name not in found and name in columns and name not in known:
            raise UsageError(f"--metric {name}: which way is better? say --better {name}=high, or =low")
    return [pick(found, name, "the table") for name in wanted]


def pick(found: Mapping[str, Subject], name: str, where: str) -> Subject:
    """The subject of a name. Raises UsageError, with the nearest name."""
    if name not in found:
        close = difflib.get_close_matches(name, found, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"{where} has no measure {name!r}, only {_listed(found)}{hint}")
    return found[name]


def _direction(text: str) -> Direction:
    if text not in ("high", "low"):
        raise UsageError(f"--better: {text!r} is no direction; write COLUMN=high or COLUMN=low")
    return "high" if text == "high" else "low"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
