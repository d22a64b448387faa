"""`realm-engine score --resume`: what it reuses, what it scores again, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bundles import build_bundle
from click.testing import CliRunner
from PIL import Image
from rows import NUMBERS

from realm_engine.cli.main import main
from realm_engine.pictures.decode import load_image
from realm_engine.tables.rows import Measured, read_rows

NAMES = ["a.png", "b.jpg", "d.bmp", "sub/c.webp"]
CURE = "--resume=restart begins anew"


@pytest.fixture(scope="module")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bundle(tmp_path_factory.mktemp("other") / "other", name="other-bundle", seed=1)


@pytest.fixture(scope="module")
def other_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that has the usual one's name, and other weights."""
    return build_bundle(tmp_path_factory.mktemp("weights") / "test-bundle", fp16=True, seed=1)


def rows(path: Path) -> dict[str, Measured]:
    return {row.name: row for row in read_rows(path, NUMBERS)}


def replace_picture(path: Path, picture: np.ndarray, changed_ns: int) -> None:
    """Another picture under the same name, of the same size in bytes where the format is uncompressed."""
    Image.fromarray(picture).save(path)
    os.utime(path, ns=(changed_ns, changed_ns))


def files_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir() if file.name.startswith(path.name)}


def refused(result) -> str:
    """The one line of a refusal."""
    assert result.exit_code == 2 and result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and lines[0] == result.stderr.splitlines()[-1] and CURE in lines[0]
    return lines[0]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_rows_are_reused(cli, pictures, tmp_path, photo, suffix) -> None:
    """Really reused: pixels changed behind the back of size and time keep their score until the time changes."""
    path, picture = tmp_path / f"scores.{suffix}", pictures / "d.bmp"
    cli("score", pictures / "a.png", picture, "--output", path)
    before, changed_ns = rows(path), picture.stat().st_mtime_ns
    replace_picture(picture, photo(64, 64, 9), changed_ns)
    result = cli("score", pictures, "--output", path, "--resume")
    assert result.exit_code == 0 and "2 of 4 images are scored already" in result.stderr
    assert list(rows(path)) == NAMES
    assert {name: row for name, row in rows(path).items() if name in before} == before
    assert set(files_of(path)) == {path.name, f"{path.name}.run.json"}

    os.utime(picture, ns=(changed_ns, changed_ns + 1))
    result = cli("score", pictures, "--output", path, "--resume")
    assert result.exit_code == 0 and "3 of 4 images are scored already" in result.stderr
    again = rows(path)
    assert again["d.bmp"].mos != before["d.bmp"].mos and again["a.png"] == before["a.png"]
    assert "4 of 4 images are scored already" in cli("score", pictures, "--output", path, "--resume").stderr


