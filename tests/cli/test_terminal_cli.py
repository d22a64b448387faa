"""No name and no word of a bundle reaches a terminal as a command."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from realm_engine.bundle.bundle import installed_bundles

EVIL = "a\x1b]0;owned\x07\x9b31m\u202eb"
TINY = installed_bundles()["realm-tiny"]


def on_a_terminal(*arguments: object) -> bytes:
    """What a command writes to a terminal on stdout and stderr."""
    main, terminal = pty.openpty()
    command = [sys.executable, "-m", "realm_engine", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=terminal, stderr=terminal, env={**os.environ, "TERM": "dumb"})
    os.close(terminal)
    shown = b""
    while True:
        try:
            some = os.read(main, 1 << 16)
        except OSError:  # the other side is closed
            break
        if not some:
            break
        shown += some
    os.close(main)
    process.wait(60)
    assert b"Traceback" not in shown
    return shown


def check(shown: bytes) -> None:
    assert b"owned" in shown and b"\x1b]" not in shown and b"\x07" not in shown
    assert "\x9b31m".encode() not in shown and "\u202e".encode() not in shown


@pytest.fixture
def evil(pictures: Path) -> Path:
    folder = pictures.with_name("evil")
    folder.mkdir()
    (folder / f"{EVIL}.png").write_bytes((pictures / "a.png").read_bytes())
    (folder / f"{EVIL}2.png").write_bytes(b"no picture")
    (folder / f"{EVIL}.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    (folder / "image_descriptions.csv").write_text(f"filename,description\n{EVIL}.png,{EVIL}\ngone{EVIL},x\n")
    return folder


@pytest.mark.parametrize("bundle", ["plain", TINY], ids=["csv", "table"])
def test_scores(evil, bundle_path, bundle):
    shown = on_a_terminal("score", evil, "--bundle", bundle_path if bundle == "plain" else bundle)
    check(shown)
    assert rb"a\x1b]0;owned\x07\x9b31m\u202eb.png" in shown


def test_a_table_on_the_terminal_itself(evil, bundle_path):
    check(on_a_terminal("score", evil, "--bundle", bundle_path, "--output", "/dev/stdout"))


def test_maps(evil, bundle_path, tmp_path):
    check(on_a_terminal("map", evil, "--bundle", bundle_path, "--output", tmp_path / EVIL))


def test_words_of_a_bundle(tmp_path):
    bundle = tmp_path / "evil"
    shutil.copytree(TINY, bundle)
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["description"] = f"{EVIL}\nengine: fine"
    for measure in manifest["measures"].values():
        measure["says"] = EVIL
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    for verb in ("info", "measures"):
        check(on_a_terminal(verb, bundle))
        check(on_a_terminal(verb, bundle, "--json"))
    done = subprocess.run(
        [sys.executable, "-m", "realm_engine", "info", str(bundle), "--json"], capture_output=True, check=True
    )
    assert json.loads(done.stdout)["bundle"]["description"] == manifest["description"]
    assert b"\nengine: fine" not in on_a_terminal("info", bundle)
