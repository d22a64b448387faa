"""`--output` may be a link, a pipe or a device: it is written through and stays what it is."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes in folders, and links for everybody")

COMMAND = f"{sys.executable} -m realm_engine"


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, check=False)


def names(text: str) -> list[str]:
    return [row["filename"] for row in csv.DictReader(io.StringIO(text, newline=""))]


ALL = ["a.png", "b.jpg", "d.bmp", "sub/c.webp"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_link_to_a_table_stays_one_and_is_resumed(cli, pictures, tmp_path, suffix):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / f"t.{suffix}", tmp_path / f"latest.{suffix}"
    link.symlink_to(Path("far") / target.name)
    assert cli("score", pictures, "--output", link).exit_code == 0
    assert link.is_symlink() and target.is_file() and not target.is_symlink()
    again = cli("score", pictures, "--output", link, "--resume")
    assert again.exit_code == 0 and "4 of 4 images are scored already" in again.stderr
    assert sorted(path.name for path in target.parent.iterdir()) == [f"t.{suffix}", f"t.{suffix}.run.json"]
    by_target = cli("score", pictures, "--output", target, "--resume")
    assert "4 of 4 images are scored already" in by_target.stderr


def test_a_link_whose_target_has_no_ending_of_a_table(cli, pictures, tmp_path):
    (tmp_path / "t.csv").symlink_to("blob")
    assert cli("score", pictures, "--output", tmp_path / "t.csv").exit_code == 0
    assert names((tmp_path / "blob").read_text()) == ALL
    again = cli("score", pictures, "--output", tmp_path / "t.csv", "--resume")
    assert again.exit_code == 0 and "4 of 4 images are scored already" in again.stderr


def test_links_in_a_circle_are_refused_before_any_work(cli, pictures, tmp_path):
    (tmp_path / "t.csv").symlink_to("t.csv")
    done = cli("score", pictures, "--output", tmp_path / "t.csv")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path}/t.csv: cannot be written")


@pytest.mark.parametrize("output", [">(cat >&2)", "/dev/stderr", "/proc/self/fd/2"])
def test_pipes_and_open_files_get_csv(bundle_path, pictures, output):
    done = shell(f"{COMMAND} score {pictures} --bundle {bundle_path} --output {output} && sleep 0.2")
    assert done.returncode == 0, done.stderr
    # What is said comes before, between or after the lines that cat passes on, as it happens.
    lines = "".join(line for line in done.stderr.splitlines(keepends=True) if not line.startswith("wrote "))
    assert names(lines[lines.index("filename,mos") :])[:4] == ALL


def test_standard_output_is_added_to(bundle_path, pictures, tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    done = shell(f"{COMMAND} score {pictures} --bundle {bundle_path} --output /dev/stdout >> {log}")
    assert done.returncode == 0, done.stderr
    first, _, rest = log.read_text().partition("\n")
    assert first == "before" and names(rest) == ALL
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["log"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_named_pipe_gets_the_format_that_it_is_called(bundle_path, pictures, tmp_path, suffix):
    pipe, copy, table = tmp_path / f"pipe.{suffix}", tmp_path / "copy", tmp_path / f"t.{suffix}"
    os.mkfifo(pipe)
    score = f"{COMMAND} score {pictures} --bundle {bundle_path} --output"
    done = shell(f"cat {pipe} > {copy} & {score} {pipe}; wait; {score} {table}")
    assert done.returncode == 0, done.stderr
    assert copy.read_bytes() == table.read_bytes()
    assert stat.S_ISFIFO(pipe.stat().st_mode) and not Path(f"{pipe}.run.json").exists()
    assert not Path(f"{pipe}.partial").exists()
    if suffix == "jsonl":
        assert [json.loads(line)["filename"] for line in copy.read_text().splitlines()] == ALL


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_devices(cli, pictures):
    done = cli("score", pictures, "--output", "/dev/null")
    assert done.exit_code == 0 and stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    done = cli("score", pictures, "--output", "/dev/full")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == "error: /dev/full: cannot be written (No space left on device)"
    done = cli("score", pictures, "--output", "/dev/fd/987")
    assert done.exit_code == 2 and "/dev/fd/987: cannot be written" in done.stderr


def test_a_pipe_is_not_resumed(cli, pictures):
    done = cli("score", pictures, "--output", "/dev/null", "--resume")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "error: --resume continues a table; /dev/null is a pipe or a device, which keeps none: leave it out"
    ]


def test_a_reader_that_has_enough_ends_it_quietly(bundle_path, pictures):
    done = shell(f"{COMMAND} score {pictures} {pictures}/sub --bundle {bundle_path} --output >(head -1 >&2)")
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.parametrize("there", [True, False])
def test_maps_go_where_links_lead(cli, pictures, tmp_path, there):
    link = tmp_path / "maps"
    link.symlink_to("far")
    if there:
        (tmp_path / "far").mkdir()
        (tmp_path / "far" / "a.npy").symlink_to("../elsewhere.npy")
    arguments = ("map", pictures / "a.png", "--text", "a seam", "--output", link)
    assert cli(*arguments).exit_code == 0
    assert link.is_symlink() and (tmp_path / "far" / "a.overlay.png").is_file()
    assert (tmp_path / "elsewhere.npy").is_file() == there == (tmp_path / "far" / "a.npy").is_symlink()
    again = cli(*arguments, "--resume")
    assert again.exit_code == 0 and "1 of 1 images are mapped already" in again.stderr


def test_a_pipe_is_no_folder_for_maps(cli, pictures, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    done = cli("map", pictures / "a.png", "--text", "a seam", "--output", tmp_path / "pipe")
    assert done.exit_code == 2 and done.stderr.splitlines()[-1].startswith(f"error: {tmp_path}/pipe: ")
