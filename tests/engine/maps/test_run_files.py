"""Contact sheets and COCO data sets: what is in them, how large they get, and that pycocotools reads them."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from realm_engine.maps import contact
from realm_engine.maps.attribution import Attributed, AttributionMap
from realm_engine.maps.coco import coco_dataset, coco_summary, coco_text
from realm_engine.maps.contact import contact_sheets
from realm_engine.maps.files import MapFolder, output_stems
from realm_engine.maps.picture_map import Mapped
from realm_engine.maps.realness_map import DreamConfig, RealnessMap
from realm_engine.maps.run_files import Done, write_run_files


def made(seed: int, height: int = 96, width: int = 128) -> RealnessMap:
    rng = np.random.default_rng(seed)
    values = np.full((height, width), 0.8, np.float32)
    y, x = rng.integers(0, 40, 2)
    values[y : y + 30, x : x + 40] = 0.3 + seed / 1000
    image = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    return RealnessMap(
        values, DreamConfig((16,), 16), ("melted",), "custom", 48, image=image, name=f"p{seed}.png"
    )


def mapped(count: int) -> list[Mapped]:
    found = [made(seed) for seed in range(count)]
    return [Mapped(each.name, each.image, each) for each in found]


def test_pycocotools_reads_every_region(tmp_path: Path) -> None:
    maps = mapped(5)
    maps.insert(2, Mapped("broken.png", None, None, "no picture"))
    (tmp_path / "coco.json").write_text(json.dumps(coco_dataset(maps)), encoding="utf-8")
    with redirect_stdout(io.StringIO()):
        coco = COCO(tmp_path / "coco.json")
        results = coco.loadRes(
            [
                {k: a[k] for k in ("image_id", "category_id", "bbox", "score")}
                for a in coco.loadAnns(coco.getAnnIds())
            ]
        )
    assert coco.loadCats(coco.getCatIds()) == [{"id": 1, "name": "unreal", "supercategory": "realness"}]
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == [
        f"p{seed}.png" for seed in range(5)
    ]
    assert len(results.getAnnIds()) == 5
    for seed, image_id in enumerate(coco.getImgIds()):
        (annotation,) = coco.loadAnns(coco.getAnnIds(imgIds=[image_id]))
        below = made(seed).values < 0.5
        rows, columns = np.flatnonzero(below.any(axis=1)), np.flatnonzero(below.any(axis=0))
        assert annotation["bbox"] == [columns[0], rows[0], 40, 30] and annotation["area"] == below.sum()
        assert annotation["score"] == pytest.approx(1 - (0.3 + seed / 1000), abs=1e-5)
        assert annotation["iscrowd"] == 0 and annotation["segmentation"] == []


def test_a_data_set_of_another_quantity_and_of_nothing() -> None:
    values = np.zeros((64, 80), np.float32)
    values[10:40, 20:60] = 1e-3
    added = AttributionMap(values, Attributed("real-fake", "p_fake", "fake"), 1.0, -0.2, {"p_fake": 0.7})
    found = coco_dataset([Mapped("a.png", None, added)])
    assert found["categories"] == [{"id": 1, "name": "for fake", "supercategory": "real-fake"}]
    assert found["annotations"][0]["score"] == pytest.approx(1.2, rel=1e-4)
    empty = json.loads("".join(coco_text([], {"description": "nothing"})))
    assert empty["images"] == empty["annotations"] == empty["categories"] == []


def test_names_that_are_no_unicode_stay_json() -> None:
    text = "".join(coco_text([('a\udcff"\n写.png', coco_summary(made(1)))], {}))
    assert (
        json.loads(text.encode("utf-8", "backslashreplace"))["images"][0]["file_name"] == 'a\udcff"\n写.png'
    )


@pytest.mark.parametrize(
    ("count", "grids"), [(1, [(2, 1)]), (8, [(4, 2)]), (36, [(6, 6)]), (75, [(6, 6), (6, 6), (3, 1)])]
)
def test_sheets_are_bounded_and_hold_every_picture_in_order(count: int, grids: list[tuple[int, int]]) -> None:
    maps = mapped(count)
    sheets = list(contact_sheets(iter(maps)))
    cell_width, cell_height = contact.cell(maps[0].map, maps[0].image).size
    assert (cell_width, cell_height) == (272, 8 + 192 + 70)  # the picture of 128 x 96 is doubled
    assert len(sheets) == len(grids)
    for number, (sheet, (columns, rows)) in enumerate(zip(sheets, grids, strict=True)):
        assert (
            sheet.width == columns * cell_width
            and rows * cell_height < sheet.height < rows * cell_height + 60
        )
        pixels = np.asarray(sheet)
        for place, each in enumerate(maps[36 * number : 36 * (number + 1)]):
            left, top = place % columns * cell_width, place // columns * cell_height
            shown = pixels[top + 8 : top + 200, left + 8 : left + 264]
            assert (shown[-1, -1] == each.image[0, 0]).all() and (shown != each.image[0, 0]).any()


def test_words_of_a_row_stand_on_one_line() -> None:
    wide, tall = made(1), made(2, 128, 96)
    (sheet,) = contact_sheets([Mapped(each.name, each.image, each) for each in (wide, tall)])
    pixels = np.asarray(sheet)
    assert sheet.size[1] > 8 + 256 + 70
    for left, each, size in ((8, wide, (192, 256)), (272 + 8 + 32, tall, (256, 192))):
        shown = pixels[8 + 256 - size[0] : 8 + 256, left : left + size[1]]
        assert (shown[-1, -1] == each.image[0, 0]).all() and (shown[-1, 0] == each.image[0, 0]).all()
        assert (pixels[8 + 257, left : left + size[1]] == 255).all()  # under the line round it


def test_a_picture_that_failed_keeps_its_place() -> None:
    (sheet,) = contact_sheets([*mapped(1), Mapped("broken.png", None, None, "broken.png: not an image")])
    other = np.asarray(sheet)[8:200, 272 + 8 : 272 + 264]
    assert (other == 232).all()


def folder_of(tmp_path: Path, maps: list[Mapped]) -> tuple[MapFolder, list[Done]]:
    folder = MapFolder(tmp_path, ("contact", "coco"))
    done = []
    for each in maps:
        folder.write(each.name[:-4], each.image, each.map, {})
        done.append(Done(each.name, each.name[:-4], folder.summary(each.map)))
    return folder, done


def test_files_of_a_run_are_those_of_the_library(tmp_path: Path) -> None:
    maps = mapped(40)
    folder, done = folder_of(tmp_path, maps)
    paths = write_run_files(folder, done, {"description": "regions of maps by realm-engine"})
    assert [path.name for path in paths] == ["map.contact-1.png", "map.contact-2.png", "map.coco.json"]
    assert json.loads(paths[2].read_text(encoding="utf-8")) == coco_dataset(maps)
    for path, sheet in zip(paths, contact_sheets(maps), strict=False):
        found = Image.open(path)
        assert found.size == sheet.size and found.info["Software"] == "realm-engine map"
    # A run with fewer pictures leaves no sheet of the earlier one.
    write_run_files(folder, done[:3], {})
    assert sorted(path.name for path in tmp_path.glob("map.*")) == ["map.coco.json", "map.contact-1.png"]


def test_a_record_never_takes_the_name_of_the_data_set() -> None:
    assert output_stems(["map.coco.png", "b.png"]) == ["map.coco.png", "b"]
