"""`niqe` and `brisque` as a user meets them: score, both profiles, what has no answer, measures, verify, tune."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import nss_reference as reference
import numpy as np
import pytest
from PIL import Image
from repository import SAMPLES

from export.bundle import Photographs, export_bundle
from export.manifest import BundleInfo
from export.parts.nss import Brisque, Niqe


@pytest.fixture(scope="module")
def statistics(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("statistics") / "statistics"
    parts = [Niqe(), Brisque()]
    info = BundleInfo("statistics", terms_of={part.measure: part.terms for part in parts})
    export_bundle(folder, info, parts, Photographs([SAMPLES / "cat.jpg"]), report=lambda _: None)
    return folder


def table(result) -> dict[str, dict[str, str]]:
    return {row["filename"]: row for row in csv.DictReader(io.StringIO(result.stdout))}


@pytest.fixture
def folder(tmp_path, photo) -> Path:
    home = tmp_path / "pictures"
    home.mkdir()
    Image.fromarray(photo(220, 301)).save(home / "colour.png")
    Image.fromarray(photo(220, 301)[..., 1]).save(home / "grey.png")
    alpha = np.dstack([photo(220, 301), np.full((220, 301), 255, np.uint8)])
    Image.fromarray(alpha).save(home / "alpha.png")
    return home


def test_pictures_of_all_kinds(cli, statistics, folder, photo) -> None:
    result = cli("score", folder, "--metric", "niqe,brisque", bundle=statistics)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("filename,niqe,brisque,description,error\n")
    rows = table(result)
    assert {**rows["alpha.png"], "filename": ""} == {**rows["colour.png"], "filename": ""}
    grey = np.repeat(photo(220, 301)[..., 1:2], 3, axis=2)
    for name, pixels in (("colour.png", photo(220, 301)), ("grey.png", grey)):
        assert float(rows[name]["niqe"]) == pytest.approx(reference.niqe(pixels), abs=0.01)
        assert float(rows[name]["brisque"]) == pytest.approx(reference.brisque(pixels), abs=0.2)


def test_what_has_no_answer_is_an_empty_cell_and_exit_1(cli, statistics, folder, photo) -> None:
    Image.fromarray(photo(150, 200)).save(folder / "small.png")
    Image.fromarray(np.full((200, 250, 3), 80, np.uint8)).save(folder / "flat.png")
    result = cli(
        "score", folder, "--metric", "core,niqe,brisque", "--with", statistics
    )  # fmt: skip
    assert result.exit_code == 1
    rows = table(result)
    assert rows["small.png"]["error"] == "niqe: needs at least 192 x 192 pixels, this image has 200 x 150"
    assert rows["small.png"]["niqe"] == "" and float(rows["small.png"]["brisque"]) > 0
    assert rows["flat.png"]["niqe"] == rows["flat.png"]["brisque"] == ""
    assert "the image is flat" in rows["flat.png"]["error"]
    assert all(row["mos"] for row in rows.values())


def test_the_profile_is_said_and_tables_do_not_mix_them(cli, statistics, folder, tmp_path) -> None:
    output = tmp_path / "scores.csv"
    asked = ("score", folder, "--metric", "niqe", "--output", output)
    result = cli(*asked, "--profile", "published", bundle=statistics)
    assert result.exit_code == 0, result.stderr
    assert "profile published: niqe as the original counts" in result.stderr
    assert json.loads((tmp_path / "scores.csv.run.json").read_text())["run"]["measures"] == "niqe (published)"
    refused = cli(*asked, "--resume", bundle=statistics)
    assert refused.exit_code == 2 and "measures niqe (published) then, niqe now" in refused.stderr
    again = cli(*asked, "--profile", "published", "--resume", bundle=statistics)
    assert again.exit_code == 0 and "3 of 3 images are scored already" in again.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--metric", "core", "--profile", "published"), "core has no profile 'published', only default"),
        (("--profile", "original"), "'original' is not one of 'default', 'published'"),
        (("--metric", "niqe"), "it comes with the default realm-tiny; python -m export --into BUNDLE --niqe"),
        (("--metric", "brisk"), "did you mean 'brisque'?"),
    ],
)
def test_what_is_not_there_is_one_line_with_the_cure(cli, folder, options, words) -> None:
    result = cli("score", folder, *options)
    assert result.exit_code == 2 and words in result.stderr
    assert "Traceback" not in result.stderr


def test_measures_says_what_they_answer_and_no_more(cli, statistics) -> None:
    result = cli("measures", statistics)
    assert result.exit_code == 0
    assert result.stdout.count("is it noisy, blurred or compressed, no more") == 2
    assert "profiles: default, published" in result.stdout and "low = better" in result.stdout
    assert "The University of Texas at Austin (commercial use allowed)" in result.stdout


def test_verify_runs_them(cli, statistics) -> None:
    result = cli("verify", statistics)
    assert result.exit_code == 0, result.stdout
    assert "measure niqe fp32: niqe" in result.stdout and "measure brisque fp32: brisque" in result.stdout
