"""`realm-engine score --metric`, `--with` and `realm-engine measures` as a user meets them."""

from __future__ import annotations

import csv
import io
import re
import shutil
from pathlib import Path

import pytest
from bundles import build_bundle
from measures import NATIVE, add_graph, add_measures, build_guests, column, measure

from realm_engine.bundle.bundle import Bundle
from realm_engine.pictures.decode import load_image


@pytest.fixture(scope="module")
def guests(bundle_path, tmp_path_factory) -> Path:
    return build_guests(bundle_path, tmp_path_factory.mktemp("guests") / "guests")


def table(result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_measures_of_another_bundle_from_one_decode(cli, pictures, tmp_path, bundle_path):
    folder = build_bundle(tmp_path / "mine", core=False, dream=False, name="mine")
    add_graph(folder, "brightness")
    mine = add_measures(
        folder, {"brightness": measure("graph", [column("brightness")], graph="brightness", view=NATIVE)}
    )
    result = cli("score", pictures, "--metric", "core,brightness", "--with", mine)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("filename,mos,realness,brightness,description,error\n")
    assert "mine: ONNX Runtime" in result.stderr
    usual = {row["filename"]: row for row in table(cli("score", pictures))}
    for row in table(result):
        assert float(row["brightness"]) == pytest.approx(
            load_image(pictures / row["filename"]).astype(float).mean() / 255, abs=1e-6
        )
        assert float(row["mos"]) == pytest.approx(float(usual[row["filename"]]["mos"]), abs=1e-5)
    alone = cli("score", pictures, "--metric", "brightness", bundle=mine)
    assert alone.exit_code == 0 and alone.stdout.startswith("filename,brightness,description,error\n")


def test_resume_compares_the_measures(cli, pictures, tmp_path, guests):
    path = tmp_path / "scores.csv"
    assert cli("score", pictures, "--output", path, "--metric", "brightness", bundle=guests).exit_code == 0
    result = cli("score", pictures, "--output", path, "--resume", "--metric", "red", bundle=guests)
    assert (result.exit_code == 2 and "made by another run" in result.stderr) or "columns" in result.stderr
    again = cli("score", pictures, "--output", path, "--resume", "--metric", "brightness", bundle=guests)
    assert again.exit_code == 0 and "4 of 4 images are scored already" in again.stderr


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            "brightnes",
            "there is no measure 'brightnes', only core, brightness, .* did you mean 'brightness'?",
        ),
        ("core,core", "measure 'core' is asked for twice"),
        ("xyz", "there is no measure 'xyz', only core"),
    ],
)
def test_an_unknown_measure_names_the_nearest(cli, pictures, guests, names, message):
    result = cli("score", pictures, "--metric", names, bundle=guests)
    assert result.exit_code == 2 and result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert re.search(message, line), line


def test_a_known_measure_that_is_absent_says_what_would_bring_it(cli, pictures, tmp_path):
    folder = build_bundle(tmp_path / "maps", core=False)
    result = cli("score", pictures, "--metric", "core", bundle=folder)
    assert result.exit_code == 2
    assert "has no measure 'core', only none; it comes with a bundle with CORE" in result.stderr


def test_a_kind_of_a_later_version_is_left_out_and_named_when_asked_for(cli, pictures, tmp_path, bundle_path):
    folder = Path(shutil.copytree(bundle_path, tmp_path / "later"))
    add_measures(folder, {"grepq": measure("gaussian", [column("grepq")], tower="x")})
    assert cli("score", pictures, bundle=folder).exit_code == 0
    result = cli("score", pictures, "--metric", "grepq", bundle=folder)
    assert result.exit_code == 2
    assert "measure 'grepq' cannot be read: this version does not know the kind 'gaussian'" in result.stderr
    listed = cli("measures", folder)
    assert "grepq: left out; this version does not know the kind 'gaussian'" in listed.stdout


def test_measures_lists_name_meaning_direction_licence_and_worth(cli, guests):
    text = cli("measures", guests).stdout
    assert "brightness: A graph for tests." in text
    assert "column brightness: the brightness (0 to 1, high = better)" in text
    assert "licence: CC0-1.0 (commercial use allowed)" in text and "worth: nothing was measured" in text
    default = cli("measures").stdout
    worth = Bundle.open("realm-tiny").manifest["metrics"]["core"]["srocc_text"]
    assert f"srocc text: {worth:.4g}" in default and 0.6 < worth < 0.9 and "not allowed" in default


def test_verify_runs_every_measure(cli, guests):
    result = cli("verify", guests)
    assert result.exit_code == 0, result.stdout
    for name in ("core", "brightness", "red", "darkness", "sums"):
        assert f"measure {name} fp32: " in result.stdout
