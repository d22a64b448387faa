"""Picking pictures by their numbers: rows, paths for a pipe, copies that replace nothing."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest


@pytest.fixture
def realness(cli, pictures) -> dict[str, float]:
    """Every picture's realness, of a table of all."""
    rows = csv.DictReader(io.StringIO(cli("score", pictures).stdout))
    return {row["filename"]: float(row["realness"]) for row in rows}


def middle(values: dict[str, float]) -> float:
    """A limit with two of four on either side."""
    ordered = sorted(values.values())
    return (ordered[1] + ordered[2]) / 2


def test_rows_within_a_limit_are_those_of_the_whole_table(cli, pictures, realness):
    limit = middle(realness)
    whole = cli("score", pictures).stdout.splitlines()
    for option, keep in (("--below", lambda x: x < limit), ("--above", lambda x: x > limit)):
        done = cli("score", pictures, option, limit)
        wanted = [row for row, name in zip(whole[1:], realness, strict=True) if keep(realness[name])]
        assert done.exit_code == 0 and done.stdout.splitlines() == [whole[0], *wanted]
        assert f"2 of 4 images have realness {option[2:]} {limit:g}" in done.stderr


def test_a_limit_is_exclusive_and_two_make_a_range(cli, pictures, realness):
    ordered = sorted(realness.values())
    done = cli("score", pictures, "--above", ordered[0], "--below", ordered[3], "--list")
    assert len(done.stdout.splitlines()) == 2


def test_paths_go_on_to_the_next_command(cli, pictures, realness, monkeypatch, tmp_path):
    limit = middle(realness)
    monkeypatch.chdir(pictures.parent)
    listed = cli("score", pictures.name, "--below", limit, "--list")
    paths = listed.stdout.splitlines()
    assert paths == [f"{pictures.name}/{name}" for name in realness if realness[name] < limit]
    assert cli("score", pictures.name, "--below", limit, "--list", "-0").stdout == "".join(
        f"{path}\0" for path in paths
    )
    (tmp_path / "list").write_text(listed.stdout)
    again = cli("score", "--files-from", tmp_path / "list", "--no-descriptions")
    assert [row["filename"] for row in csv.DictReader(io.StringIO(again.stdout))] == [
        os.path.relpath(path, os.path.commonpath([Path(each).parent for each in paths])) for path in paths
    ]


def test_another_column_and_a_table_of_all_beside_it(cli, pictures, tmp_path):
    done = cli("score", pictures, "--by", "mos", "--above", "-100", "--list", "-o", tmp_path / "all.csv")
    assert len(done.stdout.splitlines()) == 4
    table = (tmp_path / "all.csv").read_text()
    again = cli("score", pictures, "--by", "mos", "--below", "-100", "-o", tmp_path / "all.csv", "--resume")
    assert (
        "4 of 4 images are scored already" in again.stderr
        and "0 of 4 images have mos below -100" in again.stderr
    )
    assert (tmp_path / "all.csv").read_text() == table


def test_a_finished_table_is_picked_from_without_scoring_again(cli, pictures, realness, tmp_path):
    limit = middle(realness)
    fresh = cli("score", pictures, "--above", limit, "--list", "-o", tmp_path / "t.csv").stdout
    kept = cli("score", pictures, "--above", limit, "--list", "-o", tmp_path / "t.csv", "--resume")
    assert kept.stdout == fresh and "4 of 4 images are scored already" in kept.stderr


def test_copies_keep_names_bytes_and_times_and_the_originals_stay(cli, pictures, tmp_path):
    os.utime(pictures / "sub" / "c.webp", (1_000_000_000, 1_000_000_000))
    before = sorted(pictures.rglob("*"))
    done = cli("score", pictures, "--above", "-1", "--copy-to", tmp_path / "picked", "-q")
    assert done.exit_code == 0, done.stderr
    copies = sorted(
        p.relative_to(tmp_path / "picked") for p in (tmp_path / "picked").rglob("*") if p.is_file()
    )
    assert [path.as_posix() for path in copies] == ["a.png", "b.jpg", "d.bmp", "sub/c.webp"]
    for path in copies:
        assert (tmp_path / "picked" / path).read_bytes() == (pictures / path).read_bytes()
    assert (tmp_path / "picked" / "sub" / "c.webp").stat().st_mtime == 1_000_000_000
    assert sorted(pictures.rglob("*")) == before


def test_nothing_is_replaced_and_that_is_said_before_any_work(cli, pictures, tmp_path):
    (tmp_path / "picked").mkdir()
    (tmp_path / "picked" / "b.jpg").write_text("mine")
    done = cli("score", pictures, "--above", "-1", "--copy-to", tmp_path / "picked")
    assert done.exit_code == 2 and done.stdout == "" and "threads" not in done.stderr
    assert "b.jpg: is there already, and nothing is replaced" in done.stderr
    assert [path.name for path in (tmp_path / "picked").iterdir()] == ["b.jpg"]
    assert (tmp_path / "picked" / "b.jpg").read_text() == "mine"


def test_a_folder_within_the_pictures_is_a_warning(cli, pictures):
    done = cli("score", pictures, "--above", "-1", "--copy-to", pictures / "picked")
    assert done.exit_code == 0 and "the next run over it would score the copies as well" in done.stderr


def test_what_failed_is_never_picked_and_never_lost(cli, pictures):
    (pictures / "a.png").write_bytes(b"no picture")
    for more in ((), ("--list",)):
        done = cli("score", pictures, "--below", "1000", *more, "-q")
        assert done.exit_code == 1 and "a.png" not in done.stdout
        assert done.stderr.count("error: ") == 1 and "a.png" in done.stderr


def test_json_has_a_line_per_picture(cli, pictures, realness):
    rows = [json.loads(line) for line in cli("score", pictures, "--json").stdout.splitlines()]
    assert {row["filename"]: row["realness"] for row in rows} == realness


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--list"], "--list picks by a limit; add --below X or --above X"),
        (["--copy-to", "x"], "--copy-to picks by a limit"),
        (["--by", "mos"], "--by picks by a limit"),
        (["--below", "nan"], "--below nan: give a number"),
        (["--below", "20", "--above", "80"], "nothing is above 80 and below 20"),
        (["--below", "60", "-0"], "--null is about --list"),
        (["--below", "60", "--by", "realnes"], "no such column of numbers; did you mean realness?"),
        (
            ["--below", "60", "--json", "--list"],
            "--json is a table on standard output, --list something else",
        ),
        (["--json", "-o", "x.csv"], "--json is a table on standard output, --output something else"),
    ],
)
def test_mistakes(cli, pictures, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = cli("score", pictures, *arguments)
    assert done.exit_code == 2 and done.stdout == ""
    assert message in done.stderr.splitlines()[-1]
