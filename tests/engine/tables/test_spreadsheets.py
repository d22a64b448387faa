"""Score tables that went through a spreadsheet: no cell is a formula, and what was saved again is resumed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from rows import NUMBERS, row

from realm_engine.errors import OutputError
from realm_engine.pictures.descriptions import read_descriptions
from realm_engine.tables.journal import ResultFile, journal_path
from realm_engine.tables.record import Picture, record_path
from realm_engine.tables.rows import read_rows, rounded

RUN = {"bundle": "b", "precision": "fp32"}
PICTURE: Picture = (1000, 1_700_000_000_123_456_789)
ROWS = [
    row("=1+1.png", -1.25, 42.5, '=HYPERLINK("http://x";"y")'),
    row("@x.png", 0.5, 72.7, "-melted, doubled"),
    row("'=x.png", 0.25, 70.0, "'quoted'"),
    row("\t+x.png", None, None, "", "-x.png: broken"),
    row("a;=cmd.png", 1.0, 80.0, "a\n=1"),
]


def write(path: Path) -> None:
    with ResultFile(path, dict.fromkeys((each.name for each in ROWS), PICTURE), RUN, NUMBERS) as table:
        for each in ROWS:
            table.write(each)


def resumed(path: Path) -> set[str]:
    pictures = dict.fromkeys((each.name for each in ROWS), PICTURE)
    return set(ResultFile(path, pictures, RUN, NUMBERS, resume=True).done)


DONE = {each.name for each in ROWS if not each.error}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_cell_of_strangers_is_a_formula_and_all_come_back(tmp_path, separator):
    write(tmp_path / "s.csv")
    text = (tmp_path / "s.csv").read_text()
    for cells in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
        for cell in cells:
            assert cell == "-1.250000" or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert read_rows(tmp_path / "s.csv", NUMBERS) == [rounded(each, NUMBERS) for each in ROWS]


def test_a_table_is_a_file_of_descriptions_that_says_the_same(tmp_path):
    write(tmp_path / "s.csv")
    found = read_descriptions(tmp_path / "s.csv")
    assert [found.lookup(each.name.strip()) or None for each in ROWS] == [each.description for each in ROWS]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_formats_that_are_no_spreadsheets_hold_the_names_themselves(tmp_path, suffix):
    write(tmp_path / f"s{suffix}")
    assert read_rows(tmp_path / f"s{suffix}", NUMBERS) == [rounded(each, NUMBERS) for each in ROWS]
    if suffix == ".jsonl":
        lines = (tmp_path / "s.jsonl").read_text().splitlines()
        assert [json.loads(line)["filename"] for line in lines] == [each.name for each in ROWS]


def saved_again(text: str, dialect: str) -> bytes:
    """The table as spreadsheets save it."""
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if dialect == "mark":
        return b"\xef\xbb\xbf" + text.encode()
    out = io.StringIO(newline="")
    if dialect == "semicolons":
        writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
        writer.writerows(
            [rows[0], *([r[0], *(c.replace(".", ",") for c in r[1:3]), *r[3:]] for r in rows[1:])]
        )
        return out.getvalue().encode("utf-8-sig")
    if dialect == "unicode-text":
        csv.writer(out, delimiter="\t", lineterminator="\r\n").writerows(rows)
        return out.getvalue().encode("utf-16")
    shorter = [[r[0], *(c.rstrip("0").rstrip(".") if "." in c else c for c in r[1:3]), *r[3:]] for r in rows]
    csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerows([*shorter, [""] * 5])
    return out.getvalue().encode("utf-8-sig")


@pytest.mark.parametrize("dialect", ["mark", "semicolons", "unicode-text", "shorter-numbers"])
def test_a_table_that_was_saved_again_is_resumed(tmp_path, dialect):
    path = tmp_path / "s.csv"
    write(path)
    path.write_bytes(saved_again(path.read_bytes().decode(), dialect))
    assert resumed(path) == DONE


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_number_that_was_changed_is_refused(tmp_path, suffix):
    path = tmp_path / f"s{suffix}"
    write(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"70.0", b"71.0"))
    with pytest.raises(OutputError, match="changed since"):
        resumed(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_mark_on_record_table_or_journal_stops_nothing(tmp_path, suffix, encoding):
    path = tmp_path / f"s{suffix}"
    write(path)
    for each in (path, record_path(path)):
        each.write_bytes(each.read_bytes().decode().encode(encoding))
    assert resumed(path) == DONE
    with (
        pytest.raises(ZeroDivisionError),
        ResultFile(path, dict.fromkeys(DONE, PICTURE), RUN, NUMBERS) as table,
    ):
        table.write(ROWS[0])
        raise ZeroDivisionError
    journal = journal_path(path)
    journal.write_bytes(journal.read_bytes().decode().encode(encoding))
    assert resumed(path) == {ROWS[0].name}


@pytest.mark.parametrize("cell", ["nan", "None", "NaN", "#N/A", "inf"])
def test_cells_that_hold_no_number_are_empty(tmp_path, cell):
    path = tmp_path / "s.csv"
    path.write_text(f"filename,mos,realness,description,error\na.png,{cell},1,,\n")
    assert read_rows(path, NUMBERS)[0].mos is None
    path.with_suffix(".jsonl").write_text(
        '{"filename": "a.png", "mos": NaN, "realness": 1, "description": null, "error": ""}\n'
    )
    assert read_rows(path.with_suffix(".jsonl"), NUMBERS)[0].mos is None
