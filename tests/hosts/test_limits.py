"""What every host refuses: the same bundles, to Python, to C++ and to the page (docs/bundle.md, "Limits")."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cpp_host
import pytest
from bundles import build_bundle
from cpp_host import run
from PIL import Image
from test_web import npm as npm

from realm_engine import Engine, RealmError

release = cpp_host.release

Manifest = dict[str, Any]


def _at(*path: str, value: Any) -> Callable[[Manifest], None]:
    def change(manifest: Manifest) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        manifest[path[-1]] = value

    return change


CHANGES: dict[str, Callable[[Manifest], None]] = {
    "parent": _at("graphs", "core", "variants", "fp32", value="../core.onnx"),
    "absolute": _at("graphs", "core", "variants", "fp32", value="/core.onnx"),
    "address": _at("graphs", "core", "variants", "fp32", value="https://other/core.onnx"),
    "other-server": _at("graphs", "core", "variants", "fp32", value="//other/core.onnx"),
    "escaped": _at("graphs", "core", "variants", "fp32", value="%2e%2e/core.onnx"),
    "backslash": _at("graphs", "core", "variants", "fp32", value="..\\core.onnx"),
    "nul": _at("graphs", "core", "variants", "fp32", value="core.onnx\0"),
    "drive": _at("graphs", "core", "variants", "fp32", value="C:/core.onnx"),
    "side": _at("core", "image", "height_px", value=(1 << 14) + 1),
    "tokens": _at("core", "text", "max_tokens", value=(1 << 16) + 1),
    "no-window": _at("dream", "presets", "tiny", "windows_px", value=[]),
    "infinite": _at("core", "rating", "slope", value=float("inf")),
    "version": _at("format_version", value="2.0"),
    "no-version": _at("format_version", value="one"),
}
# Texts of a manifest that are none whatever they say.
TEXTS: dict[str, Callable[[str], str]] = {
    "large": lambda text: text + " " * ((4 << 20) + 1 - len(text)),
    "deep": lambda text: text.rstrip()[:-1] + ', "more": ' + "[" * 100 + "]" * 100 + "}",
    "very-deep": lambda text: text.rstrip()[:-1] + ', "more": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "members": lambda text: text.rstrip()[:-1] + ', "more": [' + '{"a":1},' * 20_000 + "1]}",
    "nan": lambda text: text.rstrip()[:-1] + ', "more": NaN}',
    "broken": lambda text: text[:-2],
    "empty": lambda text: "",
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bundles: "good", and one for each fault."""
    folder = tmp_path_factory.mktemp("limits")
    good = build_bundle(folder / "good")
    text = (good / "bundle.json").read_text(encoding="utf-8")
    for name in (*CHANGES, *TEXTS):
        shutil.copytree(good, folder / name)
        manifest = json.loads(text)
        if name in CHANGES:
            CHANGES[name](manifest)
        written = TEXTS[name](text) if name in TEXTS else json.dumps(manifest)
        (folder / name / "bundle.json").write_text(written, encoding="utf-8")
    return folder


def test_python_refuses_them(bundles) -> None:
    for folder in sorted(bundles.iterdir()):
        if folder.name == "good":
            Engine.open(folder, device="cpu").close()
            continue
        with pytest.raises(RealmError) as caught:
            Engine.open(folder, device="cpu")
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000, folder.name


def test_cpp_refuses_them(release, bundles, photo, tmp_path) -> None:
    Image.fromarray(photo(130, 140)).save(tmp_path / "image.png")
    folders = sorted(bundles.iterdir())
    done = run(release / "probe", "bundles", tmp_path / "image.png", *folders)
    answers = dict(zip((folder.name for folder in folders), done.stdout.splitlines(), strict=True))
    assert done.returncode == 0 and answers.pop("good") == "ok"
    assert [name for name, answer in answers.items() if not answer.startswith("error ")] == []


def test_the_page_refuses_them(npm, bundles) -> None:
    npm("test", "--", "limits", REALM_REFUSED=str(bundles))


def test_python_and_cpp_say_the_same_of_texts(release, bundles, photo, tmp_path) -> None:
    Image.fromarray(photo(130, 140)).save(tmp_path / "image.png")
    for name in ("large", "deep", "members"):
        with pytest.raises(RealmError) as caught:
            Engine.open(bundles / name, device="cpu")
        done = run(release / "probe", "bundles", tmp_path / "image.png", bundles / name)
        assert done.stdout == f"error {caught.value}\n"
