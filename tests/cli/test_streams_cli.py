"""Standard streams that are full, closed or not there, disks that fill up, and names that are too long."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

COMMAND = f"{sys.executable} -m realm_engine"


def shell(line: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=120, check=False, **options
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("verb", ["score {pictures} --bundle {bundle}", "info", "measures {bundle}"])
def test_a_full_standard_output_is_one_line(bundle_path, pictures, verb):
    done = shell(f"{COMMAND} {verb.format(pictures=pictures, bundle=bundle_path)} > /dev/full")
    assert done.returncode == 2
    assert "error: standard output: cannot be written (No space left on device)" in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_a_reader_that_has_enough_ends_it_quietly(bundle_path, pictures):
    done = shell(f"{COMMAND} score {pictures} {pictures} --bundle {bundle_path} | head -1")
    assert done.stdout.startswith("filename,") and "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_without_standard_streams_a_table_is_written(bundle_path, pictures, tmp_path, closed):
    table = tmp_path / "t.csv"
    done = shell(f"{COMMAND} score {pictures} --bundle {bundle_path} --output {table} {closed}")
    assert done.returncode == 0 and len(table.read_text().splitlines()) == 5
    done = shell(f"{COMMAND} score {pictures} --bundle {bundle_path} {closed}")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    if "2>" not in closed:
        assert "error: there is no standard output; give --output FILE" in done.stderr


def test_a_disk_that_fills_up_under_the_journal_is_one_line_and_resumed(bundle_path, pictures, tmp_path):
    """A limit of the size of files stands for the disk."""
    for index in range(60):
        Image.new("RGB", (64, 64), (index, 0, 0)).save(pictures / f"z{index:02}.png")
    table = tmp_path / "t.csv"
    command = [*COMMAND.split(), "score", str(pictures), "--bundle", str(bundle_path), "--output", str(table)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)),
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"error: {table}.partial: cannot be written (File too large)" in done.stderr
    kept = len(Path(f"{table}.partial").read_text().splitlines())
    assert kept > 10 and not table.exists()
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and "of 64 images are scored already" in done.stderr
    assert len(table.read_text().splitlines()) == 65


@pytest.mark.parametrize("letter", ["a", "é"])
def test_a_name_as_long_as_names_can_be_is_mapped(cli, pictures, tmp_path, letter):
    long = letter * (240 // len(letter.encode())) + ".png"
    twin = letter * (230 // len(letter.encode())) + "b" * 10 + ".png"
    for name in (long, twin):
        (pictures / name).write_bytes((pictures / "a.png").read_bytes())
    result = cli("map", pictures, "--text", "a seam", "--output", tmp_path / "m")
    assert result.exit_code == 0, result.stderr
    assert len(list((tmp_path / "m").rglob("*.npy"))) == 6
    assert max(len(os.fsencode(path.name)) for path in (tmp_path / "m").rglob("*")) <= 255


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are Unicode")
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_names_that_are_no_text_stay_apart_and_are_resumed(bundle_path, pictures, tmp_path, suffix):
    content = (pictures / "a.png").read_bytes()
    for name in (b"caf\xe9.png", b"caf\xe8.png", b"caf\\xe9.png", b"back\\slash.png", "café.png".encode()):
        (pictures / os.fsdecode(name)).write_bytes(content)
    table = tmp_path / f"t.{suffix}"
    command = f"{COMMAND} score {pictures} --bundle {bundle_path} --output {table}"
    assert shell(command).returncode == 0
    first = table.read_bytes()
    done = shell(f"{command} --resume")
    assert done.returncode == 0 and "9 of 9 images are scored already" in done.stderr
    assert table.read_bytes() == first
    if suffix == "parquet":
        import pyarrow.parquet

        names = pyarrow.parquet.read_table(table).column("filename").to_pylist()
        assert len(set(names)) == 9 and {r"caf\xe9.png", r"caf\\xe9.png", r"back\\slash.png"} <= set(names)
