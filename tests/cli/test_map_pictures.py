"""`realm-engine map`: scores beside maps, regions on the terminal, and the formats of whole runs."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from bundles import build_bundle, read_manifest, write_manifest
from PIL import Image
from pycocotools.coco import COCO
from repository import ROOT

TEXT = ("--text", "a seam", "--window", 24, "--stride", 4)


def record(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_score_beside_a_map_is_that_of_score(cli, pictures, tmp_path):
    table = pictures / "image_descriptions.csv"
    assert cli("map", pictures, "--descriptions", table, "--output", tmp_path / "m").exit_code == 0
    assert cli("score", pictures, "--output", tmp_path / "s.jsonl").exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 4
    for row in rows:
        scores = record(tmp_path / "m" / f"{Path(row['filename']).with_suffix('')}.json")["scores"]
        assert scores and all(row[name] == pytest.approx(value, abs=1e-4) for name, value in scores.items())


def test_nothing_is_decoded_twice_for_it(cli, pictures, tmp_path, monkeypatch):
    from realm_engine.pictures import intake

    decoded, load = [], intake.load_image
    monkeypatch.setattr(
        intake, "load_image", lambda source, *rest: decoded.append(str(source)) or load(source, *rest)
    )
    assert cli("map", pictures, *TEXT, "--output", tmp_path / "m").exit_code == 0
    assert len(decoded) == len(set(decoded)) == 4


def test_without_a_score(cli, pictures, tmp_path):
    both = [
        cli("map", pictures / "a.png", *TEXT, "--output", tmp_path / name, *more)
        for name, more in (("with", ()), ("without", ("--no-score",)))
    ]
    assert [each.exit_code for each in both] == [0, 0]
    assert "scores" not in record(tmp_path / "without" / "a.json")
    one, other = (np.asarray(Image.open(tmp_path / name / "a.overlay.png")) for name in ("with", "without"))
    np.testing.assert_array_equal(one[:216, :288], other[:216, :288])  # the picture, enlarged three times
    assert one.shape != other.shape or (one != other).any()
    refused = cli("map", pictures / "a.png", *TEXT, "--output", tmp_path / "with", "--no-score", "--resume")
    assert refused.exit_code == 2 and "scores" in refused.stderr


def test_terms_of_the_score_are_said_where_it_is_asked_for(cli, tmp_path):
    photo = ROOT / "samples" / "cat.jpg"
    for more, said in ((), True), (("--no-score",), False), (("--format", "npy,heatmap"), False):
        result = cli("map", photo, "--output", tmp_path / "m", *more, bundle="realm-tiny")
        assert result.exit_code == 0 and ("licence of core: Research" in result.stderr) == said


def test_a_bundle_that_scores_nothing(cli, pictures, tmp_path):
    mute = build_bundle(tmp_path / "mute", core=False)
    result = cli("map", pictures / "a.png", *TEXT, "--output", tmp_path / "m", bundle=mute)
    assert result.exit_code == 0 and "scores" not in record(tmp_path / "m" / "a.json")


def test_a_measure_that_the_precision_lacks_is_named(cli, pictures, tmp_path):
    bundle = build_bundle(tmp_path / "half", fp16=True)
    manifest = read_manifest(bundle)
    for graph in ("core", "core_text"):
        del manifest["graphs"][graph]["variants"]["fp16"]
    write_manifest(bundle, manifest)
    arguments = ("map", pictures / "a.png", *TEXT, "--output", tmp_path / "m", "--precision", "fp16")
    result = cli(*arguments, bundle=bundle)
    assert (
        result.exit_code == 0
        and "no scores stand beside the maps: core is not there as fp16" in result.stderr
    )


def test_regions_of_a_single_picture_are_printed(cli, pictures, tmp_path):
    result = cli("map", pictures / "a.png", *TEXT, "--output", tmp_path / "m")
    regions = record(tmp_path / "m" / "a.json")["regions"]
    lines = [line.split() for line in result.stdout.splitlines()]
    if not regions:
        assert result.stdout == "" and "no region stands out" in result.stderr
    else:
        assert lines[0] == ["region", "mean_realness", "x", "y", "width", "height"]
        for number, (line, region) in enumerate(zip(lines[1:], regions, strict=True), start=1):
            sides = [str(region[side]) for side in ("x", "y", "width", "height")]
            assert line == [str(number), f"{region['mean_realness']:.3f}", *sides]
    assert cli("map", pictures, *TEXT, "--output", tmp_path / "all").stdout == ""


FORMATS = ("--format", "panel,contact,coco,json")


def test_formats_of_a_run(cli, pictures, tmp_path):
    out = tmp_path / "m"
    (pictures / "broken.png").write_bytes(b"no picture")
    result = cli("map", pictures, *TEXT, *FORMATS, "--output", out)
    assert result.exit_code == 1 and f"wrote {out / 'map.contact-1.png'}" in result.stderr
    coco = COCO(out / "map.coco.json")
    names = [image["file_name"] for image in coco.loadImgs(coco.getImgIds())]
    assert names == ["a.png", "b.jpg", "d.bmp", "sub/c.webp"]
    for image, stem in zip(coco.getImgIds(), ("a", "b", "d", "sub/c"), strict=True):
        regions = record(out / f"{stem}.json")["regions"]
        found = coco.loadAnns(coco.getAnnIds(imgIds=[image]))
        assert [each["bbox"] for each in found] == [
            [r["x"], r["y"], r["width"], r["height"]] for r in regions
        ]
    sheet = np.asarray(Image.open(out / "map.contact-1.png"))
    assert sheet.shape[1] == 3 * 272
    assert (sheet[60:200, 2 * 272 + 8 : 2 * 272 + 264] == 232).all()  # broken.png is third
    width, height = Image.open(pictures / "a.png").size
    panel = Image.open(out / "a.panel.png")
    assert panel.width > 2 * 3 * width and panel.height >= 3 * height


def test_formats_of_a_run_go_on(cli, pictures, tmp_path):
    """A folder that grew and lost a picture: the same files as of one run, and what was mapped is not mapped again."""
    out, whole = tmp_path / "m", tmp_path / "whole"
    (pictures / "z.png").write_bytes((pictures / "b.jpg").read_bytes())
    assert cli("map", pictures, *TEXT, *FORMATS, "--output", out).exit_code == 0
    (pictures / "z.png").unlink()
    (pictures / "aa.png").write_bytes((pictures / "a.png").read_bytes())
    (out / ".map.contact" / "d.png").unlink()
    result = cli("map", pictures, *TEXT, *FORMATS, "--output", out, "--resume")
    assert result.exit_code == 0 and "3 of 5 images are mapped already" in result.stderr
    assert cli("map", pictures, *TEXT, *FORMATS, "--output", whole).exit_code == 0
    for name in ("map.coco.json", "map.contact-1.png"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    again = cli("map", pictures, *TEXT, *FORMATS, "--output", out, "--resume")
    assert again.exit_code == 0 and "5 of 5 images are mapped already" in again.stderr
    assert (out / "map.coco.json").read_bytes() == (whole / "map.coco.json").read_bytes()


@pytest.mark.parametrize("formats", ["contact", "panel", "contact,coco,panel"])
def test_what_is_drawn_beside_the_pictures_is_no_picture_of_the_next_run(cli, pictures, formats):
    arguments = ("map", pictures, *TEXT, "--output", pictures, "--format", formats)
    first, second = cli(*arguments), cli(*arguments, "--strict")
    assert first.exit_code == second.exit_code == 0, second.stderr
    assert f"4 of 4 maps in {pictures}" in second.stderr


def test_the_pictures_of_the_documentation_are_what_the_recipe_draws(tmp_path):
    """But for the last digits, which are another processor's."""
    recipe = runpy.run_path(str(ROOT / "recipes" / "map_picture.py"))
    recipe["main"](tmp_path)
    assert recipe["PICTURES"]
    for name in recipe["PICTURES"]:
        drawn, kept = (Image.open(folder / name) for folder in (tmp_path, ROOT / "docs"))
        assert drawn.size == kept.size and (ROOT / "docs" / name).stat().st_size < 300_000
        off = np.abs(np.asarray(drawn).astype(int) - np.asarray(kept))
        assert off.mean() < 0.5, f"docs/{name}: run python recipes/map_picture.py"
