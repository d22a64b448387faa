"""realm-train probe on the default's own tower, into a bundle, and from there on pictures and maps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.special import expit

from export.__main__ import export
from realm_engine import Engine
from realm_engine.bundle.bundle import Bundle, find_bundle
from realm_engine.machine.files import sha256_of
from realm_engine.opened import Contents
from realm_train.bundle_tower import BundleTower
from realm_train.cli.main import main
from realm_train.probe.run import load_run

SIZES = ((96, 128), (120, 90))
COUNT = 6  # of each label
FAST = ["seeds=1", "outer_folds=2", "choice.folds=2", "views=2", "choice.c=0.001,1.0"]
SETTINGS = [word for setting in FAST for word in ("--set", setting)]
TERMS = ["--licence", "CC0-1.0", "--training-data", "noise"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Photographs that are smooth, and generated pictures that are noise."""
    root, random = tmp_path_factory.mktemp("labelled"), np.random.default_rng(4)
    for index in range(COUNT):
        height, width = SIZES[index % 2]
        slope = np.linspace(20, 200, width)[None, :, None] + random.integers(0, 40, (1, 1, 3))
        noise = random.integers(0, 256, (height, width, 3))
        for name, pixels in ((f"real/camera {index % 2}", slope + 0 * noise), ("fake/gan", noise)):
            folder = root / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def plain() -> Path:
    """The default, whose own real-fake gives way to another."""
    return find_bundle("realm-tiny")


@pytest.fixture(scope="module")
def run(pictures, plain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "probe"
    command = ["probe", "--data", str(pictures), "--bundle", str(plain), "--output", str(folder), *SETTINGS]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder, result


@pytest.fixture(scope="module")
def measured(run, plain, tmp_path_factory):
    output = tmp_path_factory.mktemp("new") / "mine"
    command = [
        "--into",
        str(plain),
        "--real-fake",
        str(run[0]),
        *TERMS,
        "--prior",
        "0.2",
        "--output",
        str(output),
    ]
    result = CliRunner().invoke(export, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return output, result


def test_a_run_says_what_it_is_worth_and_which_tower_it_was_fitted_on(run, plain, pictures) -> None:
    folder, result = run
    found = load_run(folder)
    assert found.tower["graph"] == "core" and found.tower["sha256"] == sha256_of(plain / "core.onnx")
    assert found.pictures == {"fake/gan": COUNT, "real/camera 0": 3, "real/camera 1": 3}
    assert found.metrics is not None and found.metrics["views"]["clean"]["auc"] == 1.0
    assert set(found.metrics["sources"]) == {"camera 0", "camera 1", "gan"}
    assert "clean" in result.stdout and "a hint, not a proof" in result.stdout
    assert "seed 42, fold 2 of 2: C " in result.stderr and "looked at 12 of 12 pictures" in result.stderr


def test_a_run_goes_on_from_what_was_seen(run, plain, pictures) -> None:
    folder, _ = run
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "features").iterdir()}
    weights = (folder / "checkpoint.safetensors").read_bytes()
    command = ["probe", "--data", str(pictures), "--bundle", str(plain), "--output", str(folder), *SETTINGS]
    command.append("--no-validation")
    assert CliRunner().invoke(main, command, catch_exceptions=False).exit_code == 0
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "features").iterdir()} == before
    assert (folder / "checkpoint.safetensors").read_bytes() == weights


def test_the_measure_is_the_probe_with_its_prior(run, measured, pictures) -> None:
    folder, result = measured
    probe, band = load_run(run[0]).probe, load_run(run[0]).band
    assert "verified fp32: p within" in result.output
    paths = sorted(pictures.rglob("*.png"))
    with BundleTower.open(str(folder)) as tower:
        features = tower.features(paths)
    shift = np.log(0.2 / 0.8)
    with Engine.open(folder, device="cpu", threads=1) as engine:
        rows = engine.score(paths, metrics=["core", "real-fake"])
    np.testing.assert_allclose([row.p_fake for row in rows], expit(probe.logit(features) + shift), atol=1e-5)
    np.testing.assert_allclose([row.real_fake_unlike for row in rows], probe.unlike(features), rtol=1e-4)
    expected = band.verdicts(probe.p_fake(features), probe.unlike(features))  # the prior moves p alone
    assert [row.verdict for row in rows] == [("real", "uncertain", "fake")[place] for place in expected]
    assert {row.verdict for row in rows if "fake" in str(row.name)} <= {"fake", "uncertain"}


