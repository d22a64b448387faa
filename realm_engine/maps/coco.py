"""The regions of many maps as one COCO data set, which FiftyOne, CVAT, Label Studio and pycocotools read.

An annotation is a region: `bbox` [x, y, width, height] and `area` in pixels, and `score`, higher = more so: of a map of
realness the mean cosine with its text (1 - mean realness), of one that attributes a number what the region adds to its
logit. There are no outlines: `segmentation` is empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from realm_engine.maps.picture_map import Mapped, PictureMap

FILE = "map.coco.json"
"""What the file of a run is called."""


def coco_summary(result: PictureMap, regions: int | None = None) -> str:
    """What the files of a whole run need of one map, as JSON: short enough to keep of every picture."""
    height, width = result.values.shape
    found = [
        {
            "bbox": [region.x, region.y, region.width, region.height],
            "area": region.area_px,
            "score": round(result.score_of(region), 6),
        }
        for region in result.regions(regions)
    ]
    legend = result.legend
    summary = {
        "width": width,
        "height": height,
        "category": legend.covered,
        "plain": legend.plain,
        "numbers": result.value_meaning,
        "supercategory": legend.quantity,
        "regions": found,
    }
    return json.dumps(summary, allow_nan=False, separators=(",", ":"))


def coco_text(summaries: Sequence[tuple[str, str]], info: Mapping[str, Any]) -> Iterator[str]:
    """A data set as JSON, some of it at a time.

    Args:
        summaries: Of every picture its file name and what `coco_summary` said, in order.
        info: Stands in the data set as it is.
    """
    kinds = [json.loads(summary) for _, summary in summaries[:1]]
    categories = [
        {"id": 1, "name": kind["category"], "supercategory": kind["supercategory"]} for kind in kinds
    ]
    head = {"info": dict(info), "licenses": [], "categories": categories}
    yield json.dumps(head, ensure_ascii=False, allow_nan=False)[:-1]
    yield ', "images": ['
    yield from _listed(_images(summaries))
    yield '\n], "annotations": ['
    yield from _listed(_annotations(summaries))
    yield "\n]}\n"


def coco_dataset(maps: Iterable[Mapped[PictureMap]], regions: int | None = None) -> dict[str, Any]:
    """The regions of maps, such as `Engine.iter_maps` gives, as a COCO data set ready for `json.dump`.

    Pictures that could not be mapped are left out; the others have the ids 1, 2, ... in order. `regions`: how many of
    each picture; None: as many as the bundle says.
    """
    summaries = [(each.name, coco_summary(each.map, regions)) for each in maps if each.map is not None]
    text = "".join(coco_text(summaries, {"description": "regions of maps by realm-engine"}))
    dataset: dict[str, Any] = json.loads(text)
    return dataset


def _images(summaries: Iterable[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    for number, (name, summary) in enumerate(summaries, start=1):
        found = json.loads(summary)
        yield {"id": number, "file_name": name, "width": found["width"], "height": found["height"]}


def _annotations(summaries: Iterable[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    number = 0
    for image, (_, summary) in enumerate(summaries, start=1):
        for region in json.loads(summary)["regions"]:
            number += 1
            yield {
                "id": number,
                "image_id": image,
                "category_id": 1,
                **region,
                "iscrowd": 0,
                "segmentation": [],
            }


def _listed(items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for number, item in enumerate(items):
        yield (",\n" if number else "\n") + json.dumps(item, ensure_ascii=False, allow_nan=False)
