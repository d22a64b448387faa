"""The work behind `realm-engine compare`: folders, a table or finished scores to a folder with a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from realm_engine.engine import Engine, EngineOptions
from realm_engine.errors import UsageError
from realm_engine.machine.files import check_folder
from realm_engine.pictures.descriptions import Descriptions, read_descriptions
from realm_engine.pictures.inputs import Texts, find_descriptions
from realm_engine.verbs.compare.distances import KERNEL, KINDS, set_distances
from realm_engine.verbs.compare.finished import finished
from realm_engine.verbs.compare.library import PAGE, Comparison, comparison_of, with_more
from realm_engine.verbs.compare.scores import Row, read_scores
from realm_engine.verbs.compare.sources import (
    FEW,
    Picture,
    Sources,
    entries_of,
    few,
    of_folders,
    of_table,
    parse_folders,
    read_prompts,
    warnings_of,
)
from realm_engine.verbs.compare.subjects import headline_of, subject_of
from realm_engine.verbs.console import Console, open_engine, say_left_out
from realm_engine.verbs.report.measured import measure_into
from realm_engine.verbs.report.options import PageOptions
from realm_engine.verbs.report.ready import need_packages

if TYPE_CHECKING:
    from realm_engine.verbs.compare.gallery import DrawMap


@dataclass(frozen=True)
class CompareOptions:
    """What `realm-engine compare` is asked for; see its help.

    `folders`: `NAME=FOLDER` or `FOLDER`; with `table` or `scores` there are none. `better`: direction by column, for
    finished scores.
    """

    page: PageOptions
    folders: tuple[str, ...] = ()
    table: Path | None = None
    scores: Path | None = None
    prompts: Path | None = None
    descriptions: Path | None = None
    paired: bool | None = None
    better: tuple[str, ...] = ()
    reference: Path | None = None
    sets: tuple[str, ...] = (KERNEL,)

    def __post_init__(self) -> None:
        given = [bool(self.folders), self.table is not None, self.scores is not None]
        if sum(given) != 1:
            raise UsageError("give folders, or --table CSV, or --scores CSV: one of the three")
        if self.scores is not None:
            needing = {
                "--reference": self.reference,
                "--maps": self.page.maps or None,
                "--descriptions": self.descriptions,
                "--prompts": self.prompts,
                **self.page.of_pictures_alone(),
            }
            for option, value in needing.items():
                if value is not None:
                    raise UsageError(f"{option} needs pictures, and --scores has none; leave one of them out")
        elif self.better:
            raise UsageError("--better is for --scores: measures of a bundle know which way is better")
        if self.table is not None and self.prompts is not None:
            raise UsageError(
                "--prompts contradicts --table, whose column prompt says the same; give one of them"
            )
        if self.sets != (KERNEL,) and self.reference is None:
            raise UsageError("--set compares with a folder of photographs; give --reference DIR")


def compare_generators(options: CompareOptions, how: EngineOptions, console: Console) -> int:
    """Compare and write the page; returns how many pictures failed. Raises RealmError where nothing can be done."""
    need_packages("realm-engine compare")
    check_folder(options.page.output)
    if options.scores is not None:
        found = _of_scores(options.scores, options, how)
    else:
        found = _of_pictures(options, how, console)
    for warning in found.told.warnings:
        console.warn(warning)
    written = found.write(options.page.output)
    for sentence in found.sentences():
        console.say(sentence)
    console.say(
        f"wrote {', '.join(path.name for path in written)} in {options.page.output}; "
        f"open {options.page.output / PAGE}"
    )
    failed = len(found.told.failed)
    if failed:
        console.say(f"{failed} of {len(found.table)} images failed; the page says why")
    return failed


def _of_pictures(options: CompareOptions, how: EngineOptions, console: Console) -> Comparison:
    sources = _sources(options)
    for seen in sources.seen:
        say_left_out(seen, console)
    for sentence in sources.sentences:
        console.say(sentence)
    warnings = warnings_of(sources)
    descriptions = None if options.descriptions is None else read_descriptions(options.descriptions)
    if descriptions is None:
        for csv in filter(None, dict.fromkeys(map(find_descriptions, sources.folders.values()))):
            console.warn(f"{csv} is not used: pictures are compared alone; --descriptions {csv} would use it")
    page = options.page
    with open_engine(how, page.asked.part, console) as engine:
        page.asked.say(engine, console)
        _check_headline(engine, options)
        rows = measure_into(engine, entries_of(sources.pictures, descriptions), page, console)
        found = comparison_of(
            engine,
            sources,
            rows,
            page.asked,
            page.headline,
            options.paired,
            warnings,
            page.command,
            descriptions,
        )
        if options.reference is not None:
            kinds = tuple(dict.fromkeys(options.sets))
            found = with_more(
                found, distances=set_distances(engine, sources, options.reference, kinds, console)
            )
        return _with_gallery(found, engine, options, descriptions, console)


def _sources(options: CompareOptions) -> Sources:
    if options.table is not None:
        return of_table(options.table)
    prompts = None if options.prompts is None else read_prompts(options.prompts)
    return of_folders(parse_folders(options.folders), prompts)


def _check_headline(engine: Engine, options: CompareOptions) -> None:
    """Before anything is measured: a headline that is no measure, features and maps that the bundle does not have."""
    from realm_engine.measures.features import tower_of

    subjects = [subject_of(measure) for measure in options.page.asked.measures(engine)]
    headline_of(subjects, options.page.headline, engine.measures[0].name)
    if options.reference is not None:
        tower_of(engine.bundle, engine.contents.measures.all)
        wrong = [kind for kind in options.sets if kind not in KINDS]
        if wrong:
            raise UsageError(f"--set {wrong[0]}: choose from {', '.join(KINDS)}")
    if options.page.maps:
        engine.presets()


def _with_gallery(
    found: Comparison,
    engine: Engine,
    options: CompareOptions,
    descriptions: Descriptions | None,
    console: Console,
) -> Comparison:
    from realm_engine.verbs.compare.gallery import make_gallery
    from realm_engine.verbs.report.drawn import map_drawer
    from realm_engine.verbs.report.thumbnails import Thumbnails

    if not options.page.gallery:
        return found
    thumbnails, maps = Thumbnails(), options.page.maps or 0
    draw: DrawMap | None = None
    total = maps * len(found.numbers.generators)
    with console.progress("mapping", total) as advance:
        if total:
            texts = _texts(found.table, descriptions)
            draw = map_drawer(engine, thumbnails, texts, advance)
        return with_more(found, gallery=make_gallery(found.numbers, thumbnails, maps, draw))


def _of_scores(path: Path, options: CompareOptions, how: EngineOptions) -> Comparison:
    """A comparison of finished scores; the bundles only say what their columns mean."""
    from realm_engine.verbs.compare.comparison import numbers_of
    from realm_engine.verbs.compare.comparison_page import Told
    from realm_engine.verbs.compare.words import too_many
    from realm_engine.verbs.report.facts import Run

    table = read_scores(path)
    known = finished(table, how, options.page.asked.metrics, parse_better(options.better))
    headline = headline_of(known.subjects, options.page.headline, known.usual)
    counts: dict[str, int] = {}
    for row in table.rows:
        counts[row.generator] = counts.get(row.generator, 0) + 1
    numbers = numbers_of(table.rows, known.subjects, headline.name, options.paired)
    told = Told(
        run=Run({"Scores": str(path), "Known by": known.known_by}, options.page.command),
        sources=dict.fromkeys(counts, str(path)),
        counts=counts,
        warnings=(
            *(few(generator, count) for generator, count in counts.items() if count < FEW),
            *too_many(numbers),
        ),
        failed=tuple(row for row in table.rows if row.error is not None),
    )
    return Comparison(numbers, table.rows, known.decimals, told)


def parse_better(given: Sequence[str]) -> Mapping[str, str]:
    """Directions by column, of COLUMN=high and COLUMN=low. Raises UsageError."""
    found = {}
    for each in given:
        name, sign, direction = each.rpartition("=")
        if not sign or not name:
            raise UsageError(f"--better {each}: write COLUMN=high or COLUMN=low")
        found[name] = direction
    return found


def _texts(rows: Sequence[Row], descriptions: Descriptions | None) -> dict[Path, Texts]:
    """The description of every picture that has one."""
    pictures = [Picture(row.generator, row.filename, row.path) for row in rows if row.path is not None]
    entries = entries_of(pictures, descriptions)
    return {picture.path: entry.text for picture, entry in zip(pictures, entries, strict=True)}
