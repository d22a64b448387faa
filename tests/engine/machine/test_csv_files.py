"""CSV as spreadsheets leave it and take it."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realm_engine.machine.csv_files import (
    csv_line,
    defused,
    is_blank,
    lines_of,
    number_of,
    read_csv,
    restored,
    text_of,
)

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "\ufeff=1", "\x1b=1"]
PLAIN = ["a.png", "a=b", "", "'quoted'", "'", "1-2", "No, it looks natural.", "é"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_defused_and_comes_back(text):
    assert defused(text).startswith("'") and not restored(text).startswith("'")
    assert restored(defused(text)) == text


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_formula_stays_as_it_is(text):
    assert defused(text) == text and restored(text) == text


@given(st.text(alphabet="'=-@\t\r\n; a＝\x00", max_size=8))
def test_defusing_is_reversible_and_never_leaves_a_formula(text):
    assert restored(defused(text)) == text
    for cell in re.split("[;\t\r\n]", defused(text)):
        assert not cell.lstrip().startswith(("=", "-", "@", "＝"))


@given(st.lists(st.text(max_size=8), min_size=2, max_size=4))
def test_a_line_is_read_by_any_reader(cells):
    assert next(csv.reader(io.StringIO(csv_line(cells), newline=""), strict=True)) == cells


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("text", ["a;=cmd", "a\t=cmd", "a\n=cmd", "a; =cmd", "a;'=cmd"])
def test_no_cell_is_a_formula_whichever_sign_separates(separator, text):
    lines = io.StringIO(csv_line([defused(text), "1", defused(text)]), newline="")
    for cells in csv.reader(lines, delimiter=separator):
        assert not any(cell.lstrip().startswith("=") for cell in cells)
    assert restored(defused(text)) == text


TABLE = 'filename,description\nü.png,"a, b"\n\'=x.png,-\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(encoding, end):
    header, rows = read_csv(text_of(TABLE.replace("\n", end).encode(encoding)))
    assert header == ["filename", "description"]
    assert list(rows) == [(2, ["ü.png", "a, b"]), (3, ["=x.png", "-"])]


@pytest.mark.parametrize("mark", [b"\xfe\xff", b"\xef\xbb\xbf"])
def test_a_mark_of_another_encoding_than_the_text_is_an_error(mark):
    with pytest.raises(UnicodeDecodeError):
        text_of(mark + b"caf\xe9\xe9")


@pytest.mark.parametrize(
    "text",
    ["a;b\n1;2\n", "a\tb\n1\t2\n", "sep=;\na;b\n1;2\n", '"sep=|"\na|b\n1|2\n', "\n,,\na,b\n1,2\n,,\n\n"],
)
def test_separators_and_blank_rows(text):
    header, rows = read_csv(text)
    assert (header, [cells for _, cells in rows]) == (["a", "b"], [["1", "2"]])


def test_rows_know_their_first_line():
    _, rows = read_csv('sep=,\n\na,b\n1,"x\ny"\n,\n2,z\n')
    assert [line for line, _ in rows] == [4, 7]


def test_no_line_is_split_at_other_signs():
    assert list(lines_of("a\u2028b\x0bc\nd")) == ["a\u2028b\x0bc\n", "d"]


@pytest.mark.parametrize("cell", ["", " ", "nan", "NaN", "None", "NULL", "#N/A", "<NA>"])
def test_cells_that_hold_nothing(cell):
    assert is_blank(cell)


def test_numbers():
    assert number_of("-1.5") == number_of("-1,5") == -1.5
    with pytest.raises(ValueError):
        number_of("1.000,5")