def test_a_finished_table_is_left_as_it_is(cli, pictures, tmp_path) -> None:
    """Neither written again nor lost; a text that changed is a row to make, though every picture is the same."""
    path = tmp_path / "scores.csv"
    cli("score", pictures, "--output", path)
    before = {file.name: file.stat().st_ino for file in tmp_path.glob("scores.csv*")}
    done = cli("score", pictures, "--output", path, "--resume")
    assert done.exit_code == 0 and f"{path} is complete, and was left as it is" in done.stderr
    assert {file.name: file.stat().st_ino for file in tmp_path.glob("scores.csv*")} == before

    with (pictures / "image_descriptions.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("filename", "description"), ("a.png", "the hand is melted")])
    done = cli("score", pictures, "--output", path, "--resume")
    assert done.exit_code == 0 and f"wrote {path}" in done.stderr
    assert rows(path)["a.png"].description == "the hand is melted"


def test_a_replaced_picture_is_scored_again(cli, pictures, tmp_path, photo, reference) -> None:
    path, picture = tmp_path / "scores.csv", pictures / "b.jpg"
    cli("score", pictures, "--output", path)
    before = rows(path)
    found = picture.stat()
    replace_picture(picture, photo(72, 96, 9), found.st_mtime_ns)
    assert picture.stat().st_size != found.st_size  # which alone is enough
    result = cli("score", pictures, "--output", path, "--resume")
    assert "3 of 4 images are scored already" in result.stderr
    after = rows(path)
    assert after["b.jpg"].mos == pytest.approx(reference.mos(load_image(picture), None), abs=1e-4)
    assert after["b.jpg"].mos != before["b.jpg"].mos
    assert [after[name] == before[name] for name in NAMES] == [True, False, True, True]


def test_a_name_shared_by_two_folders_shares_no_score(cli, pictures, tmp_path, photo, reference) -> None:
    path, elsewhere = tmp_path / "scores.csv", tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.fromarray(photo(64, 64, 9)).save(elsewhere / "d.bmp")
    os.utime(elsewhere / "d.bmp", ns=(1, 1))
    cli("score", pictures, "--output", path)
    assert cli("score", elsewhere, "--output", path, "--resume").exit_code == 0
    expected = reference.mos(photo(64, 64, 9), None)
    assert rows(path)["d.bmp"].mos == pytest.approx(expected, abs=1e-4)
    assert set(rows(path)) == set(NAMES)


def test_a_changed_description_is_scored_again(cli, pictures, tmp_path, reference) -> None:
    path = tmp_path / "scores.csv"
    cli("score", pictures, "--output", path)
    (pictures / "image_descriptions.csv").write_text("filename,description\na.png,a doubled hand\n")
    result = cli("score", pictures, "--output", path, "--resume")
    assert "2 of 4 images are scored already" in result.stderr  # c.webp has lost its text
    row = rows(path)["a.png"]
    expected = reference.mos(load_image(pictures / "a.png"), "a doubled hand")
    assert row.description == "a doubled hand" and row.mos == pytest.approx(expected, abs=1e-4)


def killed_before(write: int, pictures: Path, output: Path, bundle: Path, *options: str) -> None:
    """A run that a real SIGKILL ends before its n-th file is replaced: 1 journal, 2 table, 3 record; 4: the end."""
    code = """
import os, pathlib, sys
from realm_engine.tables import journal as results
from realm_engine.cli.main import main
writes, write = [], results.write_atomically
def counted(path, content):
    writes.append(path)
    if len(writes) == int(sys.argv[1]): os.kill(os.getpid(), 9)
    write(path, content)
results.write_atomically = counted
pathlib.Path.unlink = (lambda unlink: lambda path, missing_ok=False: os.kill(os.getpid(), 9)
    if path.name.endswith(".csv.partial") else unlink(path, missing_ok))(pathlib.Path.unlink)
main(sys.argv[2:])
"""
    arguments = [
        "score",
        str(pictures),
        "--output",
        str(output),
        "--bundle",
        str(bundle),
        "--threads",
        "1",
        *options,
    ]
    command = [sys.executable, "-c", code, str(write), *arguments]
    assert subprocess.run(command, capture_output=True, check=False, timeout=120).returncode == -9


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("other bundle", r"(bundle test-bundle then, other-bundle now, manifest "),
        ("other weights", r"(manifest "),
        ("other precision", r"(precision fp32 then, fp16 now)"),
    ],
)
@pytest.mark.parametrize("state", ["csv", "jsonl", "parquet", "journal"])
def test_another_model_is_refused(
    cli, pictures, tmp_path, bundle_path, other_bundle, other_weights, options, named, state
) -> None:
    """The same rule for a finished table in every format and for the journal of an unfinished one."""
    path = tmp_path / ("scores.csv" if state == "journal" else f"scores.{state}")
    if state == "journal":
        killed_before(2, pictures, path, bundle_path, "--precision", "fp32")
    else:
        cli("score", pictures, "--output", path, "--precision", "fp32")
    bundle = {"other bundle": other_bundle, "other weights": other_weights}.get(options, bundle_path)
    precision = "fp16" if options == "other precision" else "fp32"
    arguments = ["score", pictures, "--output", path, "--precision", precision]

    found = files_of(path)
    line = refused(cli(*arguments, "--resume", bundle=bundle))
    assert named in line and "made by another run" in line
    assert files_of(path) == found  # a refusal changes nothing

    assert cli(*arguments, "--resume=restart", bundle=bundle).exit_code == 0
    anew = tmp_path / f"anew{path.suffix}"
    cli("score", pictures, "--output", anew, "--precision", precision, bundle=bundle)
    assert rows(path) == rows(anew) and set(files_of(path)) == {path.name, f"{path.name}.run.json"}
    result = cli(*arguments, "--resume", bundle=bundle)
    assert result.exit_code == 0 and "4 of 4 images are scored already" in result.stderr


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_table_without_its_record_is_refused(cli, pictures, tmp_path, suffix) -> None:
    path = tmp_path / f"scores.{suffix}"
    cli("score", pictures, "--output", path)
    record = path.with_name(path.name + ".run.json")
    kept = record.read_bytes()
    record.unlink()
    line = refused(cli("score", pictures, "--output", path, "--resume"))
    assert f"{path}: nothing says what made it ({record.name} is missing)" in line
    record.write_bytes(kept[:-20])
    line = refused(cli("score", pictures, "--output", path, "--resume"))
    assert f"{record}: cannot be read as the record of a table" in line
    record.write_bytes(kept)
    assert cli("score", pictures, "--output", path, "--resume").exit_code == 0


def test_a_table_edited_by_hand_is_refused(cli, pictures, tmp_path) -> None:
    path = tmp_path / "scores.csv"
    cli("score", pictures, "--output", path)
    path.write_text(path.read_text().replace("\na.png,", "\na.png,9"))
    found = files_of(path)
    line = refused(cli("score", pictures, "--output", path, "--resume"))
    assert f"{path}: changed since scores.csv.run.json was written" in line
    assert files_of(path) == found
    assert cli("score", pictures, "--output", path, "--resume=restart").exit_code == 0
    assert rows(path)["a.png"].mos < 9


