"""NIQE and BRISQUE of the C++ host: the Python engine's numbers, and its reasons where a picture has none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cpp_host
import numpy as np
import pytest
from bundles import read_manifest, write_manifest
from cpp_host import SAMPLES, TINY, errors, run, table
from PIL import Image

from realm_engine import Engine
from realm_engine.pictures.decode import load_image

release = cpp_host.release
NAMES = ("niqe", "brisque")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Photographs, one blurred and one compressed, crops with odd sides, one too small for NIQE, and flat ones."""
    folder = tmp_path_factory.mktemp("nss")
    for name in ("cat.jpg", "coffee-melted.png", "rocket.jpg"):
        shutil.copy(SAMPLES / name, folder / name)
    cat = load_image(SAMPLES / "cat.jpg")
    Image.fromarray(cat).reduce(2).resize((cat.shape[1], cat.shape[0])).save(folder / "blurred.png")
    Image.fromarray(cat).save(folder / "compressed.jpg", quality=10)
    Image.fromarray(cat[:193, :301]).save(folder / "odd.png")
    Image.fromarray(cat[:100, :190]).save(folder / "small.png")
    Image.new("RGB", (200, 200), (90, 90, 90)).save(folder / "flat.png")
    half = np.full((192, 192, 3), 90, np.uint8)
    half[:96, :96] = cat[:96, :96]
    Image.fromarray(half).save(folder / "one-block.png")
    return folder


def test_numbers_and_reasons_are_the_python_engines(release, pictures) -> None:
    arguments = [word for name in NAMES for word in ("--measure", name)]
    done = run(release / "realm_host", "score", pictures, "--bundle", TINY, *arguments)
    assert done.returncode == 1, done.stderr  # some pictures have no value
    rows = {Path(row["filename"]).name: row for row in table(done.stdout)}
    with Engine.open("realm-tiny", device="cpu") as engine:
        paths = sorted(pictures.iterdir())
        expected = dict(zip(paths, engine.score(paths, metrics=list(NAMES)), strict=True))
    without = dict.fromkeys(NAMES, 0)
    for path, wanted in expected.items():
        row = rows[path.name]
        for name, tolerance in (("niqe", 2e-3), ("brisque", 2e-2)):
            value = wanted.values.get(name)
            if value is None or np.isnan(value):
                assert row[name] == "", (path.name, name)
                without[name] += 1
            else:
                assert float(row[name]) == pytest.approx(value, abs=tolerance), (path.name, name)
        assert row["error"] == (wanted.error or "")
    assert without == {"niqe": 2, "brisque": 1}  # one is too small for NIQE


def test_all_measures_of_the_default_are_there(release) -> None:
    done = run(release / "realm_host", "measures", "--bundle", TINY)
    assert done.returncode == 0 and "left out" not in done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith(NAMES)] == list(NAMES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gaussian": "phrases.json"}, "phrases.json: 'mean'"),
        ({"gaussian": "gone.json"}, "does not list 'gone.json'"),
        ({"graph": "nss_gone"}, "the graph 'nss_gone' is not in 'graphs'"),
        ({"graph": "core"}, "the graph 'core' has no output 'moments'"),
    ],
)
def test_a_wrong_section_is_refused_by_its_name(release, tmp_path, change, words) -> None:
    folder = shutil.copytree(TINY, tmp_path / "bundle")
    manifest = read_manifest(folder)
    manifest["measures"]["niqe"].update(change)
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    done = run(release / "realm_host", "score", SAMPLES / "cat.jpg", "--bundle", folder, "--measure", "niqe")
    assert done.returncode in (1, 2)
    said = errors(done.stderr) if done.returncode == 2 else [row["error"] for row in table(done.stdout)]
    assert len(said) == 1 and words in said[0], (done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mean": [0.0] * 35}, "'mean' has 35 numbers, not 36"),
        ({"covariance": [0.0] * 666, "ridge": 0.0}, "'covariance' is not positive definite"),
        ({"covariance": "wide"}, "'covariance' is"),
        ({"mean": [None] * 36}, "'mean' must list finite numbers"),
    ],
)
def test_a_wrong_gaussian_is_refused(release, tmp_path, change, words) -> None:
    folder = shutil.copytree(TINY, tmp_path / "bundle")
    gaussian = json.loads((folder / "niqe.json").read_text())
    (folder / "niqe.json").write_text(json.dumps(gaussian | change))
    write_manifest(folder, read_manifest(folder))
    done = run(release / "realm_host", "score", SAMPLES / "cat.jpg", "--bundle", folder, "--measure", "niqe")
    said = errors(done.stderr) if done.returncode == 2 else [row["error"] for row in table(done.stdout)]
    assert len(said) == 1 and words in said[0], (done.stdout, done.stderr)
