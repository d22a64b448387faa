"""Shortcuts: each is found where it is planted, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from realm_engine.arrays import UInt8
from realm_train.probe import shortcuts as module
from realm_train.probe.data import read_labelled
from realm_train.probe.shortcuts import Shortcut, scene_statistics, shortcuts, trivial


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLDS", 2)
    monkeypatch.setattr(module, "TREES", 15)


Save = Callable[[Image.Image, Path], None]


def png(image: Image.Image, path: Path) -> None:
    image.save(path.with_suffix(".png"))


def jpeg(quality: int) -> Save:
    return lambda image, path: image.save(path.with_suffix(".jpg"), quality=quality)


def padded(image: Image.Image, path: Path) -> None:
    png(ImageOps.expand(image.crop((3, 3, image.width - 3, image.height - 3)), 3, "white"), path)


def small(image: Image.Image, path: Path) -> None:
    png(image.crop((0, 0, 96, 96)), path)


def reddish(image: Image.Image, path: Path) -> None:
    png(Image.blend(image, Image.new("RGB", image.size, (255, 0, 0)), 0.2), path)


def write(root: Path, real: Save, fake: Save, count: int = 20) -> Path:
    """Pictures of one kind, saved in two ways."""
    rng = np.random.default_rng(0)
    for i in range(2 * count):
        label, save = (("real", real), ("fake", fake))[i % 2]
        colours = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        image = Image.fromarray(colours).resize((110, 100), Image.Resampling.BICUBIC)
        pixels = np.asarray(image, np.float64) + rng.normal(0, 8, (100, 110, 3))
        (root / label / "x").mkdir(parents=True, exist_ok=True)
        save(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), root / label / "x" / str(i))
    return root


@pytest.mark.parametrize(
    ("real", "fake", "found"),
    [
        (padded, png, "the border's colour"),
        (png, small, "the size in pixels"),
        (png, jpeg(90), "the file's type"),
        (jpeg(90), jpeg(70), "the JPEG quantisation table"),
        (reddish, png, "the mean colour"),
        (jpeg(95), jpeg(30), "noise and sharpness (NIQE's and BRISQUE's numbers)"),
    ],
)
def test_a_planted_shortcut_is_found(real: Save, fake: Save, found: str, tmp_path: Path) -> None:
    by_name = {each.name: each for each in shortcuts(read_labelled(write(tmp_path, real, fake)))}
    assert by_name[found].suspicious, by_name
    assert by_name[found].warning.startswith(f"{found} alone tells real from fake with an AUC of ")
    if found == "the border's colour":
        assert not by_name["the size in pixels"].suspicious and not by_name["the file's type"].suspicious


def test_without_a_shortcut_there_is_none(tmp_path: Path) -> None:
    found = shortcuts(read_labelled(write(tmp_path, png, png, 40)))
    assert not any(each.suspicious for each in found), found
    assert [each.auc for each in found] == sorted((each.auc for each in found), reverse=True)


def test_of_many_pictures_some_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OF_LABEL", 8)
    seen: list[tuple[int, int]] = []
    shortcuts(read_labelled(write(tmp_path, png, jpeg(90))), progress=lambda *done: seen.append(done))
    assert seen[-1] == (16, 16)


def test_scene_statistics(photo: Callable[..., UInt8]) -> None:
    """NIQE's are means over blocks; of what is too small or flat there are none."""
    picture = photo(200, 200)
    found = scene_statistics(picture)
    assert found.shape == (72,) and np.isfinite(found).all()
    assert np.isnan(scene_statistics(photo(90, 200))[:36]).all()
    assert np.isnan(scene_statistics(np.full((200, 200, 3), 7, np.uint8))).all()


def test_trivial_features_of_a_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (120, 100), (10, 200, 30)).save(path, quality=80)
    found = trivial(path)
    assert found["the size in pixels"] == [120, 100, 12000, 1.2]
    with Image.open(path) as image:
        tables = image.quantization
    assert found["the JPEG quantisation table"] == [*map(float, tables[0]), *map(float, tables[1])]
    assert np.allclose(found["the mean colour"], (10, 200, 30), atol=2)
    assert not Shortcut("x", 0.75).suspicious and Shortcut("x", 0.76).suspicious
