"""`realm-engine map --resume`: nothing is lost, nothing is of two runs, and the files are those of a run in one go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from realm_engine.machine.files import hold

NAME = "map.run.jsonl"
TEXT = ("--text", "a seam", "--window", 24, "--stride", 4)


@pytest.fixture
def many(photo, tmp_path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(12):
        Image.fromarray(photo(90, 120, index)).save(folder / f"p{index:02}.png")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != NAME
    }


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.npy")}


def lines(folder: Path) -> list[str]:
    return (folder / NAME).read_text(encoding="utf-8").splitlines()


def test_what_is_made_is_left_alone(cli, many, tmp_path):
    out = tmp_path / "m"
    first = cli("map", many, *TEXT, "--output", out)
    assert first.exit_code == 0 and len(lines(out)) == 13
    before, whole = stamps(out), content(out)
    again = cli("map", many, *TEXT, "--output", out, "--resume")
    assert again.exit_code == 0 and "12 of 12 images are mapped already" in again.stderr
    assert "12 of 12 maps in" in again.stderr
    assert stamps(out) == before and content(out) == whole
    # A file that went away, a picture that was replaced, a picture that is new.
    (out / "p03.json").unlink()
    os.utime(many / "p05.png", ns=(1, 1))
    (many / "p99.png").write_bytes((many / "p00.png").read_bytes())
    third = cli("map", many, *TEXT, "--output", out, "--resume")
    assert "10 of 13 images are mapped already" in third.stderr
    made = {name for name, stamp in stamps(out).items() if before.get(name) != stamp}
    assert made == {"p03.npy", "p05.npy", "p99.npy"}


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (("--stride", 8), "stride_px 4"),
        (("--range", 0, 1), "range own then, 0 1 now"),
        (("--format", "npy"), "formats overlay,heatmap,npy,json then, npy now"),
    ],
)
def test_another_run_is_refused_with_what_differs(cli, many, tmp_path, other, named):
    out = tmp_path / "m"
    assert cli("map", many, *TEXT, "--output", out).exit_code == 0
    before = content(out)
    result = cli("map", many, *TEXT, *other, "--output", out, "--resume")
    assert (
        result.exit_code == 2 and named in result.stderr and "--resume=restart begins anew" in result.stderr
    )
    assert content(out) == before
    stamped = stamps(out)
    assert cli("map", many, *TEXT, *other, "--output", out, "--resume=restart").exit_code == 0
    assert not stamped.items() & stamps(out).items()


def test_other_texts_are_made_again(cli, many, tmp_path):
    out = tmp_path / "m"
    cli("map", many, *TEXT, "--output", out)
    result = cli("map", many, "--text", "melted", *TEXT[2:], "--output", out, "--resume")
    assert result.exit_code == 0 and "mapped already" not in result.stderr
    assert json.loads((out / "p00.json").read_text(encoding="utf-8"))["texts"] == ["melted"]


@pytest.mark.parametrize("after", [1, 4, 9])
def test_a_killed_run_is_finished_to_the_same_bytes(bundle_path, many, tmp_path, after):
    whole, out = tmp_path / "whole", tmp_path / "m"
    command = [
        sys.executable,
        "-m",
        "realm_engine",
        "map",
        str(many),
        *map(str, TEXT),
        "--bundle",
        str(bundle_path),
    ]
    command += ["--threads", "1", "--format", "overlay,npy,json,contact,coco"]
    assert (
        subprocess.run([*command, "--output", str(whole)], capture_output=True, timeout=120).returncode == 0
    )
    process = subprocess.Popen(
        [*command, "--output", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (out / NAME).exists() and len(lines(out)) > after:
            break
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    done = subprocess.run(
        [*command, "--output", str(out), "--resume"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found = {name: each for name, each in content(out).items() if not name.endswith(".partial")}
    assert found == content(whole)
    assert sorted(json.loads(line)["image"] for line in lines(out)[1:]) == [
        f"p{index:02}.png" for index in range(12)
    ]


def test_a_line_that_was_cut_and_a_record_of_nothing(cli, many, tmp_path):
    out = tmp_path / "m"
    cli("map", many, *TEXT, "--output", out)
    kept = lines(out)
    (out / NAME).write_text("\n".join(kept[:6]) + "\n" + kept[6][:20], encoding="utf-8")
    result = cli("map", many, *TEXT, "--output", out, "--resume")
    assert result.exit_code == 0 and "5 of 12 images are mapped already" in result.stderr
    (out / NAME).write_text("no record\n", encoding="utf-8")
    result = cli("map", many, *TEXT, "--output", out, "--resume")
    assert result.exit_code == 2 and "cannot be read as the record of maps; --resume=restart" in result.stderr


@pytest.mark.parametrize("formats", ["overlay", "heatmap", "overlay,heatmap", "npy", "json", "overlay,npy"])
def test_maps_in_the_folder_of_the_pictures_are_no_pictures_of_the_next_run(cli, pictures, formats):
    arguments = ("map", pictures, "--text", "a seam", "--output", pictures, "--format", formats)
    first, second = cli(*arguments), cli(*arguments, "--strict")
    assert first.exit_code == second.exit_code == 0, second.stderr
    assert f"4 of 4 maps in {pictures}" in first.stderr and f"4 of 4 maps in {pictures}" in second.stderr
    assert not list(pictures.rglob("*.overlay.overlay.png")) and not list(pictures.rglob("*.heatmap.*.png"))


def test_a_second_run_on_one_folder_of_maps_is_refused(cli, pictures, tmp_path):
    """Through a link to it as well."""
    assert cli("map", pictures, *TEXT, "--output", tmp_path / "m").exit_code == 0
    (tmp_path / "link").symlink_to("m")
    with (tmp_path / "m" / NAME).open("a") as held:
        hold(held)
        for folder in ("m", "link"):
            done = cli("map", pictures, *TEXT, "--output", tmp_path / folder)
            assert done.exit_code == 2
            assert "another run writes maps there now" in done.stderr.splitlines()[-1]
