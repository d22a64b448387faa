"""Mistakes that people make, each made for real: one line that says what, where and the cure, and never a traceback."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from export.__main__ import main as export
from realm_engine.bundle.bundle import installed_bundles
from realm_engine.cli.main import main as engine
from realm_train.cli.main import main as train

GROUPS: dict[str, click.Group] = {"realm-engine": engine, "realm-train": train}
TABLE = Path(__file__).with_name("mistakes.txt")


def rows() -> list[tuple[str, int, str]]:
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    found = []
    for line in lines:
        command, code, said = line.split(" | ", 2)
        found.append((command, int(code), said))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the commands of the table are about."""
    folder = tmp_path_factory.mktemp("mistakes")
    rng = np.random.default_rng(1)
    for name in ("good.png", "pictures/a.png", "more/b.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (96, 128, 3), np.uint8)).save(folder / name)
    (folder / "empty").mkdir()
    contents: dict[str, bytes] = {
        "cut.png": (folder / "good.png").read_bytes()[:900],
        "hollow.png": b"",
        "hollow.txt": b"",
        "text.txt": b"just words\n",
        "fake.jpg": b"<html>not found</html>",
        "movie.mp4": b"\0\0\0\x20ftypisom" + bytes(40),
        "stale.txt": b"gone.png\n",
        "no-columns.csv": b"a,b\n1,2\n",
        "names.csv": b"filename,description\ngood.png,a text\n",
        "twice.csv": b"filename,description\ngood.png,a\ngood.png,b\n",
        "latin.csv": "filename,description\ngood.png,Gesichtszüge\n".encode("latin-1"),
        "foreign.csv": b"filename,score\nx,1\n",
        "misspelt.toml": b"devcie = 'cpu'\n",
        "wrong.toml": b"device = 'gpu'\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    for name in ("broken", "newer"):
        (folder / name).mkdir()
        shutil.copy(installed_bundles()["realm-tiny"] / "bundle.json", folder / name)
    manifest = folder / "newer" / "bundle.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format_version": "9.0"}))
    return folder


def run(command: str, monkeypatch, capsys) -> tuple[int, str]:
    """Exit code and standard error of a command; a bug shows as its exception."""
    program, *words = shlex.split(command)
    if program == "python":
        monkeypatch.setattr(sys, "argv", ["export", *words[2:]])
        with pytest.raises(SystemExit) as ended:
            export()
        return int(ended.value.code or 0), capsys.readouterr().err
    done = CliRunner().invoke(GROUPS[program], words, prog_name=program)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stderr


@pytest.mark.parametrize(("command", "code", "said"), rows(), ids=[command for command, *_ in rows()])
def test_a_mistake_is_one_line_with_the_cure(command, code, said, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path))
    found, stderr = run(command, monkeypatch, capsys)
    lines = stderr.splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    assert found == code, stderr
    assert (errors or lines[-1:])[0] == said.replace("{cwd}", str(Path.cwd()))
    assert len(errors) <= 1 and "Traceback" not in stderr


def test_there_are_a_hundred_of_them():
    commands = [command for command, *_ in rows()]
    assert len(commands) == len(set(commands)) >= 100
