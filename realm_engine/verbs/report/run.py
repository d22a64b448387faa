"""The work behind `realm-engine report`: one folder, or a table of scores, to a folder with a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from realm_engine.engine import Engine, EngineOptions
from realm_engine.errors import UsageError
from realm_engine.machine.files import check_folder, write_atomically
from realm_engine.pictures.inputs import Entry, Texts
from realm_engine.tables.rows import Measured
from realm_engine.verbs.compare.finished import finished
from realm_engine.verbs.compare.library import NUMBERS, PAGE, SCORES
from realm_engine.verbs.compare.scores import Row, decimals_of, read_scores, scores_csv
from realm_engine.verbs.compare.subjects import headline_of, subject_of
from realm_engine.verbs.console import Console, open_engine
from realm_engine.verbs.inputs import Inputs
from realm_engine.verbs.inputs import Texts as GivenTexts
from realm_engine.verbs.report.measured import measure_into
from realm_engine.verbs.report.options import PageOptions
from realm_engine.verbs.report.ready import need_packages

if TYPE_CHECKING:
    from realm_engine.verbs.report.single import Pair, Single


@dataclass(frozen=True)
class ReportOptions:
    """What `realm-engine report` is asked for; see its help. Without `page.maps`: all shown, where the bundle can."""

    path: Path
    page: PageOptions
    images: Path | None = None
    texts: GivenTexts = field(default_factory=GivenTexts)

    def __post_init__(self) -> None:
        texts = {
            "--text": self.texts.one,
            "--descriptions": self.texts.descriptions,
            "--missing-text error": self.texts.required or None,
        }
        for option, value in {**texts, **self.page.of_pictures_alone()}.items():
            if self.of_table and value is not None:
                raise UsageError(f"{option} is for a folder of pictures; {self.path} holds finished scores")
        if self.images is not None and not self.of_table:
            raise UsageError(f"--images says where the pictures of a table lie; {self.path} is no table")

    @property
    def of_table(self) -> bool:
        """Whether finished scores are reported, not pictures."""
        return self.path.suffix.lower() == ".csv" and not self.path.is_dir()


def report_folder(options: ReportOptions, how: EngineOptions, console: Console) -> int:
    """Measure, or read scores, and write the page; returns how many pictures failed.

    Raises RealmError where nothing can be done.
    """
    need_packages("realm-engine report")
    check_folder(options.page.output)
    return _of_table(options, how, console) if options.of_table else _of_folder(options, how, console)


def _of_folder(options: ReportOptions, how: EngineOptions, console: Console) -> int:
    from realm_engine.verbs.report.facts import Run, engine_facts, sizes_of
    from realm_engine.verbs.report.single import Single

    seen = Inputs((options.path,), texts=options.texts).look()
    seen.say(console)
    entries, by_root = seen.entries, seen.by_root
    page, asked = options.page, options.page.asked
    with open_engine(how, asked.part, console) as engine:
        asked.say(engine, console)
        subjects = [subject_of(measure) for measure in asked.measures(engine)]
        headline = headline_of(subjects, page.headline, engine.measures[0].name)
        if page.maps:
            engine.presets()  # a bundle without maps is found before any work
        found = measure_into(engine, entries, page, console)
        rows = [_row(options.path.resolve().name, entry, found[entry.name]) for entry in entries]
        facts = engine_facts(engine) | asked.facts(engine)
        facts |= {
            "Descriptions": ", ".join(used.source for used in by_root.values()) or "none",
            "Pictures": str(len(rows)),
            "Size in pixels": sizes_of(row.path for row in rows if row.path is not None),
        }
        single = Single(str(options.path), tuple(rows), tuple(subjects), headline, Run(facts, page.command))
        texts = {entry.source: entry.text for entry in entries if isinstance(entry.source, Path)}
        decimals = decimals_of(asked.columns(engine))
        best, worst, left_out = _pictures(single, engine, options, texts, console)
    return _write(single, best, worst, left_out, decimals, options, console)


def _of_table(options: ReportOptions, how: EngineOptions, console: Console) -> int:
    from realm_engine.verbs.report.facts import Run
    from realm_engine.verbs.report.single import Single

    page = options.page
    table = read_scores(options.path, options.path.stem)
    several = list(dict.fromkeys(row.generator for row in table.rows))
    if len(several) > 1:
        raise UsageError(
            f"{options.path}: holds {len(several)} generators; realm-engine compare --scores {options.path} is for them"
        )
    known = finished(table, how, page.asked.metrics, {})
    rows = table.rows
    if options.images is not None:
        rows = tuple(replace(row, path=options.images / row.filename) for row in rows)
    facts = {"Scores": str(options.path), "Known by": known.known_by}
    headline = headline_of(known.subjects, page.headline, known.usual)
    single = Single(str(options.path), rows, known.subjects, headline, Run(facts, page.command))
    decimals = known.decimals
    if options.images is None:
        return _write(single, [], [], 0, decimals, options, console)
    with open_engine(how, lambda engine: engine.map_part, console) as engine:
        best, worst, left_out = _pictures(single, engine, options, {}, console)
    return _write(single, best, worst, left_out, decimals, options, console)


def _row(folder: str, entry: Entry, measured: Measured) -> Row:
    path = entry.source if isinstance(entry.source, Path) else None
    return Row(folder, entry.name, measured.values, None, measured.error, path, measured.words)


def _pictures(
    single: Single, engine: Engine, options: ReportOptions, texts: dict[Path, Texts], console: Console
) -> tuple[list[Pair], list[Pair], int]:
    """The best and the worst with their maps, and how many the page had no room for."""
    from realm_engine.verbs.compare.gallery import SHOWN
    from realm_engine.verbs.report.drawn import map_drawer
    from realm_engine.verbs.report.single import chosen_pictures
    from realm_engine.verbs.report.thumbnails import Thumbnails

    wished = options.page.maps
    if not options.page.gallery:
        return [], [], 0
    can = engine.contents.maps is not None and engine.can(engine.map_part)
    if not can and wished is None:
        console.say(f"{engine.bundle.name} makes no maps; the page shows the pictures alone")
    maps = (SHOWN if can else 0) if wished is None else wished
    thumbnails = Thumbnails()
    with console.progress("mapping", min(2 * min(maps, SHOWN), len(single.rows))) as advance:
        draw = map_drawer(engine, thumbnails, texts, advance) if maps else None
        best, worst = chosen_pictures(single, thumbnails, maps, draw)
    return best, worst, thumbnails.left_out


def _write(
    single: Single,
    best: Sequence[Pair],
    worst: Sequence[Pair],
    left_out: int,
    decimals: Mapping[str, int | None],
    options: ReportOptions,
    console: Console,
) -> int:
    from realm_engine.verbs.report.single import single_page

    text = json.dumps(single.document(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    folder = options.page.output
    write_atomically(folder / SCORES, scores_csv(single.rows, decimals))
    write_atomically(folder / NUMBERS, text.encode("utf-8", "backslashreplace"))
    write_atomically(folder / PAGE, single_page(single, best, worst, left_out))
    for sentence in single.sentences():
        console.say(sentence)
    failed = sum(row.error is not None for row in single.rows)
    if failed:
        console.say(f"{failed} of {len(single.rows)} images failed; the page says why")
    console.say(f"wrote {SCORES}, {NUMBERS}, {PAGE} in {folder}; open {folder / PAGE}")
    return failed
