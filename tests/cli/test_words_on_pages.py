"""Pages of measures that answer in words, and by which nothing may be ranked."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from measures import build_words
from pages import check_page
from PIL import Image

from realm_engine.verbs.compare.statistics.wins import wilson

LEVELS = {"night": (20, 30, 40, 60, 100, 127), "noon": (127, 150, 180, 190, 200, 210), "dusk": (50, 127, 200)}
EXPECTED = {"night": (4, 2, 0), "noon": (0, 2, 4), "dusk": (1, 1, 1)}


@pytest.fixture(scope="module")
def bundle(bundle_path, tmp_path_factory) -> Path:
    return build_words(bundle_path, tmp_path_factory.mktemp("words") / "words")


@pytest.fixture
def folders(tmp_path) -> Path:
    rng = np.random.default_rng(3)
    for name, levels in LEVELS.items():
        (tmp_path / name).mkdir()
        for index, level in enumerate(levels):
            picture = level + rng.integers(-2, 3, (33, 44, 3))
            Image.fromarray(picture.astype(np.uint8)).save(tmp_path / name / f"{name}{index}.png")
    return tmp_path


def read(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_words_are_shares_and_what_ranks_nothing_is_in_no_order(cli, bundle, folders) -> None:
    paths = [folders / name for name in LEVELS]
    done = cli("compare", *paths, "--metric", "core,thirds", "--output", folders / "out", bundle=bundle)
    assert done.exit_code == 0, done.stderr
    core, thirds = read(folders / "out")["measures"]
    assert len(core["pairs"]) == 3 and thirds["pairs"] == thirds["ranking"] == []
    assert thirds["ranks"] is False and core["shares"] == []
    for generator, counts in EXPECTED.items():
        own = [each for each in thirds["shares"] if each["generator"] == generator]
        assert [each["word"] for each in own] == ["dark", "middling", "bright"]
        assert [each["count"] for each in own] == list(counts)
        for each in own:
            assert each["share"] == each["count"] / each["n"] == each["count"] / sum(counts)
            assert (each["low"], each["high"]) == wilson(each["count"], each["n"])
    # What is not tested is no reason to correct the others.
    alone = folders / "alone"
    assert cli("compare", *paths, "--output", alone, "--no-gallery", bundle=bundle).exit_code == 0
    corrected = [[pair["corrected"] for pair in each["pairs"]] for each in (read(alone)["measures"][0], core)]
    assert corrected[0] == corrected[1]
    page = check_page((folders / "out" / "report.html").read_bytes())
    assert "nothing is ranked by it" in page.text and "How often light says what" in page.text
    assert "67 % (30 to 90)" in page.text  # 4 of 6
    assert "all 3 tests" in page.text
    assert page.headings.count((3, "thirds")) == 1  # among the measures, not among pairs or rankings
    rows = table(folders / "out")
    assert list(rows[0])[3:7] == ["mos", "realness", "share", "light"]
    assert [row["light"] for row in rows[:6]] == ["dark"] * 4 + ["middling"] * 2
    again = cli(
        "compare", "--scores", folders / "out" / "scores.csv", "--metric", "core,thirds", "--output", folders / "again",
        bundle=bundle,
    )  # fmt: skip
    assert again.exit_code == 0, again.stderr
    assert read(folders / "again")["measures"][1]["shares"] == thirds["shares"]
    assert table(folders / "again") == rows
    resumed = cli(
        "compare", *paths, "--metric", "core,thirds", "--output", folders / "out", "--resume", bundle=bundle
    )
    assert "15 of 15 images are scored already" in resumed.stderr
    assert read(folders / "out")["measures"][1]["shares"] == thirds["shares"]


def test_a_folder_shows_its_words_beside_its_numbers(cli, bundle, folders) -> None:
    out = folders / "out"
    done = cli(
        "report", folders / "night", "--metric", "thirds,core", "--no-gallery", "--output", out, bundle=bundle
    )
    assert done.exit_code == 0, done.stderr
    found = read(out)
    assert found["headline"] == "core"  # not the first that was named
    assert [each["count"] for each in found["measures"][0]["shares"]] == [4, 2, 0]
    assert {each["filename"]: each["light"] for each in found["pictures"]}["night5.png"] == "middling"
    page = check_page((out / "report.html").read_bytes())
    assert "How often light says what" in page.text and "middling" in page.text
    again = cli(
        "report", out / "scores.csv", "--metric", "core,thirds", "--output", folders / "b", bundle=bundle
    )
    assert again.exit_code == 0 and read(folders / "b")["pictures"] == found["pictures"]


def test_a_headline_by_which_nothing_may_be_ranked_is_refused(cli, bundle, folders) -> None:
    why = "thirds: nothing may be put in an order by it (A graph for tests.), and a page is about an order; take "
    two = ("compare", folders / "night", folders / "noon")
    for verb in (two, ("report", folders / "night")):
        for more, cure in (
            (("--metric", "core,thirds", "--headline", "thirds"), "core as the headline"),
            (("--metric", "thirds"), "another measure as well"),
        ):
            done = cli(*verb, *more, "--output", folders / "out", bundle=bundle)
            assert done.exit_code == 2 and why + cure in done.stderr
            assert not (folders / "out" / "report.html").exists()


def test_a_column_that_holds_other_words_is_left_out(cli, bundle, folders) -> None:
    lines = ["generator,filename,mos,share,light"]
    lines += [
        f"{g},{i}.png,{i},{i / 40},{'dark' if i % 2 else 'pitch black'}" for g in "ab" for i in range(25)
    ]
    (folders / "s.csv").write_text("\n".join(lines), encoding="utf-8")
    done = cli("compare", "--scores", folders / "s.csv", "--output", folders / "out", bundle=bundle)
    assert done.exit_code == 0, done.stderr
    assert read(folders / "out")["measures"][1]["shares"] == []
    assert list(table(folders / "out")[0]) == ["generator", "filename", "prompt", "mos", "share", "error"]
