"""Exit codes: what every page and program says of them, and what the commands give."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundles import build_bundle
from click.testing import CliRunner
from PIL import Image
from repository import words

from realm_engine.cli.main import main

EXITS = [
    ("README.md", "Exit codes: 0 all done, 1 some images failed, 2 nothing could be done."),
    (
        "docs/embedding.md",
        "0 all done, 1 some pictures failed and the others are done, 2 nothing could be done",
    ),
    ("hosts/cpp/README.md", "Exit codes: 0 all done, 1 some images failed, 2 nothing could be done"),
    (
        "realm_engine/cli/main.py",
        "Exit codes: 0 all done; 1 some inputs failed, the others are done; 2 nothing could be done",
    ),
]


@pytest.mark.parametrize(("file", "phrase"), EXITS)
def test_exit_codes_are_named_alike_everywhere(file, phrase):
    assert phrase in words(file)


@pytest.mark.parametrize("verb", ["score", "map"])
def test_exit_codes(verb, bundle_path, photo, tmp_path):
    good, cut = tmp_path / "good.png", tmp_path / "cut.png"
    Image.fromarray(photo(72, 96)).save(good)
    cut.write_bytes(good.read_bytes()[:900])
    own = ["--text", "x", "--format", "npy", "--output", str(tmp_path / "maps")] if verb == "map" else []

    def code(*paths: Path) -> int:
        arguments = [verb, *map(str, paths), "--bundle", str(bundle_path), "--threads", "1", *own]
        return CliRunner().invoke(main, arguments).exit_code

    assert [code(good), code(good, cut), code(tmp_path / "nowhere"), code()] == [0, 1, 2, 2]


def test_exit_codes_of_a_check(bundle_path, tmp_path):
    damaged = build_bundle(tmp_path / "b", dream=False)
    (damaged / "core.onnx").write_bytes(b"x")
    codes = [CliRunner().invoke(main, ["verify", str(path)]).exit_code for path in (bundle_path, damaged)]
    assert codes == [0, 2]
