"""--strict of training and of the export means what it means of the engine's commands."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image
from repository import SAMPLES
from train_data import write_data, write_text_tower

from export.__main__ import export
from realm_train.cli.main import main

SAID = "its colour profile cannot be used"
TINY = {
    "image_tower": "test_efficientnet",
    "image_weights": "none",
    "image_height_px": 32,
    "image_width_px": 48,
    "stages": "1,3",
    "max_tokens": 16,
    "hidden": 8,
    "batch_size": 4,
    "epochs": 1,
    "freeze_image": "none",
    "mixed_precision": "no",
}


def spoil(picture: Path) -> None:
    with Image.open(picture) as image:
        image.load()
        image.save(picture, icc_profile=b"no profile")


def invoke(command: click.Command, *arguments: object):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(command, [str(each) for each in arguments])


def check_strict(done, output: Path) -> None:  # type: ignore[no-untyped-def]
    assert done.exit_code == 1, done.output
    warning, *_, last = (line for line in done.stderr.splitlines() if "warning" in line)
    assert warning.startswith("warning: ") and SAID in warning
    assert last.startswith("error: --strict: a warning (warning: ") and SAID in last
    assert output.exists()  # what was done is there


def test_training(tmp_path: Path) -> None:
    write_data(tmp_path / "data", 8)
    write_text_tower(tmp_path / "bert")
    places = ["--data", tmp_path / "data", "--text-tower", tmp_path / "bert", "--device", "cpu", "--quiet"]
    how = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    spoil(next((tmp_path / "data" / "train" / "images").iterdir()))
    done = invoke(main, "core", *places, *how, "--output", tmp_path / "strict", "--strict")
    check_strict(done, tmp_path / "strict" / "checkpoint.safetensors")


def test_the_export(tmp_path: Path) -> None:
    (tmp_path / "verify").mkdir()
    picture = Path(shutil.copy(SAMPLES / "cat.jpg", tmp_path / "verify"))
    arguments = ["--niqe", "--verify-images", tmp_path / "verify", "--strict", "--output"]
    assert invoke(export, *arguments, tmp_path / "clean").exit_code == 0
    spoil(picture)
    check_strict(invoke(export, *arguments, tmp_path / "new"), tmp_path / "new" / "bundle.json")


def commands(group: click.Group) -> Iterator[click.Command]:
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from commands(command) if isinstance(command, click.Group) else (command,)


@pytest.mark.parametrize("times", [1, 2])  # a command that was asked for twice has its options once
def test_every_command_has_it(times: int) -> None:
    for _ in range(times):
        found = [*commands(main), export]
    assert {"core", "clip", "map", "pairs", "import-core", "export"} <= {each.name for each in found}
    for command in found:
        assert [parameter.name for parameter in command.params].count("strict") == 1, command.name
