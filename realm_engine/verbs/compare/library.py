"""`realm_engine.compare`: generators compared from a program."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realm_engine.machine.files import check_folder, write_atomically
from realm_engine.tables.rows import Measured, rounded
from realm_engine.verbs.asked import Asked
from realm_engine.verbs.choices import DEFAULT_PROFILE
from realm_engine.verbs.compare.scores import Row, decimals_of, scores_csv
from realm_engine.verbs.compare.sources import Picture, Sources, entries_of, of_folders, warnings_of
from realm_engine.verbs.compare.subjects import headline_of, subject_of
from realm_engine.verbs.report.ready import need_packages

if TYPE_CHECKING:
    from realm_engine.engine import Engine
    from realm_engine.pictures.descriptions import Descriptions
    from realm_engine.verbs.compare.comparison_page import Told
    from realm_engine.verbs.compare.results import Difference, Numbers, Ranked

PAGE, NUMBERS, SCORES = "report.html", "report.json", "scores.csv"


@dataclass(frozen=True)
class Comparison:
    """Generators compared: what every measure makes of each, of each pair, and how sure that is.

    `numbers`: everything that was computed. `table`: all pictures, also those without partners and those that failed.
    `decimals`: of the columns of the table, None of words.
    """

    numbers: Numbers
    table: tuple[Row, ...] = field(repr=False)
    decimals: Mapping[str, int | None] = field(repr=False)
    told: Told = field(repr=False)

    @property
    def pairs(self) -> tuple[Difference, ...]:
        """Differences of all pairs by all measures."""
        return self.numbers.pairs

    @property
    def ranking(self) -> tuple[Ranked, ...]:
        """Bradley-Terry points; () where pictures are not paired, and of two generators."""
        return self.numbers.ranking

    def sentences(self) -> list[str]:
        """Who leads, by how much, and how sure that is."""
        from realm_engine.verbs.compare.words import how_sure, leading

        return [*leading(self.numbers), how_sure(self.numbers)]

    def document(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        numbers, told = self.numbers, self.told
        return {
            "kind": "comparison",
            "engine_version": told.run.engine_version,
            "run": dict(told.run.facts),
            "command": told.run.command,
            "headline": numbers.headline,
            "summary": self.sentences(),
            "warnings": list(told.warnings),
            "generators": [
                {
                    "name": name,
                    "source": told.sources.get(name),
                    "pictures": told.counts.get(name, 0),
                    "failed": sum(row.generator == name for row in told.failed),
                    "left_out": numbers.pairing.left_out.get(name, 0),
                    "sizes": told.sizes.get(name),
                }
                for name in numbers.generators
            ],
            "pairing": {
                "by": numbers.pairing.by,
                "shared": len(numbers.pairing.keys),
                "why": numbers.pairing.why,
            },
            "measures": [
                {
                    **asdict(subject),
                    "generators": [_plain(s) for s in numbers.summaries if s.measure == subject.name],
                    "pairs": [_plain(pair) for pair in numbers.pairs if pair.measure == subject.name],
                    "ranking": [_plain(each) for each in numbers.ranking if each.measure == subject.name],
                    "shares": [_plain(each) for each in numbers.shares if each.measure == subject.name],
                }
                for subject in numbers.subjects
            ],
            "correlations": [asdict(each) for each in numbers.correlations],
            "distances": [asdict(each) for each in told.distances],
            "failed": [
                {"generator": row.generator, "filename": row.filename, "error": row.error}
                for row in told.failed
            ],
        }

    def write(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write `report.html`, `report.json` and `scores.csv` into a folder. Raises OutputError."""
        from realm_engine.verbs.compare.comparison_page import comparison_page

        target = Path(folder)
        check_folder(target)
        text = json.dumps(self.document(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        files = {
            SCORES: scores_csv(self.table, self.decimals),
            NUMBERS: text.encode("utf-8", "backslashreplace"),
            PAGE: comparison_page(self.numbers, self.told),
        }
        for name, content in files.items():
            write_atomically(target / name, content)
        return [target / name for name in files]


def _plain(entry: Any) -> dict[str, Any]:
    found = asdict(entry)
    del found["measure"]
    return found


def compare(
    engine: Engine,
    folders: Mapping[str, str | os.PathLike[str]],
    metrics: Sequence[str] | None = None,
    *,
    headline: str | None = None,
    paired: bool | None = None,
    prompts: str | os.PathLike[str] | None = None,
    profile: str = DEFAULT_PROFILE,
    combine: Mapping[str, float] | None = None,
) -> Comparison:
    """Compare generators by their pictures.

    Args:
        engine: An open engine.
        folders: Two or more, by the names of their generators.
        metrics: Measures; None: the bundle's first.
        headline: The measure that the page is about; None: the bundle's first, where it is among them.
        paired: Whether pictures are compared within what belongs together, by prompt or file name; None: where at
            least 80 % of each folder have partners.
        prompts: A CSV, `filename,prompt`.
        profile: "default", or "published"; see `Engine.iter_scores`.
        combine: Weights of the measure "combined"; see there.

    Raises:
        MissingPackageError: SciPy, Jinja2 or Matplotlib is missing.
        UsageError, ImageError, TextError, BundleError: nothing can be compared, or one may not rank by the headline.
    """
    from realm_engine.verbs.compare.sources import read_prompts

    need_packages("compare")
    known = None if prompts is None else read_prompts(Path(prompts))
    sources = of_folders({name: Path(path) for name, path in folders.items()}, known)
    warnings = warnings_of(sources)
    asked = Asked(None if metrics is None else tuple(metrics), profile, combine)
    columns = asked.columns(engine)
    rows = {row.name: rounded(row, columns) for row in asked.rows(engine, entries_of(sources.pictures), None)}
    return comparison_of(engine, sources, rows, asked, headline, paired, warnings)


def comparison_of(
    engine: Engine,
    sources: Sources,
    measured: Mapping[str, Measured],
    asked: Asked,
    headline: str | None,
    paired: bool | None,
    warnings: Sequence[str],
    command: str | None = None,
    descriptions: Descriptions | None = None,
) -> Comparison:
    """Compare what was measured, by key. Raises UsageError as `comparison.numbers_of`."""
    from realm_engine.verbs.compare.comparison import numbers_of
    from realm_engine.verbs.compare.comparison_page import Told
    from realm_engine.verbs.compare.words import too_many
    from realm_engine.verbs.report.facts import Run, engine_facts, sizes_of

    subjects = [subject_of(measure) for measure in asked.measures(engine)]
    rows = [_row(picture, measured[picture.key]) for picture in sources.pictures]
    main = headline_of(subjects, headline, engine.measures[0].name)
    facts = engine_facts(engine) | asked.facts(engine)
    facts |= {"Descriptions": "none" if descriptions is None else descriptions.source}
    told = Told(
        run=Run(facts, command),
        sources={name: str(sources.folders.get(name, "the table")) for name in sources.generators},
        sizes={
            name: sizes_of(p.path for p in sources.pictures if p.generator == name)
            for name in sources.generators
        },
        counts={name: sum(row.generator == name for row in rows) for name in sources.generators},
        warnings=tuple(warnings),
        failed=tuple(row for row in rows if row.error is not None),
    )
    numbers = numbers_of(rows, subjects, main.name, paired)
    told = replace(told, warnings=(*told.warnings, *too_many(numbers)))
    return Comparison(numbers, tuple(rows), decimals_of(asked.columns(engine)), told)


def _row(picture: Picture, measured: Measured) -> Row:
    return Row(
        picture.generator,
        picture.filename,
        measured.values,
        picture.prompt,
        measured.error,
        picture.path,
        measured.words,
    )


def with_more(comparison: Comparison, **more: Any) -> Comparison:
    """The comparison, told more beside its numbers (`Told`)."""
    return replace(comparison, told=replace(comparison.told, **more))
