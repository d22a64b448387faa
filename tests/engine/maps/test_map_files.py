"""Names and content of the files of a map."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realm_engine.errors import OutputError, UsageError, WindowError
from realm_engine.maps.files import FORMATS, MapFolder, map_record, output_stems, parse_formats
from realm_engine.maps.realness_map import DreamConfig, RealnessMap
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
        with pytest.raises(UsageError, match="overlay,heatmap,npy,json"):
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


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file: cannot be written"):
        MapFolder(tmp_path / "file")


def test_record_of_every_format_is_json(result: RealnessMap) -> None:
    assert json.loads(json.dumps(map_record(result, (0.0, 1.0)), allow_nan=False))["window_count"] == 108
    assert FORMATS == ("overlay", "heatmap", "npy", "json")


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
