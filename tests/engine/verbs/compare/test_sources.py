"""Folders and tables of generators, and the texts that strangers put into them."""

from __future__ import annotations

from pathlib import Path

import pytest

from realm_engine.errors import TextError
from realm_engine.verbs.compare.scores import Row, read_scores, scores_csv
from realm_engine.verbs.compare.sources import Picture, parse_folders, read_prompts
from realm_engine.verbs.report.numbers import interval, number, probability, signed
from realm_engine.verbs.report.shown import isolated, plain, prose, quoted, shortened
from realm_engine.verbs.report.thumbnails import Thumbnails


def test_what_exists_is_a_folder_whatever_signs_are_in_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "cfg=7", "b"):
        Path(name).mkdir()
    assert parse_folders(["cfg=7", "mine=a", "x=y=b"][:2]) == {"cfg=7": Path("cfg=7"), "mine": Path("a")}
    assert parse_folders(["./a/", "."]) == {"a": Path("a"), tmp_path.name: Path()}


def test_keys_of_pictures_are_never_the_same():
    one, other = Picture("a/b", "c.png", Path()), Picture("a", "b/c.png", Path())
    assert one.key != other.key and Picture("a%2Fb", "c.png", Path()).key != one.key


def test_scores_are_read_as_they_were_written(tmp_path):
    rows = [
        Row("=a", "1.png", {"mos": 0.5, "p": None}, 'a, "prompt"', None),
        Row("b", "é\udcff.png", {"mos": -1.25, "p": 0.125}, None, "broken; p: no answer"),
    ]
    (tmp_path / "s.csv").write_bytes(scores_csv(rows, {"mos": 3, "p": 3}))
    table = read_scores(tmp_path / "s.csv")
    assert list(table.rows) == rows and table.columns == ("mos", "p") and table.texts == {}


def test_columns_that_are_no_numbers_are_texts_and_gaps_are_gaps(tmp_path):
    (tmp_path / "s.csv").write_text(
        "Generator;Filename;mos;verdict;empty\na;1.png;0,5;fake;\na;2.png;nan;real;\na;3.png;inf;;\n"
    )
    table = read_scores(tmp_path / "s.csv")
    assert table.columns == ("mos",) and [row.values["mos"] for row in table.rows] == [0.5, None, None]
    assert table.texts == {"verdict": {"fake", "real"}, "empty": set()}
    assert [row.words["verdict"] for row in table.rows] == ["fake", "real", None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("filename,prompt\na.png,x\na.png,y\n", "line 3: 'a.png' stands twice; keep one"),
        ("filename,prompt\n,x\n", "line 2: the file name is empty"),
        ("filename,text\na.png,x\n", "no column 'prompt' (found filename, text); add it to line 1"),
        ("filename,prompt,prompt\na.png,x,y\n", "the column 'prompt' stands twice; keep one"),
    ],
)
def test_prompts_that_cannot_be_used_name_their_line(tmp_path, text, said):
    (tmp_path / "p.csv").write_text(text, encoding="utf-8")
    with pytest.raises(TextError) as caught:
        read_prompts(tmp_path / "p.csv")
    assert said in str(caught.value)


def test_texts_of_strangers_neither_are_markup_nor_move_others():
    assert plain("a\u202eb\x00\u2069c\udcff") == "a\\u202eb\\x00\\u2069c\\udcff"
    assert plain("שלום, family 👨\u200d👩\u200d👧") == "שלום, family 👨\u200d👩\u200d👧"
    assert isolated("<b>&\"'") == "<bdi>&lt;b&gt;&amp;&#34;&#39;</bdi>"
    assert isolated('"' + "x" * 20, 5) == '<bdi title="&#34;xxxxxxxxxxxxxxxxxxxx">&#34;x…xx</bdi>'
    assert shortened("abcdefghij", 5) == "ab…ij" and shortened("abc", 5) == "abc"
    assert prose(f"{quoted('<i>')} leads & wins") == "<bdi>&lt;i&gt;</bdi> leads &amp; wins"
    assert len(quoted("n" * 300)) == 62


def test_numbers_as_people_read_them():
    assert [number(-0.04, 1), number(-1.26, 1), number(None, 2), number(12.0, 0)] == [
        "0.0",
        "−1.3",
        "–",
        "12",
    ]
    assert [signed(0.26, 1), signed(-2.0, 0), signed(0.01, 1)] == ["+0.3", "−2", "0.0"]
    assert [probability(p) for p in (0.0001, 0.0456, 1.0, None)] == ["< .001", ".046", "1", "–"]
    assert interval(1, 2.55, 1) == "1.0 to 2.5" and interval(None, 1, 1) == "–"


def test_a_page_holds_pictures_until_it_is_full(tmp_path, photo):
    from PIL import Image

    for index in range(4):
        Image.fromarray(photo(300, 200, index)).save(tmp_path / f"{index}.png")
    one = Thumbnails().of_file(tmp_path / "0.png")
    assert (one.width, one.height) == (107, 160) and one.source.startswith("data:image/jpeg;base64,")
    full = Thumbnails(budget_bytes=int(2.5 * len(one.source)))
    shown = [full.of_file(tmp_path / f"{index}.png") for index in range(4)]
    assert [each is not None for each in shown] == [True, True, False, False] and full.left_out == 2
    assert full.of_file(tmp_path / "0.png") is shown[0]  # made once
    (tmp_path / "broken.png").write_bytes(b"nothing")
    assert Thumbnails().of_file(tmp_path / "broken.png") is None and Thumbnails().of_file(None) is None


def test_names_in_any_script_are_drawn_without_a_word(recwarn):
    import numpy as np

    from realm_engine.verbs.report.plots import Dots, histogram, intervals

    names = ["生成器", "مولد", "👩\u200d🎨", "$a_{b$", "<b>&amp;"]
    drawn = intervals([Dots(name, 1.0, 0.5, 1.5, np.arange(9.0)) for name in names], "名", "m0")
    assert all(name in drawn for name in ("生成器", "مولد", "$a_{b$", "&lt;b&gt;&amp;amp;"))
    assert "var(--mark)" in drawn and "#04" not in drawn and 'id="m0-' in drawn
    assert intervals([Dots("a", None, None, None, np.empty(0))], "x", "m1").startswith("<svg")
    assert histogram(np.ones(4), "x", "h0").startswith("<svg")
    assert not [str(each.message) for each in recwarn.list]
