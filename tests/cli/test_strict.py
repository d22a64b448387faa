"""--strict: a run that warned of anything has failed, and nothing else is different."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from realm_engine.bundle.bundle import installed_bundles
from realm_engine.cli.main import main

DESCRIPTIONS = "image_descriptions.csv"


@pytest.fixture
def clean(pictures: Path) -> Path:
    """The folder with nothing to warn of."""
    rows = [f"{name},a text" for name in ("a.png", "b.jpg", "d.bmp", "sub/c.webp")]
    (pictures / DESCRIPTIONS).write_text("filename,description\n" + "\n".join(rows) + "\n")
    return pictures


def missing_description(folder: Path) -> None:
    text = (folder / DESCRIPTIONS).read_text()
    (folder / DESCRIPTIONS).write_text(text.replace("d.bmp,a text", "d.bmp,"))


def unknown_column(folder: Path) -> None:
    lines = (folder / DESCRIPTIONS).read_text().splitlines()
    (folder / DESCRIPTIONS).write_text("\n".join([lines[0] + ",colour", *(f"{x},red" for x in lines[1:])]))


def row_without_picture(folder: Path) -> None:
    with (folder / DESCRIPTIONS).open("a") as file:
        file.write("gone.png,a text\n")


def left_out(folder: Path) -> None:
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))


def broken_profile(folder: Path) -> None:
    Image.open(folder / "a.png").save(folder / "a.png", icc_profile=b"no profile")


SPOILS = {
    missing_description: "(3 of 4 images have one)",
    unknown_column: "columns not used: colour",
    row_without_picture: "no image for gone.png",
    left_out: "left out: ",
    broken_profile: "its colour profile cannot be used",
}


def test_a_run_without_warnings_passes(cli, clean):
    assert cli("score", clean, "--strict").exit_code == 0


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_each_warning_is_a_failure_and_nothing_else_changes(cli, clean, tmp_path, spoil):
    spoil(clean)
    lax = cli("score", clean, "--output", tmp_path / "lax.csv")
    assert lax.exit_code == 0 and SPOILS[spoil] in lax.stderr
    strict = cli("score", clean, "--output", tmp_path / "strict.csv", "--strict")
    assert strict.exit_code == 1
    *same, last = strict.stderr.splitlines()
    assert [line.replace("strict.csv", "lax.csv") for line in same] == lax.stderr.splitlines()
    assert last.startswith("error: --strict: a warning (") and SPOILS[spoil] in last
    assert (tmp_path / "lax.csv").read_bytes() == (tmp_path / "strict.csv").read_bytes()


def test_failed_images_are_not_said_twice(cli, clean):
    (clean / "a.png").write_bytes(b"no picture")
    done = cli("score", clean, "--strict")
    assert done.exit_code == 1 and "--strict" not in done.stderr


def test_a_profile_of_many_pictures_is_one_line(cli, clean):
    for name in ("a.png", "a2.png", "a3.png"):
        Image.open(clean / "a.png").save(clean / name, icc_profile=b"no profile")
    assert cli("score", clean).stderr.count("its colour profile cannot be used") == 1


def test_maps(cli, clean, tmp_path):
    done = cli("map", clean / "a.png", "--output", tmp_path / "m", "--text", "a seam", "--strict")
    assert done.exit_code == 0, done.stderr
    missing_description(clean)
    done = cli("map", clean, "--output", tmp_path / "m", "--strict")
    assert done.exit_code == 1 and (tmp_path / "m" / "a.npy").is_file()


def test_what_a_bundle_measures_that_is_not_known(cli, tmp_path):
    bundle, tiny = tmp_path / "newer", installed_bundles()["realm-tiny"]
    shutil.copytree(tiny, bundle)
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["measures"]["smell"] = {"kind": "nose"}
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    for verb in ("info", "measures"):
        assert cli(verb, bundle).exit_code == 0
        strict = cli(verb, bundle, "--strict")
        assert strict.exit_code == 1 and "smell" in strict.stderr
        assert cli(verb, tiny, "--strict").exit_code == 0


def test_every_command_has_it():
    def commands(group):
        for command in group.commands.values():
            yield from commands(command) if hasattr(command, "commands") else (command,)

    for command in commands(main):
        assert [param.name for param in command.params].count("strict") == 1, command.name


def test_two_runs_in_one_process_know_nothing_of_each_other(cli, clean):
    left_out(clean)
    assert cli("score", clean, "--strict").exit_code == 1
    assert cli("score", clean / "a.png", "--no-descriptions", "--strict").exit_code == 0
