"""What may be given to `score` and `map`, and what must not hang, vanish or crash."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest


def names(text: str) -> list[str]:
    return [row["filename"] for row in csv.DictReader(io.StringIO(text, newline=""))]


def run(*arguments: object, shell_input: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "realm_engine", *map(str, arguments)]
    return subprocess.run(command, input=shell_input, capture_output=True, timeout=60, check=False)


def test_a_pipe_in_a_folder_is_named_and_not_waited_for(bundle_path, pictures):
    os.mkfifo(pictures / "pipe.png")
    (pictures / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    (pictures / "no-extension").write_bytes((pictures / "a.png").read_bytes())
    done = run("score", pictures, "--bundle", bundle_path)
    assert done.returncode == 0
    assert names(done.stdout.decode()) == ["a.png", "b.jpg", "d.bmp", "no-extension", "sub/c.webp"]
    said = done.stderr.decode()
    assert f"left out: {pictures}/pipe.png (no regular file)" in said
    assert (
        f"left out: {pictures}/phone.heic (of a kind that cannot be read (HEIC); save as PNG or JPEG)" in said
    )


@pytest.mark.parametrize("path", ["-", "/dev/stdin"])
def test_a_picture_from_standard_input(bundle_path, pictures, path):
    done = run("score", path, "--bundle", bundle_path, shell_input=(pictures / "a.png").read_bytes())
    assert done.returncode == 0, done.stderr
    assert names(done.stdout.decode()) == ["stdin"]
    alone = run("score", pictures / "a.png", "--no-descriptions", "--bundle", bundle_path)
    assert done.stdout.split(b"\n")[1].split(b",")[1:] == alone.stdout.split(b"\n")[1].split(b",")[1:]
    done = run("score", path, "--bundle", bundle_path, shell_input=b"")
    assert done.returncode == 1 and b"Traceback" not in done.stderr


def test_a_picture_from_a_pipe_of_the_shell(bundle_path, pictures):
    command = f"{sys.executable} -m realm_engine score <(cat {pictures}/a.png) --bundle {bundle_path}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(names(done.stdout)) == 1


def test_folders_of_one_parent_keep_their_names(cli, pictures):
    other = pictures.with_name("more")
    (other / "sub").mkdir(parents=True)
    (other / "a.png").write_bytes((pictures / "d.bmp").read_bytes())
    result = cli("score", pictures, other)
    assert result.exit_code == 0
    assert names(result.stdout) == [
        "pictures/a.png", "pictures/b.jpg", "pictures/d.bmp", "pictures/sub/c.webp", "more/a.png",
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(result.stdout, newline="")))
    assert [row["description"] for row in rows] == ["Yes, the face is melted", "", "", "a doubled hand", ""]


def test_one_csv_for_two_folders_tells_them_apart(cli, pictures, tmp_path):
    other = pictures.with_name("more")
    other.mkdir()
    (other / "a.png").write_bytes((pictures / "d.bmp").read_bytes())
    table = tmp_path / "d.csv"
    table.write_text(
        "filename,description\npictures/a.png,one\nmore/a.png,two\nb.jpg,three\n", encoding="utf-8"
    )
    result = cli("score", pictures, other, "--descriptions", table)
    rows = list(csv.DictReader(io.StringIO(result.stdout, newline="")))
    assert [row["description"] for row in rows] == ["one", "three", "", "", "two"]
    assert result.exit_code == 0


@pytest.mark.parametrize("verb", ["score", "map"])
def test_an_empty_path_is_an_error(cli, pictures, verb):
    result = cli(verb, pictures, "")
    assert result.exit_code == 2 and "a path is empty; give a file or a folder" in result.stderr


def test_a_text_of_invalid_bytes_is_an_error(bundle_path, pictures):
    command = [
        sys.executable.encode(),
        b"-m",
        b"realm_engine",
        b"map",
        os.fsencode(pictures),
        b"--text",
        b"caf\xe9",
    ]
    done = subprocess.run(
        [*command, b"--bundle", os.fsencode(bundle_path)], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert b"error: --text is no valid text (character 4" in done.stderr and b"Traceback" not in done.stderr


def test_a_png_with_a_workflow_of_megabytes_is_scored(cli, pictures: Path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    plain = (pictures / "a.png").read_bytes()
    long = chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(b"{}" * (1 << 20)))
    (pictures / "a-workflow.png").write_bytes(plain[:33] + long + plain[33:])
    rows = list(csv.DictReader(io.StringIO(cli("score", pictures, "--no-descriptions").stdout, newline="")))
    scores = {row["filename"]: row["mos"] for row in rows}
    assert scores["a-workflow.png"] == scores["a.png"] != ""
