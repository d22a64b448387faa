"""The page of hosts/web: its own tests, and its numbers against the Python engine's on the same pictures."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from measured_bundles import expected, measured_bundle
from one_pass_cases import write_one_pass_cases
from PIL import Image
from profiled_pictures import profiled_pictures
from repository import ROOT

from realm_engine.engine import Engine
from realm_engine.maps import render
from realm_engine.maps.realness_map import DreamConfig
from realm_engine.pictures.decode import load_image

REPOSITORY = ROOT
WEB = REPOSITORY / "hosts/web"
OUT = REPOSITORY / "out/hosts/web"
GOLDEN = Path(os.environ.get("REALM_GOLDEN", REPOSITORY / "tests/golden"))
SAMPLES = REPOSITORY / "samples"
MOS_TOLERANCE = MAP_TOLERANCE = 1e-3

Npm = Callable[..., None]


@dataclass(frozen=True)
class Case:
    """A picture, texts and windows that page and engine both compute."""

    name: str
    file: Path
    texts: tuple[str, ...]
    windows_px: tuple[int, ...]
    stride_px: int
    aggregate: str = "mean"

    @property
    def config(self) -> DreamConfig:
        return DreamConfig(self.windows_px, self.stride_px, self.aggregate)


def cases(folder: Path) -> list[Case]:
    """A PNG, a JPEG, one that is turned, one that is half transparent; one text, several, and none at all."""
    cat = load_image(SAMPLES / "cat-doubled.png")
    alpha = np.add.outer(np.arange(cat.shape[0]), np.arange(cat.shape[1])) % 256
    transparent = folder / "transparent.png"
    Image.fromarray(np.dstack([cat, alpha.astype(np.uint8)])).save(transparent)
    turned = folder / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(load_image(SAMPLES / "temple.jpg")).save(turned, quality=90, exif=exif)
    return [
        Case("png", SAMPLES / "cat-doubled.png", ("doubled, overlapping parts",), (64,), 12),
        Case("jpeg", SAMPLES / "coffee.jpg", ("melted, dripping edges", "café 😀"), (96, 48), 30, "max"),
        Case("turned", turned, ("a row of identical tiles",), (64, 150), 40),
        Case("transparent", transparent, ("waxy skin", "blurry"), (64,), 70),
        Case("no-text", SAMPLES / "coffee-melted.png", (), (64,), 32),
    ]


def pictures(folder: Path) -> list[dict[str, Any]]:
    """Files of every kind that the page reads, with their pixels as the engine sees them, in PNG."""
    cat = Image.fromarray(load_image(SAMPLES / "cat-doubled.png")[:120, :150])
    alpha = Image.fromarray(np.add.outer(np.arange(120), np.arange(150)).astype(np.uint8))
    clear = cat.copy()
    clear.putalpha(alpha)
    found: list[dict[str, Any]] = []
    saved: list[tuple[str, Image.Image, dict[str, Any], int]] = [
        ("clear.webp", clear, {"lossless": True, "exact": True}, 0),
        ("opaque.webp", cat, {"lossless": True}, 0),
        ("lossy.webp", cat, {"quality": 80}, 2),
        ("plain.bmp", cat, {}, 0),
        ("palette.bmp", cat.quantize(16), {}, 0),
        ("palette.gif", cat.quantize(64), {}, 0),
        ("clear.gif", cat.quantize(64), {"transparency": 3}, 0),
        ("one-bit.png", cat.convert("1"), {}, 0),
        ("two-bit.png", cat.quantize(4), {"bits": 2}, 0),
        ("key.png", cat, {"transparency": cat.getpixel((10, 10))}, 0),
        ("fine.jpg", cat, {"quality": 95, "subsampling": 0}, 2),
        ("coarse.jpg", cat, {"quality": 40, "subsampling": 2}, 2),
    ]
    for picture in profiled_pictures(np.asarray(cat)):
        (folder / picture.name).write_bytes(picture.content)
        rgb = folder / f"{picture.name}.rgb.png"
        Image.fromarray(picture.expected.astype(np.uint8)).save(rgb)
        found.append({"file": str(folder / picture.name), "rgb": str(rgb), "max_levels": 2})
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        saved.append((f"turned-{orientation}.jpg", cat, {"quality": 90, "exif": exif}, 4))
        saved.append((f"turned-{orientation}.png", cat, {"exif": exif}, 0))
    for name, image, options, levels in saved:
        image.save(folder / name, **options)
        Image.fromarray(load_image(folder / name)).save(folder / f"{name}.rgb.png")
        rgb = str(folder / f"{name}.rgb.png")
        found.append({"file": str(folder / name), "rgb": rgb, "max_levels": levels})
    return found


@pytest.fixture(scope="module")
def npm(require: Callable[..., None]) -> Npm:
    """Run an npm command in hosts/web, with what package-lock.json asks for installed."""
    require("node", "npm")
    if not (GOLDEN / "golden.json").is_file():
        pytest.fail(f"{GOLDEN}: no golden vectors; run python tests/golden/write.py")
    OUT.mkdir(parents=True, exist_ok=True)
    tokenizer = OUT / "clip_tokenizer.json"
    if not os.environ.get("REALM_REQUIRE_HOSTS"):
        pytest.importorskip("export.towers.tokenizer", reason="CLIP's tokenizer needs the extra 'export'")
    from export.towers.tokenizer import clip_tokenizer

    tokenizer.write_text(clip_tokenizer(), encoding="utf-8")

    def run(*command: str, **variables: str) -> None:
        environment = {
            **os.environ,
            "REALM_GOLDEN": str(GOLDEN.resolve()),
            "REALM_CLIP_TOKENIZER": str(tokenizer),
            "REALM_OUT": str(OUT),
            "NO_COLOR": "1",
            **variables,
        }
        done = subprocess.run(
            ["npm", *command], cwd=WEB, env=environment, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, f"npm {' '.join(command)}\n{done.stdout}\n{done.stderr}"

    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    installed = WEB / "node_modules/.realm-lock"
    with FileLock(OUT / "npm.lock"):  # another process may run the page's tests as well
        if not installed.is_file() or installed.read_text() != lock:
            run("ci")
            installed.write_text(lock)
    return run


@pytest.fixture(scope="module")
def page(npm: Npm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the built page on Python's plain server, in a folder below the server's root."""
    npm("run", "build")
    root = tmp_path_factory.mktemp("server")
    shutil.copytree(WEB / "dist", root / "some/folder")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/some/folder/"
        server.shutdown()


