"""The view "centre-crop": resized and cut as Pillow does it, of any size, alone or with others."""

from __future__ import annotations

import numpy as np
import pytest
from embedding_page import program
from PIL import Image
from repository import ROOT

from realm_engine.bundle.manifest import GraphSpec, Section, TensorSpec
from realm_engine.errors import BundleError
from realm_engine.measures.look import View
from realm_engine.pictures.together import Together

SIZES = [(60, 84), (84, 60), (48, 48), (33, 200), (47, 31), (40, 41)]


GRAPH = GraphSpec(
    "tower",
    {"fp32": "tower.onnx"},
    (
        TensorSpec("pixels", "uint8", ("batch", "height", "width", 3)),
        TensorSpec("resample_rows", "float32", ("resizes", 1, 40, "height")),
        TensorSpec("resample_cols", "float32", ("resizes", 1, 40, "width")),
    ),
    (),
)


def view(**fields: object) -> View:
    section = {"kind": "centre-crop", "size_px": 40, "interpolation": "bilinear", **fields}
    return View.parse(Section(section, "measure x: view"))


def seen(feeds: dict[str, np.ndarray]) -> np.ndarray:
    """Columns, then rows, as the graphs do it, in float64; uint8 [N, S, S, 3]."""
    planes = feeds["pixels"].transpose(0, 3, 1, 2).astype(np.float64)
    rows, columns = (feeds[name].astype(np.float64) for name in ("resample_rows", "resample_cols"))
    wide = np.clip(np.floor(planes @ columns.swapaxes(-1, -2) + 0.5), 0, 255)
    return np.clip(np.floor(rows @ wide + 0.5), 0, 255).transpose(0, 2, 3, 1).astype(np.uint8)


def by_pillow(picture: np.ndarray, short_px: int, size_px: int, filter: Image.Resampling) -> np.ndarray:
    """One axis after the other, since Pillow 13 may swap the passes; then the crop of torchvision."""
    height, width = picture.shape[:2]
    if height < width:
        height, width = short_px, int(short_px * width / height)
    else:
        height, width = int(short_px * height / width), short_px
    image = Image.fromarray(picture).resize((width, picture.shape[0]), filter).resize((width, height), filter)
    left, top = round((width - size_px) / 2.0), round((height - size_px) / 2.0)
    return np.asarray(image.crop((left, top, left + size_px, top + size_px)))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("short_px", [40, 46])
def test_it_is_pillows_resize_and_crop(photo, interpolation, short_px):
    pictures = [photo(*size, seed=seed) for seed, size in enumerate(SIZES)]
    look = view(short_px=short_px, interpolation=interpolation)
    filter = Image.Resampling[interpolation.upper()]
    together = seen(look.feeds(Together.of_many_sizes(pictures), GRAPH))
    for picture, row in zip(pictures, together, strict=True):
        expected = by_pillow(picture, short_px, 40, filter)
        alone = seen(look.feeds(Together.of_one_size([picture]), GRAPH))[0]
        np.testing.assert_array_equal(row, alone)
        # Coefficients are float32, whose sums may fall to the other side of a half.
        assert np.abs(alone.astype(int) - expected).max() <= 1
        assert (alone == expected).mean() > 0.99


def test_a_large_picture_is_resized_before_the_graph(photo, monkeypatch):
    picture, look = photo(300, 411), view(short_px=46)
    expected = seen(look.feeds(Together.of_one_size([picture]), GRAPH))
    monkeypatch.setattr("realm_engine.measures.look.LARGE_PX", 300 * 411 - 1)
    feeds = look.feeds(Together.of_one_size([picture]), GRAPH)
    assert feeds["pixels"].shape == (1, 40, 40, 3)
    assert (feeds["resample_rows"] == np.eye(40)).all()
    # Sums in float32 may fall to the other side of a half.
    difference = np.abs(seen(feeds).astype(int) - expected)
    assert difference.max() <= 1 and (difference == 0).mean() > 0.99


def test_the_page_for_other_hosts_says_the_same(photo, monkeypatch):
    monkeypatch.chdir(ROOT)
    page = program()
    fed = {}
    entry = {"kind": "centre-crop", "size_px": 40, "short_px": 46, "interpolation": "bicubic"}
    page.look.__globals__["MANIFEST"] = {"graphs": {"tower": {"inputs": []}}}
    page.look.__globals__["run"] = lambda graph, output, **feeds: fed.update(feeds)
    for seed, size in enumerate(SIZES):
        picture = photo(*size, seed=seed)
        page.look("tower", entry, "features", picture)
        ours = view(short_px=46, interpolation="bicubic").feeds(Together.of_one_size([picture]), GRAPH)
        for name in ("resample_rows", "resample_cols"):
            np.testing.assert_array_equal(fed[name], ours[name][0, 0])


def test_without_short_px_the_short_side_is_the_crops(photo):
    assert view().spans(48, 96) == view(short_px=40).spans(48, 96)
    assert view().input_px(photo(48, 96)) == (40, 40)


def test_a_strip_takes_no_more_than_its_middle():
    feeds = view().feeds(Together.of_one_size([np.zeros((1, 3000, 3), dtype=np.uint8)]), GRAPH)
    assert feeds["resample_cols"].shape == (1, 1, 40, 3000)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"short_px": 39}, "'short_px' is 39, below 40"),
        ({"size_px": 0}, "'size_px' is 0, below 1"),
        ({"interpolation": "nearest"}, "interpolation"),
    ],
)
def test_a_wrong_view_is_refused(fields, message):
    with pytest.raises(BundleError, match=message):
        view(**fields)
