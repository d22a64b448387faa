"""--combine and --profile of `score`, `compare` and `report`: columns, what a run says of itself, and --resume."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from bundles import read_manifest, write_manifest
from measures import build_guests
from pages import check_page
from PIL import Image

SCALES = {
    "brightness": {"p5": 0.2, "p95": 0.7, "set": "pictures of a test"},
    "red": {"p5": 40.0, "p95": 200.0, "set": "pictures of a test"},
}
METRICS = ("--metric", "red,brightness,combined")
WEIGHTS = ("--combine", "brightness=2,red=1")
WORDS = (
    "brightness x 2 (brightness: 0 at 0.2, 1 at 0.7, of pictures of a test); "
    "red x 1 (red: 0 at 40, 1 at 200, of pictures of a test)"
)


@pytest.fixture(scope="module")
def bundle(bundle_path, tmp_path_factory) -> Path:
    folder = build_guests(bundle_path, tmp_path_factory.mktemp("scaled") / "scaled")
    manifest = read_manifest(folder)
    for name, scale in SCALES.items():
        manifest["measures"][name]["scale"] = scale
    write_manifest(folder, manifest)
    return folder


@pytest.fixture
def two(tmp_path, photo) -> Path:
    for name, more in (("a", 0), ("b", 30)):
        (tmp_path / name).mkdir()
        for index in range(6):
            picture = (photo(200, 210, index).astype(int) + more).clip(0, 255).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / name / f"{index}.png")
    return tmp_path


def combined(brightness: float, red: float) -> float:
    places = np.interp(brightness, [0.2, 0.7], [0, 1]), np.interp(red, [40, 200], [0, 1])
    return float(2 * places[0] + places[1]) / 3


def read(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_a_table_has_the_combined_column_and_its_record_the_terms(cli, bundle, two) -> None:
    output = two / "scores.csv"
    done = cli("score", two / "a", *METRICS, *WEIGHTS, "--output", output, bundle=bundle)
    assert done.exit_code == 0, done.stderr
    assert f"combined: {WORDS}" in done.stderr
    rows = list(csv.DictReader(io.StringIO(output.read_text(encoding="utf-8"))))
    assert list(rows[0]) == ["filename", "red", "brightness", "combined", "description", "error"]
    for row in rows:
        wanted = combined(float(row["brightness"]), float(row["red"]))
        assert float(row["combined"]) == pytest.approx(wanted, abs=1e-4)  # red has two decimals in a table
    record = json.loads((two / "scores.csv.run.json").read_text())
    assert record["run"]["measures"] == "red,brightness,combined" and record["run"]["combined"] == WORDS
    again = cli("score", two / "a", *METRICS, *WEIGHTS, "--output", output, "--resume", bundle=bundle)
    assert again.exit_code == 0 and "6 of 6 images are scored already" in again.stderr
    other = ("--combine", "brightness=3", "--combine", "red=1")
    refused = cli("score", two / "a", *METRICS, *other, "--output", output, "--resume", bundle=bundle)
    assert refused.exit_code == 2
    assert f"made by another run (combined {WORDS} then, brightness x 3" in refused.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--combine", "red"], "--combine red: write NAME=WEIGHT, as in --combine core=2,niqe=1"),
        (["--combine", "red=much"], "--combine red=much: write NAME=WEIGHT"),
        (["--combine", "=1"], "--combine =1: write NAME=WEIGHT"),
        (["--combine", "red=1,red=2"], "--combine red=2: red has a weight already; name it once"),
        ([], "combined counts what you say; give weights, as in --combine brightness=1,red=1"),
        (["--combine", "total=1"], "combined: there is no measure 'total', only core, brightness"),
    ],
)
def test_weights_that_are_none_are_one_line(cli, bundle, two, given, said) -> None:
    done = cli("score", two / "a", "--metric", "red,combined", *given, bundle=bundle)
    assert done.exit_code == 2 and done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert said in line


def test_generators_are_compared_by_what_is_combined(cli, bundle, two) -> None:
    paths = (two / "a", two / "b", *METRICS, *WEIGHTS, "--headline", "combined")
    done = cli("compare", *paths, "--output", two / "out", "--no-gallery", bundle=bundle)
    assert done.exit_code == 0, done.stderr
    found = read(two / "out")
    assert found["headline"] == "combined" and found["run"]["Combined of"] == WORDS
    assert found["run"]["Profile"] == "default"
    measure = found["measures"][2]
    assert (measure["name"], measure["licence"]) == ("combined", "those of brightness, red")
    means = {each["generator"]: each["mean"] for each in measure["generators"]}
    assert means["b"] > means["a"] and measure["pairs"][0]["difference"] < 0
    page = check_page((two / "out" / "report.html").read_bytes())
    assert WORDS in page.text and "weighted mean of brightness, red" in page.text
    resumed = ("compare", *paths, "--output", two / "out", "--no-gallery", "--resume")
    assert "12 of 12 images are scored already" in cli(*resumed, bundle=bundle).stderr
    other = [word.replace("red=1", "red=2") if isinstance(word, str) else word for word in resumed]
    refused = cli(*other, bundle=bundle)
    assert refused.exit_code == 2 and "made by another run (combined" in refused.stderr


def test_a_folder_is_sorted_by_what_is_combined(cli, bundle, two) -> None:
    done = cli(
        "report", two / "a", *METRICS, *WEIGHTS, "--headline", "combined", "--no-gallery", "--output", two / "out",
        bundle=bundle,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    found = read(two / "out")
    values = [each["combined"] for each in found["pictures"]]
    assert values == sorted(values, reverse=True) and found["run"]["Combined of"] == WORDS
    scores = two / "out" / "scores.csv"
    for verb in (("compare", "--scores", scores), ("report", scores)):
        done = cli(*verb, *WEIGHTS, "--output", two / "again", bundle=bundle)
        assert done.exit_code == 2 and "--combine " in done.stderr and "scores" in done.stderr


def test_the_library_combines_as_the_commands_do(bundle, two) -> None:
    import realm_engine

    with realm_engine.Engine.open(bundle, device="cpu", threads=1) as engine:
        found = realm_engine.compare(
            engine,
            {"a": two / "a", "b": two / "b"},
            ["red", "brightness", "combined"],
            headline="combined",
            combine={"brightness": 2, "red": 1},
        )
    assert found.document()["run"]["Combined of"] == WORDS
    row = found.table[0].values
    assert row["combined"] == pytest.approx(combined(row["brightness"], row["red"]), abs=1e-4)


def test_measures_lists_the_scales(cli, bundle) -> None:
    text = cli("measures", bundle).stdout
    assert "scale: 0.2 to 0.7, 5th to 95th percentile of pictures of a test; may be combined" in text
    assert text.count("may be combined") == 2
    listed = {row["name"]: row for row in json.loads(cli("measures", bundle, "--json").stdout)}
    assert listed["red"]["scale"] == SCALES["red"] and "scale" not in listed["core"]


def test_pages_know_the_profile_and_never_mix_two(cli, two) -> None:
    folders = (two / "a", two / "b", "--metric", "niqe", "--no-gallery", "--output", two / "out")
    published = cli("compare", *folders, "--profile", "published", bundle="realm-tiny")
    assert published.exit_code == 0, published.stderr
    assert "profile published: niqe as the original counts" in published.stderr
    found = read(two / "out")
    assert found["run"]["Profile"] == "published"
    page = check_page((two / "out" / "report.html").read_bytes())
    assert "Profile\npublished" in page.text or "Profilepublished" in page.text.replace("\n", "")
    refused = cli("compare", *folders, "--resume", bundle="realm-tiny")
    assert refused.exit_code == 2 and "measures niqe (published) then, niqe now" in refused.stderr
    one = ("report", two / "a", "--metric", "niqe", "--no-gallery", "--output", two / "one")
    assert cli(*one, "--profile", "published", bundle="realm-tiny").exit_code == 0
    assert read(two / "one")["run"]["Profile"] == "published"
    done = cli(
        "compare", "--scores", two / "out" / "scores.csv", "--profile", "published", "--output", two / "x"
    )
    assert done.exit_code == 2 and "--profile needs pictures, and --scores has none" in done.stderr
