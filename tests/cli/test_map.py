"""`realm-engine map` as a user meets it."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from bundles import build_bundle, read_manifest, write_manifest
from command_line import interrupted, many_pictures
from one_pass_bundle import build_one_pass_bundle
from PIL import Image

from realm_engine.machine.files import PARTIAL
from realm_engine.pictures.decode import load_image


def files(folder: Path) -> list[str]:
    """What was drawn; the record of the run (tests/cli/test_map_resume.py) left out."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != "map.run.jsonl")


def record(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_four_files_per_image(cli, pictures, tmp_path) -> None:
    out = tmp_path / "maps"
    result = cli("map", pictures, "--text", "the face is melted", "--output", out)
    assert result.exit_code == 0 and result.stdout == ""
    stems = ["a", "b", "d", "sub/c"]
    kinds = ["heatmap.png", "json", "npy", "overlay.png"]
    assert files(out) == sorted(f"{stem}.{kind}" for stem in stems for kind in kinds)
    for stem, name in zip(stems, ["a.png", "b.jpg", "d.bmp", "sub/c.webp"], strict=True):
        height, width = load_image(pictures / name).shape[:2]
        values = np.load(out / f"{stem}.npy")
        assert values.shape == (height, width) and values.dtype == np.float32
        facts = record(out / f"{stem}.json")
        assert facts["image"] == name and facts["texts"] == ["the face is melted"]
        assert (facts["width_px"], facts["height_px"]) == (width, height)
        assert facts["text_source"] == "given" and facts["phrases"] == []
        assert facts["bundle"] == "test-bundle" and facts["device"] == "cpu" and facts["precision"] == "fp32"
        assert facts["runtime"].startswith("ONNX Runtime")
        assert facts["preset"] == "released" and facts["windows_px"] == [64] and facts["stride_px"] == 8
        covered = np.isfinite(values)
        assert facts["uncovered_pixels"] == (~covered).sum()
        assert facts["statistics"]["min"] == pytest.approx(float(values[covered].min()))
        assert Image.open(out / f"{stem}.heatmap.png").size == (width, height)


def test_values_agree_with_the_reference(cli, pictures, tmp_path, reference) -> None:
    result = cli(
        "map", pictures / "d.bmp", "--text", "a seam", "--window", 32, "--stride", 32, "--output", tmp_path
    )
    assert result.exit_code == 0
    image = load_image(pictures / "d.bmp")
    expected = np.zeros((64, 64))
    for top in (0, 32):
        for left in (0, 32):
            crop = image[top : top + 32, left : left + 32]
            expected[top : top + 32, left : left + 32] = 1.0 - reference.similarity(crop, "a seam")
    np.testing.assert_allclose(np.load(tmp_path / "d.npy"), expected, atol=2e-4)


def test_quantities_are_complements_and_colours_agree(cli, pictures, tmp_path) -> None:
    maps, heats = {}, {}
    for quantity in ("realness", "similarity"):
        out = tmp_path / quantity
        cli("map", pictures / "a.png", "--text", "melted", "--quantity", quantity, "--output", out)
        maps[quantity] = np.load(out / "a.npy")
        heats[quantity] = np.asarray(Image.open(out / "a.heatmap.png")).astype(int)
        assert record(out / "a.json")["quantity"] == quantity
    covered = maps["realness"] != 0
    np.testing.assert_allclose((maps["realness"] + maps["similarity"])[covered], 1.0, atol=1e-6)
    assert np.abs(heats["realness"] - heats["similarity"]).max() <= 4


def test_presets_and_overrides(cli, pictures, tmp_path) -> None:
    def facts(*options: object) -> dict:
        result = cli(
            "map", pictures / "a.png", "--text", "x", "--format", "json", "--output", tmp_path, *options
        )
        assert result.exit_code == 0, result.stderr
        return record(tmp_path / "a.json")

    assert facts()["preset"] == "released"
    tiny = facts("--preset", "tiny")
    assert (tiny["preset"], tiny["windows_px"], tiny["stride_px"]) == ("tiny", [24, 16], 8)
    own = facts("--preset", "tiny", "--window", 40, "--window", 20, "--aggregate", "max")
    assert (own["preset"], own["windows_px"], own["stride_px"], own["aggregate"]) == (
        "custom",
        [40, 20],
        8,
        "max",
    )
    assert facts("--stride", 4)["window_count"] == 3 * 9
    result = cli("map", pictures / "a.png", "--text", "x", "--preset", "fine", "--output", tmp_path)
    assert result.exit_code == 2 and "--preset fine: this bundle has released, paper, tiny" in result.stderr


def test_without_text_the_phrases_are_named(cli, pictures, tmp_path) -> None:
    result = cli("map", pictures / "a.png", "--no-descriptions", "--output", tmp_path)
    assert result.exit_code == 0
    facts = record(tmp_path / "a.json")
    assert facts["text_source"] == "phrases of the bundle"
    assert facts["phrases"] and [phrase["text"] for phrase in facts["phrases"]] == facts["texts"]
    assert "a.png: phrases chosen: " in result.stderr
    for phrase in facts["phrases"]:
        assert phrase["text"] in result.stderr


@pytest.mark.parametrize("found", [True, False])
def test_descriptions(cli, pictures, tmp_path, found) -> None:
    table = pictures / "image_descriptions.csv"
    given = () if found else ("--descriptions", table)
    result = cli("map", pictures, *given, "--format", "json", "--output", tmp_path)
    assert result.exit_code == 0 and "(2 of 4 images have one)" in result.stderr
    assert record(tmp_path / "a.json")["texts"] == ["Yes, the face is melted"]
    assert record(tmp_path / "a.json")["text_source"] == "descriptions"
    assert record(tmp_path / "b.json")["text_source"] == "phrases of the bundle"
    options = ["--missing-text", "error", "--output", tmp_path / "strict", "--format", "json"]
    result = cli("map", pictures, "--descriptions", table, *options)
    assert result.exit_code == 1 and result.stderr.count("error: ") == 2
    assert files(tmp_path / "strict") == ["a.json", "sub/c.json"]


def test_equal_stems_do_not_overwrite(cli, pictures, tmp_path) -> None:
    Image.open(pictures / "a.png").transpose(Image.Transpose.ROTATE_180).save(pictures / "a.bmp")
    cli("map", pictures, "--text", "x", "--format", "npy", "--output", tmp_path / "m")
    assert files(tmp_path / "m") == ["a.bmp.npy", "a.png.npy", "b.npy", "d.npy", "sub/c.npy"]
    one, other = (np.load(tmp_path / "m" / f"a.{kind}.npy") for kind in ("png", "bmp"))
    assert (one != other).any()


def test_a_window_too_large_fails_that_image_only(cli, pictures, tmp_path) -> None:
    result = cli(
        "map", pictures, "--text", "x", "--window", 72, "--format", "npy", "--output", tmp_path / "m"
    )
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert (
        line.startswith("error: d.bmp: a window of 72 px does not fit")
        and "the largest that fits is 64 px" in line
    )
    assert files(tmp_path / "m") == ["a.npy", "b.npy", "sub/c.npy"]
    assert "3 of 4 maps" in result.stderr


def test_a_broken_image_fails_alone(cli, pictures, tmp_path) -> None:
    (pictures / "b.jpg").write_bytes((pictures / "b.jpg").read_bytes()[:700])
    result = cli("map", pictures, "--text", "x", "--format", "npy", "--output", tmp_path / "m")
    assert result.exit_code == 1 and result.stderr.count("error: ") == 1 and "b.jpg" in result.stderr
    assert files(tmp_path / "m") == ["a.npy", "d.npy", "sub/c.npy"]


def test_shared_colour_range(cli, pictures, tmp_path) -> None:
    options = ["--text", "x", "--range", "-1", "3", "--regions", 0, "--output", tmp_path]
    assert cli("map", pictures / "a.png", *options).exit_code == 0
    facts = record(tmp_path / "a.json")
    assert facts["colour_limits"] == [-1.0, 3.0] and facts["regions"] == []


def test_the_colour_range_reaches_the_overlay(cli, pictures, tmp_path) -> None:
    overlays = {}
    for name, limits in {"wide": ("-1", "3"), "narrow": ("0.9", "1.1")}.items():
        out = tmp_path / name
        options = [
            "--text",
            "x",
            "--range",
            *limits,
            "--regions",
            0,
            "--format",
            "overlay,json",
            "--output",
            out,
        ]
        assert cli("map", pictures / "a.png", *options).exit_code == 0
        assert record(out / "a.json")["colour_limits"] == [float(limit) for limit in limits]
        overlays[name] = np.asarray(Image.open(out / "a.overlay.png"))
    assert (overlays["wide"][:256] != overlays["narrow"][:256]).any(axis=2).mean() > 0.2


def test_the_bundle_says_how_many_regions_are_shown(cli, photo, tmp_path) -> None:
    policy = {"below_std": 0.1, "least_window_areas": 0.01, "most": 1}
    bundle = build_bundle(tmp_path / "b", core=False)
    write_manifest(bundle, read_manifest(bundle) | {"format_version": "1.1", "maps": {"regions": policy}})
    Image.fromarray(photo(150, 190, 1)).save(tmp_path / "p.png")
    for more, shown in (((), 1), (("--regions", 2), 2)):
        arguments = (
            "--text",
            "x",
            "--window",
            8,
            "--stride",
            4,
            *more,
            "--format",
            "json",
            "--output",
            tmp_path,
        )
        assert cli("map", tmp_path / "p.png", *arguments, bundle=bundle).exit_code == 0
        assert len(record(tmp_path / "p.json")["regions"]) == shown


def test_console_script_and_default_folder(script, pictures, tmp_path) -> None:
    done = script("map", pictures / "a.png", "--text", "melted", cwd=tmp_path)
    assert done.returncode == 0 and "1 of 1 maps in out/maps" in done.stderr
    assert len(files(tmp_path / "out" / "maps")) == 4


def test_mistakes_are_one_line_and_exit_code_two(cli, pictures, tmp_path) -> None:
    (tmp_path / "taken").write_text("x")
    (tmp_path / "empty").mkdir()
    mute = build_bundle(tmp_path / "mute", phrases=False)
    only_core = build_bundle(tmp_path / "only-core", dream=False)
    out = ["--output", tmp_path / "maps"]
    for arguments, bundle, message in [
        ([tmp_path / "empty", *out], None, "empty: no images found"),
        ([pictures, "--output", tmp_path / "taken"], None, "taken: cannot be written"),
        ([pictures, "--output", tmp_path / "taken" / "maps"], None, "cannot be written"),
        ([pictures, *out, "--format", "png"], None, "choose one or more of overlay,heatmap,npy,json"),
        ([pictures, *out, "--text", " "], None, "--text is empty"),
        (
            [pictures, *out, "--text", "x", "--descriptions", tmp_path / "taken"],
            None,
            "contradicts --descriptions",
        ),
        ([pictures, *out, "--text", "x", "--window", "0"], None, "from 1, not 0"),
        ([pictures, *out, "--text", "x", "--window", "32", "--window", "32"], None, "repeat"),
        ([pictures, *out, "--text", "x", "--stride", "-8"], None, "from 1, not -8"),
        ([pictures, *out, "--text", "x", "--aggregate", "median"], None, "'median' is not one of"),
        ([pictures, *out, "--text", "x", "--range", "1", "1"], None, "--range"),
        (
            [pictures, *out, "--no-descriptions", "--missing-text", "error"],
            None,
            "no image has a description",
        ),
        ([pictures, *out, "--no-descriptions"], mute, "no phrases to choose from"),
        ([pictures, *out, "--text", "x"], only_core, "has no DREAM and cannot map"),
    ]:
        result = cli("map", *arguments, **({} if bundle is None else {"bundle": bundle}))
        assert result.exit_code == 2, (arguments, result.stderr)
        lines = [line for line in result.stderr.splitlines() if line.lower().startswith("error: ")]
        assert len(lines) == 1 and message in lines[0], result.stderr
    assert not files(tmp_path / "maps") if (tmp_path / "maps").exists() else True


@pytest.mark.parametrize(
    ("more", "windows", "share"),
    [
        ((), 11 * 16, 0.2),
        (("--stride", 4), 22 * 32, 0.2),
        (("--stride", 16), 6 * 8, 0.4 * 2**0.5),  # windows that overlap less: more of them
        (("--window", 32), 15 * 20, 0.4 * 2**0.5),
        (("--window", 32, "--stride", 4), 30 * 40, 0.2),
        (("--stride", 64), 2 * 2, 1.0),  # windows that do not overlap cannot be spared
    ],
)
def test_the_fast_preset_says_how_many_windows_it_used(cli, photo, tmp_path, more, windows, share) -> None:
    Image.fromarray(photo(150, 190, 1)).save(tmp_path / "p.png")
    fast = ("--preset", "fast", "--output", tmp_path, "--format", "json")
    assert cli("map", tmp_path / "p.png", "--text", "x", *fast, *more).exit_code == 0
    facts = record(tmp_path / "p.json")
    assert facts["preset"] == ("custom" if more else "fast")
    assert (facts["window_count"], facts["windows_of_grid"]) == (math.ceil(share * windows), windows)


def test_a_memory_limit_below_the_models_need_is_an_error_with_the_cure(cli, pictures, tmp_path) -> None:
    result = cli("map", pictures, "--text", "x", "--max-memory", "10M", "--output", tmp_path / "m")
    assert result.exit_code == 2 and "--max-memory 10M is too little" in result.stderr
    result = cli("score", pictures, "--max-memory", "10M")
    assert result.exit_code == 2 and "give at least" in result.stderr
    result = cli("score", pictures, "--max-memory", "much")
    assert result.exit_code == 2 and "'much' is no amount of memory" in result.stderr


def test_interrupt_leaves_no_half_written_file(photo, tmp_path, bundle_path) -> None:
    """A real Ctrl-C in the middle of real maps, while a file is being written."""
    folder, out = tmp_path / "many", tmp_path / "maps"
    folder.mkdir()
    many_pictures(folder, photo(800, 1000))
    command = [str(Path(sys.executable).with_name("realm-engine")), "map", str(folder), "--text", "x"]
    command += ["--bundle", str(bundle_path), "--threads", "1", "--output", str(out), "--stride", "64"]
    interrupted(command, lambda: any(out.glob("*.json")) and any(out.glob(f".*{PARTIAL}")))
    for path in out.iterdir():
        if path.suffix == ".npy":
            assert np.load(path).shape == (800, 1000)
        elif path.suffix == ".png":
            Image.open(path).load()
        elif path.suffix == ".json":
            record(path)
        else:
            assert path.name == "map.run.jsonl"


def test_the_record_names_the_encoder(cli, photo, tmp_path):
    bundle = build_one_pass_bundle(tmp_path / "bundle")
    Image.fromarray(photo(80, 90)).save(tmp_path / "a.png")
    values = []
    for asked, expected in (("auto", "one-pass"), ("one-pass", "one-pass"), ("each-window", "each-window")):
        out = tmp_path / asked
        options = ["--text", "no", "--encoder", asked, "--output", out]
        result = cli("map", tmp_path / "a.png", *options, bundle=bundle)
        assert result.exit_code == 0, result.stderr
        assert json.loads((out / "a.json").read_text(encoding="utf-8"))["encoder"] == expected
        values.append(np.load(out / "a.npy"))
    np.testing.assert_array_equal(values[0], values[1])
    assert np.nanmax(np.abs(values[0] - values[2])) > 1e-3
