"""`python -m export --niqe --brisque`: a bundle of their own, or into another, which stays as it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from bundles import read_manifest
from command_line import run_export
from measures import add_measures
from repository import SAMPLES

from export.errors import ExportError
from export.into import add_parts
from export.manifest import FORMAT_VERSION, BundleInfo
from export.parts.nss import Brisque, Niqe
from realm_engine import Engine
from realm_engine.pictures.decode import load_image

PICTURES = [SAMPLES / "cat.jpg"]


@pytest.fixture
def listed(bundle_path, tmp_path) -> Path:
    """A bundle of format 1.1 with CORE and DREAM."""
    return add_measures(shutil.copytree(bundle_path, tmp_path / "listed"), {})


def info(*parts: Niqe | Brisque, **more: object) -> BundleInfo:
    return BundleInfo("new", terms_of={part.measure: part.terms for part in parts}, **more)


def test_the_command_writes_what_engines_run(tmp_path, listed) -> None:
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps({"niqe": {"srocc": 0.07}}))
    run = run_export(
        "--into", listed, "--niqe", "--brisque", "--metrics", metrics, "--output", tmp_path / "new"
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    before, after = read_manifest(listed), read_manifest(tmp_path / "new")
    assert list(after["measures"]) == ["core", "niqe", "brisque"]
    assert after["format_version"] == FORMAT_VERSION != before["format_version"]  # it may need what is new
    assert after["measures"]["niqe"]["metrics"] == {"srocc": 0.07} and after["name"] == "new"
    added = {"LICENSE-NIQE.md", "LICENSE-BRISQUE.md", "niqe.json"}
    added |= {"nss_blocks.onnx", "nss_whole.onnx", "brisque_machine.onnx"}
    assert set(after["files"]) == set(before["files"]) | added
    for file, entry in before["files"].items():
        assert after["files"][file] == entry
        assert (tmp_path / "new" / file).read_bytes() == (listed / file).read_bytes()
    assert sum(after["files"][file]["size_bytes"] for file in added) < 300_000
    for key in ("core", "dream"):
        assert after[key] == before[key] and after["graphs"][key] == before["graphs"][key]
    for name in ("niqe", "brisque"):
        notice = (tmp_path / "new" / after["measures"][name]["licence"]["text"]).read_text()
        assert "Copyright (c) 2011 The University of Texas at Austin" in notice
        assert name.upper() in notice and "PERMISSION IS HEREBY GRANTED" in notice.upper()
        assert after["fidelity"]["fp32"][f"measures.{name}"]["value_max_abs_diff"] <= 0.3
    image = load_image(SAMPLES / "cat.jpg")
    with Engine.open(tmp_path / "new", device="cpu") as new, Engine.open(listed, device="cpu") as old:
        row = new.score(image, metrics=["core", "niqe", "brisque"])[0]
        assert row.error is None and row.mos == old.score(image)[0].mos


def test_a_bundle_may_be_replaced_by_itself_with_more(listed) -> None:
    part = Niqe()
    with pytest.raises(ExportError, match="--overwrite"):
        add_parts(listed, listed, info(part), [part], PICTURES, report=lambda _: None)
    add_parts(listed, listed, info(part), [part], PICTURES, overwrite=True, report=lambda _: None)
    assert list(read_manifest(listed)["measures"]) == ["core", "niqe"]
    with pytest.raises(ExportError, match="has a measure niqe already"):
        add_parts(listed, listed, info(part), [part], PICTURES, overwrite=True, report=lambda _: None)


def test_the_strictest_terms_go_for_the_whole(listed, tmp_path) -> None:
    part = Brisque()
    manifest = read_manifest(listed)
    said = info(part, description="With brisque.")
    after = add_parts(listed, tmp_path / "new", said, [part], PICTURES, report=lambda _: None)
    assert after["description"] == "With brisque."
    assert after["licence"] == manifest["licence"]
    assert after["training_data"].endswith("; brisque: the LIVE image quality database of the authors")


def test_a_bundle_whose_measures_are_not_listed_is_refused(bundle_path, tmp_path) -> None:
    old = shutil.copytree(bundle_path, tmp_path / "old")
    manifest = read_manifest(old)
    manifest.pop("measures", None)
    (old / "bundle.json").write_text(json.dumps(manifest))
    part = Niqe()
    with pytest.raises(ExportError, match="measures are not listed"):
        add_parts(old, tmp_path / "new", info(part), [part], PICTURES, report=lambda _: None)
    assert not (tmp_path / "new").exists()


def test_what_misses_its_gate_leaves_nothing(listed, tmp_path, monkeypatch) -> None:
    part = Niqe()
    monkeypatch.setattr(type(part), "limit", -1.0)
    with pytest.raises(ExportError, match="niqe differs from float64"):
        add_parts(listed, tmp_path / "new", info(part), [part], PICTURES, report=lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["listed"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--into", "realm-tiny"], "--into without one of --niqe, --brisque, --ridge, --real-fake, --scales; say"),
        (["--niqe", "--core", "x"], "--niqe goes into a bundle of its own, or into another with --into"),
        (["--brisque", "--licence", "MIT"], "--licence is none of --brisque"),
        (["--niqe", "--precision", "fp16"], "--precision is none of --niqe"),
        (["--niqe", "--into", "nowhere"], "bundle 'nowhere' not found"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_one_line(tmp_path, options, words) -> None:
    run = run_export(*options, "--output", tmp_path / "new")
    assert run.returncode == 2 and words in run.stderr
    assert run.stderr.count("\n") == 1 and not (tmp_path / "new").exists()
