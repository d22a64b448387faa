"""Degraded views: what each does, that a picture's views are its own, and the published augmentation."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torchvision.transforms import v2

from realm_engine.arrays import UInt8
from realm_train.probe import views


@pytest.fixture(scope="module")
def picture() -> UInt8:
    """Structure of several sizes, 300 x 420, so that blur and JPEG change it."""
    noise = np.random.default_rng(0).normal(size=(300, 420, 3))
    smooth = sum(gaussian_filter(noise, (s, s, 0)) * s for s in (1, 4, 16))
    return np.clip(128 + 60 * smooth, 0, 255).astype(np.uint8)


def test_the_first_view_is_the_picture_itself(picture: UInt8) -> None:
    found = views.training_views(picture, 4)
    assert len(found) == 4
    assert found[0] is picture
    assert all(view.dtype == np.uint8 and view.ndim == 3 and view.shape[2] == 3 for view in found)


def test_views_depend_on_pixels_and_seed_alone(picture: UInt8) -> None:
    one, again = views.training_views(picture), views.training_views(picture.copy())
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    first = [views.generator_of(picture, 42, view).random() for view in (1, 2)]
    others = [views.generator_of(255 - picture, 42, 1).random(), views.generator_of(picture, 7, 1).random()]
    assert len({*first, *others}) == 4


def test_each_change_happens_half_of_the_time(picture: UInt8) -> None:
    """Over many draws: sizes say resize; flips, blurs and JPEGs are told where nothing else happened."""
    small = picture[:40, :60]
    generator = np.random.default_rng(0)
    found = [views.degraded(small, generator) for _ in range(1500)]
    kept = [view for view in found if view.shape == small.shape]
    assert len(kept) / len(found) == pytest.approx(0.5, abs=0.06)
    factors = [view.shape[0] / 40 for view in found if view.shape != small.shape]
    assert 0.5 <= min(factors) < 0.6
    assert 1.4 < max(factors) <= 1.5
    untouched = [view for view in kept if np.array_equal(view, small)]
    flipped = [view for view in kept if np.array_equal(view, small[:, ::-1])]
    # Neither resized, blurred nor compressed, mirrored or not: 1/16 each, and where a blur is too small to be seen.
    for same in (untouched, flipped):
        assert len(same) / len(found) == pytest.approx(0.072, abs=0.02)


def test_fixed_views(picture: UInt8) -> None:
    height, width = picture.shape[:2]
    found = {name: view(picture) for name, view in views.FIXED.items()}
    assert list(found) == ["clean", "jpeg90", "jpeg70", "jpeg50", "blur1", "blur2", "half", "double", "crop"]
    assert np.array_equal(found["clean"], picture)
    assert found["half"].shape == (height // 2, width // 2, 3)
    assert found["double"].shape == (height * 2, width * 2, 3)
    assert np.array_equal(found["crop"], picture[37:262, 52:367])
    for quality in (90, 70, 50):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        assert np.array_equal(found[f"jpeg{quality}"], np.asarray(Image.open(file)))
    for sigma in (1, 2):
        exact = gaussian_filter(picture.astype(float), (sigma, sigma, 0), mode="mirror")
        assert np.abs(found[f"blur{sigma}"] - exact).max() < 1.5


def test_no_blur_is_no_change(picture: UInt8) -> None:
    assert np.array_equal(views.blurred(picture, 0.0), picture)


@pytest.mark.parametrize("size", [(300, 420), (420, 300), (256, 256), (100, 333), (256, 341)])
def test_resize_and_centre_crop_are_those_of_torchvision(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    theirs = v2.Compose([v2.Resize(256), v2.CenterCrop(224)])(Image.fromarray(pixels))
    assert np.array_equal(views.centre_crop(views.short_side_to(pixels, 256), 224), np.asarray(theirs))


def test_published_views_are_224_px_and_seeded(picture: UInt8) -> None:
    for view in (views.published_training_view, views.published_validation_view):
        found = [view(picture, np.random.default_rng(seed)) for seed in (0, 0, 1)]
        assert all(each.shape == (224, 224, 3) and each.dtype == np.uint8 for each in found)
        assert np.array_equal(found[0], found[1])
        assert not np.array_equal(found[0], found[2])


def test_published_degradations(picture: UInt8) -> None:
    """A quarter of the pictures is left alone; the blur is SciPy's, channel by channel, in whole numbers."""
    small = views.centre_crop(picture, 64)
    many = np.random.default_rng(0)
    found = [views.published_degraded(small, many) for _ in range(400)]
    same = np.mean([np.array_equal(each, small) for each in found])
    assert same == pytest.approx(0.26, abs=0.07)
    generator = np.random.default_rng(2)
    draws = np.random.default_rng(2)
    assert draws.random() < 0.5  # blurred
    sigma = draws.uniform(0, 3)
    assert draws.random() >= 0.5  # and not compressed
    blurred = small.copy()
    for channel in range(3):
        gaussian_filter(blurred[..., channel], sigma=sigma, output=blurred[..., channel])
    assert np.array_equal(views.published_degraded(small, generator), blurred)


def test_published_jpeg_is_pillows_or_opencvs(picture: UInt8) -> None:
    small = views.centre_crop(picture, 64)
    _, content = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])
    opencv = cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1]
    by_quality = {q: (views.saved_as_jpeg(small, q), views._jpeg_of_opencv(small, q)) for q in range(30, 101)}
    assert np.array_equal(by_quality[60][1], opencv)
    used = set()
    for seed in range(100):
        found = views.published_degraded(small, np.random.default_rng(seed))
        for pair in by_quality.values():
            used |= {coder for coder, each in enumerate(pair) if np.array_equal(found, each)}
    assert used == {0, 1}
    assert torch.from_numpy(found).dtype == torch.uint8
