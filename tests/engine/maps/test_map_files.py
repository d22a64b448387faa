"""Names and content of the files of a map."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realm_engine.errors import OutputError, UsageError, WindowError
from realm_engine.maps import render
from realm_engine.maps.files import (
    DEFAULT_FORMATS,
    FORMATS,
    MapFolder,
    map_record,
    output_stems,
    parse_formats,
)
from realm_engine.maps.realness_map import DreamConfig, RealnessMap
from realm_engine.maps.spec import RegionPolicy
from realm_engine.verbs.map import choose_config


def test_output_stems() -> None:
    names = ["a.png", "b.jpg", "b.png", "sub/a.png", "sub/deep/a.b.png", "a.b.c.png"]
    assert output_stems(names) == ["a", "b.jpg", "b.png", "sub/a", "sub/deep/a.b", "a.b.c"]
    assert output_stems(["A.png", "a.jpg"]) == ["A.png", "a.jpg"]  # one file on some systems
    assert output_stems(["/x/y/a.png", "../z/a.png", "./b.png"]) == ["x/y/a", "z/a", "b"]


@pytest.mark.parametrize(
    "names",
    [
        ["a.png", "a.jpg", "a.png.bmp"],
        ["a.png", "A.png", "a.jpg", "a.jpg.png"],
        ["/d/a.png", "d/a.png", "../d/a.png"],
        ["a.png", "a", "a.png.png"],
    ],
)
def test_output_stems_never_clash(names: list[str]) -> None:
    stems = output_stems(names)
    assert len({stem.casefold() for stem in stems}) == len(names)
    for stem in stems:
        assert not Path(stem).is_absolute() and ".." not in Path(stem).parts


def test_parse_formats() -> None:
    assert parse_formats("npy, JSON,npy") == ("npy", "json")
    for bad in ("", ",", "png", "npy,foo"):
        with pytest.raises(UsageError, match="overlay,heatmap,npy,json,panel"):
            parse_formats(bad)


@pytest.fixture
def result() -> RealnessMap:
    values = np.full((100, 120), 0.8, np.float32)
    values[20:60, 30:90] = 0.3
    values[96:] = 0.0  # not covered: (100 - 32) // 8 * 8 + 32 = 96
    config = DreamConfig(windows_px=(32,), stride_px=8)
    return RealnessMap(values, config, ("melted",), "custom", 108)


def test_files(result: RealnessMap, tmp_path: Path) -> None:
    image = np.full((100, 120, 3), 77, np.uint8)
    paths = MapFolder(tmp_path / "out").write("sub/pic", image, result, {"image": "sub/pic.png"})
    assert [path.relative_to(tmp_path / "out").as_posix() for path in paths] == [
        "sub/pic.overlay.png",
        "sub/pic.heatmap.png",
        "sub/pic.npy",
        "sub/pic.json",
    ]
    assert {path for path in (tmp_path / "out").rglob("*") if path.is_file()} == set(paths)
    values = np.load(paths[2])
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, result.values)
    heat = np.asarray(Image.open(paths[1]))
    assert heat.shape == (100, 120, 3)
    assert heat[40, 60].tolist() == [255, 38, 255] and heat[5, 5].sum() > 750  # unreal magenta, real white
    assert (heat[96:] == 128).all()
    overlay = np.asarray(Image.open(paths[0]))
    assert overlay.shape[0] >= 100 and overlay.shape[1] > 120


def test_json_record(result: RealnessMap, tmp_path: Path) -> None:
    image = np.full((100, 120, 3), 77, np.uint8)
    (path,) = MapFolder(tmp_path, ("json",), regions=2).write("pic", image, result, {"image": "ü.png"})
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["image"] == "ü.png"
    assert (record["width_px"], record["height_px"]) == (120, 100)
    assert record["quantity"] == "realness" and "low = unreal" in record["meaning"]
    assert record["windows_px"] == [32] and record["stride_px"] == 8 and record["aggregate"] == "mean"
    assert record["preset"] == "custom" and record["window_count"] == 108
    assert record["uncovered_pixels"] == 4 * 120
    assert record["texts"] == ["melted"] and record["phrases"] == []
    assert record["statistics"]["min"] == pytest.approx(0.3)
    assert record["colour_limits"] == pytest.approx([0.3, 0.8])
    (region,) = record["regions"]
    assert (region["x"], region["y"], region["width"], region["height"]) == (30, 20, 60, 40)
    assert region["mean_realness"] == pytest.approx(0.3) and region["area_px"] == 2400


def test_common_colour_range(result: RealnessMap, tmp_path: Path) -> None:
    image = np.full((100, 120, 3), 77, np.uint8)
    (path,) = MapFolder(tmp_path, ("heatmap",), limits=(0.0, 1.0)).write("pic", image, result, {})
    assert np.asarray(Image.open(path))[40, 60].sum() < 700


@pytest.mark.parametrize("quantity", ["realness", "similarity"])
@pytest.mark.parametrize("limits", [(0.2, 0.6), (0.0, 1.0), (0.4, 0.45)])
def test_the_range_that_was_given_colours_every_picture(
    limits: tuple[float, float], quantity: str, tmp_path: Path
) -> None:
    """Levels of colours.csv, read here, laid over the picture: its ends at the ends of the range and beyond them."""
    table = np.loadtxt(Path(render.__file__).with_name("colours.csv"), delimiter=",", skiprows=1)
    image = np.random.default_rng(2).integers(0, 256, (256, 300, 3), np.uint8)
    values = np.tile(np.linspace(-0.1, 1.1, 300, dtype=np.float32), (256, 1))
    result = RealnessMap(values, DreamConfig((8,), 1, quantity=quantity), ("melted",), "custom", 1)
    overlay, heat, record = MapFolder(tmp_path, ("overlay", "heatmap", "json"), limits, 0).write(
        "pic", image, result, {}
    )
    assert json.loads(record.read_text(encoding="utf-8"))["colour_limits"] == list(limits)
    share = np.clip((values.astype(np.float64) - limits[0]) / (limits[1] - limits[0]), 0.0, 1.0)
    share = 1.0 - share if quantity == "realness" else share
    rows = table[np.round(255 * share).astype(int)]
    below, above = values[0] <= limits[0], values[0] >= limits[1]
    for path, ground in ((overlay, image), (heat, np.full_like(image, 255))):
        found = np.asarray(Image.open(path)).astype(np.float64)[:256, :300]
        off = np.abs(found - (ground + rows[:, :, 3:] / 255 * (rows[:, :, :3] - ground)))
        assert (
            np.median(off.max(axis=(0, 2))) <= 0.51 and off.max() < 6
        )  # a level more or less where one ends
        for end, level in (
            ((below, 0), (above, 255)) if quantity == "similarity" else ((below, 255), (above, 0))
        ):
            expected = ground + table[level, 3] / 255 * (table[level, :3] - ground)
            assert end.any() and np.abs(found - expected)[:, end].max() <= 0.51


def test_another_range_is_another_overlay_and_another_bar(result: RealnessMap, tmp_path: Path) -> None:
    image = np.full((100, 120, 3), 77, np.uint8)
    pictures = [
        np.asarray(
            Image.open(MapFolder(tmp_path / name, ("overlay",), limits, 0).write("pic", image, result, {})[0])
        )
        for name, limits in (("own", None), ("same", (0.3, 0.8)), ("wide", (-1.0, 3.0)), ("low", (0.0, 0.5)))
    ]
    own, same, wide, low = (
        (picture[:300, :360], picture[:, 360:]) for picture in pictures
    )  # enlarged three times
    np.testing.assert_array_equal(own[0], same[0])  # this map's own range is 0.3 to 0.8
    for one, other in ((own, wide), (own, low), (wide, low)):
        assert (one[0] != other[0]).any() and (one[1] != other[1]).any()


def test_without_a_number_of_regions_the_policy_of_the_bundle_counts(tmp_path: Path) -> None:
    values = np.full((100, 120), 0.8, np.float32)
    for column in range(7):
        values[20:40, 2 + 17 * column : 12 + 17 * column] = 0.1
    for most in (2, 5, 6):
        policy = RegionPolicy(most=most)
        result = RealnessMap(values, DreamConfig((16,), 1), ("melted",), "custom", 1, (), policy)
        (path,) = MapFolder(tmp_path, ("json",)).write("pic", np.zeros((100, 120, 3), np.uint8), result, {})
        assert len(json.loads(path.read_text(encoding="utf-8"))["regions"]) == most
        assert len(map_record(result, (0.0, 1.0))["regions"]) == most
        assert len(map_record(result, (0.0, 1.0), 3)["regions"]) == 3


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file: cannot be written"):
        MapFolder(tmp_path / "file")


def test_record_of_every_format_is_json(result: RealnessMap) -> None:
    assert json.loads(json.dumps(map_record(result, (0.0, 1.0)), allow_nan=False))["window_count"] == 108
    assert DEFAULT_FORMATS == ("overlay", "heatmap", "npy", "json") and set(DEFAULT_FORMATS) < set(FORMATS)


def test_choose_config() -> None:
    presets = {"released": DreamConfig(), "paper": DreamConfig((128, 64, 32), 4, "max")}
    assert choose_config(presets) == DreamConfig()
    assert choose_config(presets, "paper", quantity="similarity") == DreamConfig(
        (128, 64, 32), 4, "max", "similarity"
    )
    assert choose_config(presets, "paper", windows_px=[48]) == DreamConfig((48,), 4, "max")
    assert choose_config(presets, None, (), 2, "max") == DreamConfig((64,), 2, "max")
    with pytest.raises(UsageError, match="--preset fine: this bundle has released, paper"):
        choose_config(presets, "fine")
    with pytest.raises(WindowError):
        choose_config(presets, stride_px=0)