def test_types_and_lint(npm: Npm) -> None:
    npm("run", "typecheck")
    npm("run", "lint")


def test_lock_names_no_registry() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    versions = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    for version in {**versions["dependencies"], **versions["devDependencies"]}.values():
        assert version[0].isdigit(), f"{version} is not one exact version"


def test_unicode_tables_are_those_of_the_tokenizers_library() -> None:
    command = [sys.executable, str(WEB / "tools/unicode_tables.py")]
    written = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    assert written == (WEB / "src/engine/unicode-tables.ts").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def measures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle that has measures of every kind, pictures, and what the graphs make of them alone."""
    folder = tmp_path_factory.mktemp("measures")
    measured_bundle(folder / "bundle", broken=True)
    cat = load_image(SAMPLES / "cat-doubled.png")
    pictures = {"a.png": cat[:40, :50], "b.png": cat[100:190, 30:63], "c.png": cat[5:14, :300]}
    texts = {"a.png": "yes the image looks real", "b.png": None, "c.png": "somewhat unreal"}
    found = []
    for name, picture in pictures.items():
        Image.fromarray(picture).save(folder / name)
        values = expected(folder / "bundle", picture, texts[name])
        found.append({"picture": name, "text": texts[name], "values": values})
    (folder / "cases.json").write_text(json.dumps(found), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def one_pass(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bundles that map in one pass, pictures, and the Python engine's maps of them."""
    return write_one_pass_cases(tmp_path_factory.mktemp("one-pass"), load_image(SAMPLES / "cat-doubled.png"))


def test_engine_of_the_page_gives_the_golden_vectors_measures_and_one_pass(
    npm: Npm, measures: Path, one_pass: Path
) -> None:
    npm("test", REALM_MEASURES=str(measures), REALM_ONE_PASS=str(one_pass))


def test_page_behaves(npm: Npm, page: str, measures: Path, one_pass: Path) -> None:
    """Errors, cache, keyboard, every state by axe, no network, devices, other bundles: tests/page, in Chromium."""
    folders = {"REALM_MEASURES": str(measures), "REALM_ONE_PASS": str(one_pass)}
    suites = ("visit", "errors", "states", "offline", "devices", "measures", "one-pass")
    npm("run", "test:page", "--", *suites, **folders)
    for name in ("map-light-1280.png", "map-dark-1280.png", "map-light-360.png", "map-dark-360.png"):
        assert (OUT / name).is_file()