@pytest.mark.parametrize("write", [2, 3, 4])
@pytest.mark.parametrize("earlier", ["nothing", "another model's table", "half the table"])
def test_a_kill_between_two_writes_mixes_nothing(
    cli, pictures, tmp_path, bundle_path, other_bundle, write, earlier
) -> None:
    """Before the table is replaced, between table and record, and before the journal is removed."""
    path = tmp_path / "scores.csv"
    if earlier == "another model's table":
        cli("score", pictures, "--output", path, bundle=other_bundle)
    if earlier == "half the table":
        cli("score", pictures / "sub", pictures / "d.bmp", "--output", path)
    killed_before(write, pictures, path, bundle_path, *(["--resume"] if earlier == "half the table" else []))

    found = files_of(path)
    assert "scores.csv.partial" in found
    assert "made by another run" in refused(
        cli("score", pictures, "--output", path, "--resume", bundle=other_bundle)
    )
    assert files_of(path) == found
    result = cli("score", pictures, "--output", path, "--resume")
    assert result.exit_code == 0 and "4 of 4 images are scored already" in result.stderr
    cli("score", pictures, "--output", tmp_path / "anew.csv")
    expected = rows(tmp_path / "anew.csv")
    assert {name: row for name, row in rows(path).items() if name in NAMES} == expected
    assert set(files_of(path)) == {"scores.csv", "scores.csv.run.json"}


def test_a_new_table_beside_an_old_record_is_of_unknown_origin(
    cli, pictures, tmp_path, bundle_path, other_bundle
) -> None:
    """The state between the two writes, and somebody removed the journal: neither model may add to it."""
    path = tmp_path / "scores.csv"
    cli("score", pictures, "--output", path, bundle=other_bundle)
    record = json.loads((tmp_path / "scores.csv.run.json").read_bytes())
    killed_before(3, pictures, path, bundle_path)
    (tmp_path / "scores.csv.partial").unlink()
    assert json.loads((tmp_path / "scores.csv.run.json").read_bytes()) == record
    line = refused(cli("score", pictures, "--output", path, "--resume", bundle=other_bundle))
    assert "changed since scores.csv.run.json was written" in line
    assert "bundle other-bundle then, test-bundle now" in refused(
        cli("score", pictures, "--output", path, "--resume")
    )


def test_lines_cut_by_a_kill_are_made_again(cli, pictures, tmp_path, bundle_path) -> None:
    path, journal = tmp_path / "scores.csv", tmp_path / "scores.csv.partial"
    killed_before(2, pictures, path, bundle_path)
    journal.write_bytes(journal.read_bytes()[:-30])
    result = cli("score", pictures, "--output", path, "--resume")
    assert result.exit_code == 0 and "3 of 4 images are scored already" in result.stderr
    cli("score", pictures, "--output", tmp_path / "anew.csv")
    assert rows(path) == rows(tmp_path / "anew.csv")


def test_a_table_of_other_columns_is_not_restarted_over(cli, pictures, tmp_path) -> None:
    """A wrong file name: the line does not advise to replace what is no score table at all."""
    path = tmp_path / "prices.csv"
    path.write_text("what,price\nbread,3\n")
    result = cli("score", pictures, "--output", path, "--resume")
    assert result.exit_code == 2 and "not a score table" in result.stderr and CURE not in result.stderr


def test_resume_swallows_no_path(pictures, tmp_path, bundle_path, monkeypatch) -> None:
    """Its value comes with `=` alone: the word after it stays what it was, a path or another option."""
    path = tmp_path / "scores.csv"
    options = ["--bundle", str(bundle_path), "--threads", "1"]

    def run(*arguments: str):
        return CliRunner().invoke(main, ["score", *options, *arguments])

    for arguments in (
        ["--output", str(path), "--resume", str(pictures)],
        ["--resume", "--output", str(path), str(pictures)],
        [str(pictures), "--output", str(path), "--resume"],
        ["--output", str(path), "--resume=continue", str(pictures)],
        ["--output", str(path), "--resume", "--", str(pictures)],
    ):
        result = run(*arguments)
        assert result.exit_code == 0, result.output
        assert list(rows(path)) == NAMES
        assert f"wrote {path}" in result.stderr or f"{path} is complete" in result.stderr
    result = run("--output", str(path), "--resume", "restart")
    assert result.exit_code == 2 and "error: restart: no such file or directory" in result.stderr

    monkeypatch.chdir(tmp_path)
    (pictures / "a.png").rename(tmp_path / "--resume")  # after `--` even this is a path
    result = run("--", "--resume")
    assert result.exit_code == 0
    # An apostrophe keeps a spreadsheet from computing it.
    assert [row["filename"] for row in csv.DictReader(result.stdout.splitlines())] == ["'--resume"]


def test_help_says_what_is_compared(cli) -> None:
    text = " ".join(cli("score", "--help").stdout.split())
    assert (
        "--resume [=restart]" in text
        and "(bundle, manifest, precision; where they differ, it is refused)" in text
    )