def test_its_map_adds_up_to_its_logit(measured, pictures) -> None:
    with Engine.open(measured[0], device="cpu", threads=1) as engine:
        for path in sorted(pictures.rglob("*.png"))[::5]:
            made = engine.map(path, metric="real-fake")
            (row,) = engine.score([path], metrics="real-fake")
            total = made.bias + made.values.sum(dtype=np.float64)
            assert total == pytest.approx(made.logit, rel=1e-4, abs=1e-3)
            assert expit(made.logit) == pytest.approx(row.p_fake, abs=1e-4)


def test_what_the_manifest_says_of_it(measured) -> None:
    contents = Contents(Bundle.open(measured[0]))
    (found,) = (each for each in contents.measures.all if each.name == "real-fake")
    assert not found.ranks and found.worth["prior"] == 0.2 and "hint, not a proof" in found.says
    assert [column.name for column in found.columns] == ["p_fake", "real_fake_unlike", "verdict"]


def test_what_was_the_old_measures_alone_is_gone_and_the_rest_stays(measured, plain) -> None:
    """The new terms name no file, so that of the old ones goes too; whatever else there was is the same bytes."""
    old, new = (json.loads((folder / "bundle.json").read_text()) for folder in (plain, measured[0]))
    assert set(old["files"]) - set(new["files"]) == {"LICENSE-REAL-FAKE.md"}
    assert set(new["files"]) <= set(old["files"])
    changed = {name for name in new["files"] if new["files"][name] != old["files"][name]}
    assert changed == {"real_fake.onnx", "real_fake_map.onnx"}
    assert new["training_data"].count("real-fake: ") == 1 and new["training_data"].endswith(
        "real-fake: noise"
    )
    assert {name: each for name, each in new["measures"].items() if name != "real-fake"} == {
        name: each for name, each in old["measures"].items() if name != "real-fake"
    }


def test_another_tower_is_refused(run, plain, tmp_path) -> None:
    manifest = json.loads((run[0] / "probe.json").read_text())
    other = tmp_path / "other"
    shutil.copytree(run[0], other)
    manifest["tower"]["sha256"] = "0" * 64
    (other / "probe.json").write_text(json.dumps(manifest))
    command = ["--into", str(plain), "--real-fake", str(other), *TERMS, "--output", str(tmp_path / "new")]
    result = CliRunner().invoke(export, command)
    assert "real-fake was fitted on another core graph (0000...)" in str(result.exception or result.output)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--prior", "0"), "--prior 0: give a share between 0 and 1"),
        (("--metrics", __file__), "--metrics is none of --real-fake"),
    ],
)
def test_options_of_the_export(run, plain, tmp_path, options, words) -> None:
    command = ["--into", str(plain), "--real-fake", str(run[0]), *TERMS, *options]
    result = CliRunner().invoke(export, [*command, "--output", str(tmp_path / "new")])
    assert words in str(result.exception)


def test_the_default_has_it_as_a_hint() -> None:
    """What ships: bound to the default's own tower, with what it is worth, and ranking nothing."""
    bundle = Bundle.open("realm-tiny")
    (found,) = (each for each in Contents(bundle).measures.all if each.name == "real-fake")
    section = bundle.manifest["measures"]["real-fake"]
    assert section["fitted_on"] == {"core": sha256_of(bundle.root / "core.onnx")}
    assert not found.ranks and not found.terms.commercial_use
    views = found.worth["views"]
    assert views["clean"]["auc"] >= 0.94 and views["jpeg70"]["auc"] >= 0.93 and views["blur1"]["auc"] >= 0.91
    every = found.worth["all_views"]
    assert every["real_called_fake"] <= 0.05 and every["fake_called_real"] <= 0.05
    with Engine.open("realm-tiny", device="cpu") as engine:
        rows = engine.score("samples", metrics="real-fake")
    assert not any(row.error for row in rows)
    assert not any(
        row.verdict == "fake" for row in rows
    )  # all of them are photographs, three with a planted flaw