def test_page_equals_python_engine(npm: Npm, page: str, tmp_path: Path) -> None:
    wanted = cases(tmp_path)
    request = [
        {
            "name": case.name,
            "file": str(case.file),
            "texts": case.texts,
            "windowsPx": case.windows_px,
            "stridePx": case.stride_px,
            "aggregate": case.aggregate,
        }
        for case in wanted
    ]
    asked = tmp_path / "cases.json"
    asked.write_text(json.dumps(request), encoding="utf-8")
    decoded = tmp_path / "pictures.json"
    decoded.write_text(json.dumps(pictures(tmp_path)), encoding="utf-8")
    answers = tmp_path / "answers"
    answers.mkdir()
    npm(
        "run", "test:page", "--", "equal",
        REALM_PAGE=page, REALM_CASES=str(asked), REALM_PICTURES=str(decoded), REALM_OUT=str(answers),
    )  # fmt: skip
    found = json.loads((answers / "answers.json").read_text(encoding="utf-8"))
    with Engine.open("realm-tiny", "cpu") as engine:
        for case in wanted:
            compare(engine, case, found[case.name], answers)


def compare(engine: Engine, case: Case, answer: dict[str, Any], folder: Path) -> None:
    """Score, map, phrases and overlay of one case against the Python engine's."""
    image = load_image(case.file)
    # The page reads several texts as one description, joined like sentences. Its field holds the first one,
    # which it takes last.
    texts = [*case.texts[1:], *case.texts[:1]]
    (score,) = engine.score([image], [". ".join(texts) or None])
    assert score.mos == pytest.approx(answer["mos"], abs=MOS_TOLERANCE), case.name
    assert score.realness == pytest.approx(answer["realness"], abs=20 * MOS_TOLERANCE), case.name
    expected = engine.map(image, list(case.texts) or None, case.config)
    actual = np.load(folder / f"{case.name}.npy", allow_pickle=False)
    assert actual.dtype == np.float32 and actual.shape == expected.values.shape
    np.testing.assert_allclose(actual, expected.values, rtol=0, atol=MAP_TOLERANCE, err_msg=case.name)
    np.testing.assert_array_equal(np.isnan(actual), ~expected.covered)
    for phrase in expected.phrases:
        assert f"“{phrase.text}”" in answer["made"]
    # The picture that the page saves: the engine's colours, interpolated, with the limits of the map itself.
    limits = render.colour_limits(actual, expected.covered)
    drawn = render.painted(image, actual, expected.legend, expected.covered, limits, case.stride_px)
    saved = load_image(folder / f"{case.name}.overlay.png")
    height, width = image.shape[:2]
    difference = np.abs(saved[:height, :width].astype(int) - drawn[:height, :width].astype(int))
    assert difference.max() <= 7, case.name  # what one level of the table of colours can change


def test_pages_of_compare_and_report_in_a_browser(npm: Npm, tmp_path: Path) -> None:
    """No request leaves, nothing planted could run, contrast and headings pass, also with names of strangers."""
    from click.testing import CliRunner

    from realm_engine.cli.main import main

    cat, names = load_image(SAMPLES / "cat.jpg"), ["<script>alert(1)</script>", "b" * 90, "\u202eflesruoy"]
    for place, name in enumerate(("one", "two", "three")):
        (tmp_path / name).mkdir()
        for index in range(20):
            part = cat[index * 8 : 120 + index * 8, : 160 + 20 * place]
            file = f"{index} {'long ' * 20 if index == 3 else ''}'&quot;.png"
            Image.fromarray(np.clip(part.astype(int) + 9 * place, 0, 255).astype(np.uint8)).save(
                tmp_path / name / file
            )
    folders = [
        f"{shown}={tmp_path / name}" for shown, name in zip(names, ("one", "two", "three"), strict=True)
    ]
    commands = [
        ["compare", *folders, "--maps", "1", "--output", str(tmp_path / "compare")],
        ["report", str(tmp_path / "one"), "--maps", "1", "--output", str(tmp_path / "report")],
    ]
    for command in commands:
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
    reports = [str(tmp_path / command[0] / "report.html") for command in commands]
    npm("run", "test:page", "--", "report", REALM_REPORTS=json.dumps(reports))
