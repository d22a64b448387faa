"""`realm-engine map --metric`: files, refusals, resuming, and what info, measures and verify say of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from attributed_bundle import NAME, Reference, build_attributed
from bundles import read_manifest, write_manifest
from PIL import Image

METRIC = ("--metric", NAME)


@pytest.fixture(scope="module")
def attributed(bundle_path, tmp_path_factory) -> Path:
    return build_attributed(bundle_path, tmp_path_factory.mktemp("attributed") / "attributed")


def test_files_and_record(cli, attributed, pictures, tmp_path):
    out = tmp_path / "out"
    (pictures / "broken.png").write_bytes(b"no picture")
    result = cli("map", pictures, *METRIC, "--output", out, bundle=attributed)
    assert result.exit_code == 1 and "4 of 5 maps in" in result.stderr
    assert "broken.png" in result.stderr and "a.png: p_fake 0.5" in result.stderr
    assert "is not used" not in result.stderr  # descriptions are nothing that such a map could use
    made = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.npy"))
    assert made == ["a.npy", "b.npy", "d.npy", "sub/c.npy"]
    image = np.asarray(Image.open(pictures / "a.png"))
    values, record = np.load(out / "a.npy"), json.loads((out / "a.json").read_text(encoding="utf-8"))
    np.testing.assert_allclose(values, Reference().map(image), atol=1e-7 + 1e-4 * np.abs(values).max())
    assert record["quantity"] == NAME and "positive speaks for fake" in record["meaning"]
    assert record["image"] == "a.png" and record["precision"] == "fp32" and record["bundle"]
    assert record["logit"] == pytest.approx(record["bias"] + values.sum(dtype=np.float64), abs=1e-3)
    assert record["logit"] == pytest.approx(Reference().logit(image), abs=1e-4)
    assert record["scores"]["p_fake"] == pytest.approx(1 / (1 + np.exp(-record["logit"])), abs=1e-5)
    assert record["neutral"] == pytest.approx(-record["bias"] / values.size)
    low, high = record["colour_limits"]
    assert low == record["neutral"] and high == pytest.approx(max(values.max(), low + 0.02 / values.size))
    assert not {"texts", "windows_px", "preset", "text_source"} & record.keys()
    for region in record["regions"]:
        assert {"x", "y", "width", "height", "contribution", "area_px"} == region.keys()
    overlay, heat = (np.asarray(Image.open(out / f"a.{kind}.png")) for kind in ("overlay", "heatmap"))
    assert heat.shape == image.shape and (heat[values <= low] == 255).all()
    assert (heat[values >= high] == (255, 38, 255)).all()
    assert overlay.shape[0] >= image.shape[0] and overlay.shape[1] > image.shape[1]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("--text", "melted"), "takes no --text: its map has no text and no windows; leave it out"),
        (("--preset", "tiny", "--stride", 4), "no --preset and no --stride"),
        (("--window", 24), "takes no --window"),
        (("--aggregate", "max"), "takes no --aggregate"),
        (("--quantity", "realness"), "takes no --quantity"),
        (("--missing-text", "error"), "takes no --missing-text error"),
        (("--encoder", "each-window"), "--encoder is about windows"),
    ],
)
def test_what_belongs_to_windows_is_refused(cli, attributed, pictures, tmp_path, given, named):
    out = tmp_path / "out"
    result = cli("map", pictures, *METRIC, *given, "--output", out, bundle=attributed)
    assert result.exit_code == 2 and named in result.stderr and not list(tmp_path.glob("out/*.npy"))


def test_descriptions_are_refused(cli, attributed, pictures, tmp_path):
    table = pictures / "image_descriptions.csv"
    result = cli("map", pictures, *METRIC, "--descriptions", table, "--output", tmp_path, bundle=attributed)
    assert result.exit_code == 2 and f"--metric {NAME} takes no --descriptions" in result.stderr


@pytest.mark.parametrize(
    ("metric", "named"),
    [
        ("core", f"no map says where the number of core comes from; with a map: {NAME}"),
        ("fakenes", f"did you mean '{NAME}'?; with a map: {NAME} (without a metric a map shows realness)"),
    ],
)
def test_a_measure_without_a_map(cli, attributed, pictures, tmp_path, metric, named):
    result = cli("map", pictures, "--metric", metric, "--output", tmp_path / "out", bundle=attributed)
    assert result.exit_code == 2 and named in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_bundle_without_any(cli, bundle_path, pictures, tmp_path):
    result = cli("map", pictures, "--metric", "core", "--output", tmp_path / "out")
    assert result.exit_code == 2 and "with a map: none" in result.stderr


def test_resume_knows_the_metric(cli, attributed, pictures, tmp_path):
    out = tmp_path / "out"
    assert cli("map", pictures, *METRIC, "--output", out, bundle=attributed).exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.npy")}
    (out / "d.npy").unlink()
    again = cli("map", pictures, *METRIC, "--output", out, "--resume", bundle=attributed)
    assert again.exit_code == 0 and "3 of 4 images are mapped already" in again.stderr
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*.npy")}
    assert {path.name for path in before if before[path] != after[path]} == {"d.npy"}
    other = cli(
        "map", pictures, "--text", "melted", "--window", 24, "--output", out, "--resume", bundle=attributed
    )
    assert other.exit_code == 2 and f"metric {NAME} then, None now" in other.stderr


def test_a_bundle_may_make_no_other_maps(cli, attributed, pictures, tmp_path):
    """Without DREAM: a map by text is refused, that of the measure is made."""
    manifest = read_manifest(attributed)
    dream = [name for name in manifest["graphs"] if name in ("dream", "clip_text")]
    kept = {name: graph for name, graph in manifest["graphs"].items() if name not in dream}
    folder = tmp_path / "without"
    folder.mkdir()
    for path in attributed.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    write_manifest(folder, {**{k: v for k, v in manifest.items() if k != "dream"}, "graphs": kept})
    image, out = pictures / "a.png", tmp_path / "out"
    assert cli("map", image, *METRIC, "--output", out, "--format", "npy", bundle=folder).exit_code == 0
    assert cli("map", image, "--text", "melted", "--output", out, bundle=folder).exit_code == 2


def test_memory_is_that_of_scoring(cli, attributed, pictures, tmp_path):
    result = cli(
        "map", pictures, *METRIC, "--output", tmp_path / "out", "--max-memory", "1M", bundle=attributed
    )
    assert result.exit_code == 2 and "--max-memory 1M is too little" in result.stderr


def test_info_measures_and_verify_know_of_it(cli, attributed):
    assert f"map --metric {NAME}" in cli("measures", attributed).stdout
    assert "map --metric core" not in cli("measures", attributed).stdout
    rows = {row["name"]: row for row in json.loads(cli("measures", attributed, "--json").stdout)}
    assert rows[NAME]["has_map"] and not rows["core"]["has_map"]
    assert f"map --metric {NAME}" in cli("info", attributed).stdout
    result = cli("verify", attributed, "--device", "cpu")
    assert result.exit_code == 0 and f"map {NAME} fp32" in result.stdout and "of it the bias" in result.stdout
