"""Texts of pictures as callers give them, and names in both Unicode forms."""

from __future__ import annotations

import os
import unicodedata

import numpy as np
import pytest

from realm_engine.errors import TextError, UsageError
from realm_engine.pictures.descriptions import Descriptions, read_descriptions
from realm_engine.pictures.inputs import entries

PICTURE = np.zeros((4, 4, 3), np.uint8)
COMPOSED, APART = (unicodedata.normalize(form, "café/é.png") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (3, "its description is 3, which is no text"),
        (True, "its description is True"),
        (b"melted", "its description is b'melted'"),
        ({"a": "b"}, "which is no text"),
        (["a seam", 3], "which is no text"),
        ("half \ud83d of a pair", "its description is no valid text .character 6 is half of one"),
        (os.fsdecode(b"caf\xe9"), "its description is no valid text .character 4"),
    ],
)
def test_what_is_no_text_fails_alone(text, error):
    first, wrong, last = entries([PICTURE] * 3, ["a seam", text, None])
    assert (first.text, first.error, last.text, last.error) == ("a seam", None, None, None)
    assert wrong.text is None and error.replace(".", "(", 1) in wrong.error.replace("image-2: ", "")


@pytest.mark.parametrize("missing", [float("nan"), np.nan, np.float64("nan"), None])
def test_a_gap_of_a_data_frame_is_no_description(missing):
    (entry,) = entries([PICTURE], [missing])
    assert entry.text is None and entry.error is None


def test_an_empty_path_is_not_the_working_folder():
    with pytest.raises(UsageError, match="the path of the image is empty"):
        list(entries(""))


@pytest.mark.parametrize(("written", "found"), [(COMPOSED, APART), (APART, COMPOSED), (APART, APART)])
@pytest.mark.parametrize("folder", [True, False])
def test_a_name_is_found_in_either_form(tmp_path, written, found, folder):
    if not folder:
        written = written.split("/")[1]
    path = tmp_path / "d.csv"
    path.write_text(f"filename,description\n{written},a seam\nother.png,b\n", encoding="utf-8")
    texts = read_descriptions(path)
    assert texts.lookup(found) == "a seam"
    assert texts.lookup(found.replace(".png", ".webp")) == "a seam"  # by its stem
    assert texts.lookup("cafe/e.png") is None


def test_rows_that_differ_in_their_form_alone_are_ambiguous_for_a_third():
    both = Descriptions("d.csv", {"\u212b.png": "one", "A\u030a.png": "two"})
    assert both.lookup("\u212b.png") == "one" and both.lookup("A\u030a.png") == "two"
    with pytest.raises(TextError, match="differ in their Unicode form alone"):
        both.lookup("\u00c5.png")


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_tables_of_spreadsheets_are_read(tmp_path, sign, start):
    rows = [
        ["filename", "description", "MOS"],
        ["a.png", '"a seam; melted, wet"', "0.5"],
        ["b.png", "nan", ""],
    ]
    rows += [["c.png", "None", "x"], ["", "", ""], ["d.png", "nan is what it shows", "1"], [" ", "", ""]]
    path = tmp_path / "d.csv"
    path.write_text(start + "".join(sign.join(row) + "\r\n" for row in rows), encoding="utf-8", newline="")
    texts = read_descriptions(path)
    assert texts.by_name == {
        "a.png": "a seam; melted, wet",
        "b.png": "",
        "c.png": "",
        "d.png": "nan is what it shows",
    }
    assert texts.mos == {"a.png": 0.5, "d.png": 1.0}


def test_a_column_whose_name_holds_a_semicolon_is_not_two(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("filename,description,note; more\na.png,a seam,x\n", encoding="utf-8")
    assert read_descriptions(path).by_name == {"a.png": "a seam"}
