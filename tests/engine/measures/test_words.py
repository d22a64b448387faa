"""Columns of words, from a manifest of format 1.4: in rows, in every table, and on a terminal."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from bundles import read_manifest, write_manifest
from measures import WORDS, build_words

from realm_engine import Engine
from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import BundleError
from realm_engine.opened import Contents
from realm_engine.tables.journal import ResultFile
from realm_engine.tables.rows import csv_text, read_rows, table_parts
from realm_engine.tables.terminal import TerminalTable
from realm_engine.verbs.info import measure_rows

LEVELS = (40, 127, 200, 0)
EXPECTED = ["dark", "middling", "bright", None]


@pytest.fixture(scope="module")
def bundle(bundle_path, tmp_path_factory) -> Path:
    return build_words(bundle_path, tmp_path_factory.mktemp("words") / "words")


@pytest.fixture(scope="module")
def scored(bundle):
    images = [np.full((9, 7, 3), level, np.uint8) for level in LEVELS]
    with Engine.open(bundle, device="cpu", threads=1) as engine:
        (measure,) = engine.chosen(["thirds"]).listed
        return engine.score(images, metrics="thirds"), measure


def test_a_place_becomes_its_word(scored) -> None:
    rows, measure = scored
    assert [row["light"] for row in rows] == EXPECTED == [row.light for row in rows]
    assert [list(row.values) for row in rows] == [["share"]] * 4
    assert rows[1].share == pytest.approx(127 / 255)
    assert "third is 7, far outside" in rows[3].error and rows[3].share is None
    assert not measure.ranks and measure.columns[1].words == WORDS
    with pytest.raises(AttributeError, match="only share, light"):
        rows[0].shade  # noqa: B018


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_holds_words_and_gives_them_back(scored, suffix, tmp_path) -> None:
    rows, measure = scored
    path = tmp_path / f"table{suffix}"
    path.write_bytes(b"".join(table_parts(path, rows, measure.columns)))
    again = read_rows(path, measure.columns)
    assert [row.light for row in again] == EXPECTED
    assert [row.name for row in again] == [row.name for row in rows]


def test_a_word_that_is_none_of_the_columns_is_no_table_to_resume(scored, tmp_path) -> None:
    rows, measure = scored
    path = tmp_path / "table.csv"
    path.write_text(csv_text(rows, measure.columns, first=True).replace("bright", "glaring"))
    with pytest.raises(Exception, match="light is 'glaring', none of dark, middling, bright"):
        read_rows(path, measure.columns)


def test_the_journal_keeps_words(scored, tmp_path) -> None:
    rows, measure = scored
    path = tmp_path / "table.csv"
    pictures = {row.name: (number, 1) for number, row in enumerate(rows)}  # size and time
    with pytest.raises(KeyboardInterrupt), ResultFile(path, pictures, {}, measure.columns, False) as table:
        for row in rows[:2]:
            table.write(row)
        raise KeyboardInterrupt
    table = ResultFile(path, pictures, {}, measure.columns, True)
    assert [row.light for row in table.done.values()] == EXPECTED[:2]
    with table:
        for row in rows[2:]:
            table.write(row)
    lines = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [line["light"] for line in lines] == ["dark", "middling", "bright", ""]


def test_a_terminal_shows_words(scored) -> None:
    rows, measure = scored
    shown = io.StringIO()
    with TerminalTable(shown, [measure.columns], [row.name for row in rows]) as table:
        for row in rows:
            table.write(row)
    header, *lines = shown.getvalue().splitlines()
    place = header.index("light")
    assert [line[place:].split()[0] for line in lines] == ["dark", "middling", "bright", "-"]


@pytest.mark.parametrize(
    "words", [["one"], ["twice", "twice"], ["a word", "another"], [1, 2], "dark", [], ["=SUM(A1)", "b"]]
)
def test_a_manifest_of_other_words_is_refused(bundle, bundle_path, words, tmp_path) -> None:
    folder = build_words(bundle_path, tmp_path / "wrong")
    manifest = read_manifest(folder)
    manifest["measures"]["thirds"]["word_columns"][0]["words"] = words
    write_manifest(folder, manifest)
    with pytest.raises(BundleError, match=r"words|name"):
        Contents(Bundle.open(folder))


def test_what_a_bundle_measures_is_listed_with_its_words(bundle) -> None:
    (thirds,) = (each for each in measure_rows(str(bundle)) if each["name"] == "thirds")
    assert thirds["columns"][1]["words"] == list(WORDS) and thirds["ranks"] is False
    assert thirds["columns"][1]["span"] == "dark, middling, bright"
