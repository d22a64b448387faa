"""Ctrl-C while a picture decodes, which cannot be stopped: the command ends at once, and nothing is lost."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from command_line import interrupted
from PIL import Image

from realm_engine.machine.files import PARTIAL

# A decoder that works for a minute without a chance to be asked to stop, as Pillow's do.
SLOW = """
import sys, time
from pathlib import Path
from realm_engine.pictures import intake
decode = intake.load_image
def load(source, admit=None):
    if Path(source).name.startswith("slow"):
        Path(sys.argv[1]).touch()
        time.sleep(60)
    return decode(source, admit)
intake.load_image = load
from realm_engine.cli.main import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize("verb", ["score", "map"])
def test_nobody_waits_for_a_picture_that_decodes(verb, bundle_path, photo, tmp_path, cli):
    folder, out, begun = tmp_path / "pictures", tmp_path / "out", tmp_path / "begun"
    folder.mkdir()
    for name in ("a.png", "b.png", "slow.png"):
        Image.fromarray(photo(72, 96)).save(folder / name)
    if verb == "score":
        own = ["--output", str(out / "scores.csv"), "--batch-size", "1"]
        journal = out / "scores.csv.partial"
    else:
        own = ["--output", str(out), "--text", "x", "--format", "npy"]
        journal = out / "map.run.jsonl"
    arguments = [verb, str(folder), *own, "--bundle", str(bundle_path), "--threads", "1"]
    pressed: list[float] = []

    def under_way() -> bool:
        if not (begun.exists() and journal.exists() and journal.read_text().count("\n") >= 3):
            return False
        pressed.append(time.monotonic())
        return True

    stderr = interrupted([sys.executable, "-c", SLOW, str(begun), *arguments], under_way)
    assert (
        time.monotonic() - pressed[0] < 20
    )  # of the 60 that the picture takes; about one on an idle machine
    assert "slow" not in stderr
    assert not list(out.glob(f".*{PARTIAL}"))
    result = cli(*arguments[:-4], "--resume")
    assert result.exit_code == 0 and "2 of 3 images are" in result.stderr


def test_a_real_large_picture(bundle_path, photo, tmp_path):
    folder, journal = tmp_path / "pictures", tmp_path / "scores.csv.partial"
    folder.mkdir()
    Image.fromarray(photo(72, 96)).save(folder / "a.png")
    Image.new("L", (12_000, 12_000)).save(folder / "b0.png", compress_level=1)
    for number in range(1, 9):
        Path(folder / f"b{number}.png").hardlink_to(folder / "b0.png")
    command = [sys.executable, "-m", "realm_engine", "score", str(folder), "--bundle", str(bundle_path)]
    command += ["--threads", "1", "--output", str(tmp_path / "scores.csv")]
    interrupted(command, lambda: journal.exists() and journal.read_text().count("\n") >= 2)
    assert journal.read_text().count("\n") < 10
