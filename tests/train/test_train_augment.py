import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as reference

from realm_train import augment as ours
from realm_train.augment import AugmentConfig, augment, geometry
from realm_train.errors import ConfigError
from realm_train.raise_td import resize

PAPER = AugmentConfig(0.5, 10.0, 1.0, 1.0, 0.2, 0.2, 0.2, 0.1, "black", "nearest")


@pytest.fixture
def picture() -> np.ndarray:
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC))


def test_default_changes_nothing(picture: np.ndarray) -> None:
    result = augment(picture, 48, 64, AugmentConfig(), np.random.default_rng(1))
    assert np.array_equal(result, picture)


def test_without_crop_a_larger_source_becomes_what_validation_sees(picture: np.ndarray) -> None:
    large = resize(picture, 72, 96)
    result = augment(large, 48, 64, AugmentConfig(), np.random.default_rng(1))
    assert np.array_equal(result, resize(large, 48, 64))


def test_equal_seed_equal_result(picture: np.ndarray) -> None:
    first, again, other = (augment(picture, 48, 64, PAPER, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_flip_is_an_exact_mirror(picture: np.ndarray) -> None:
    result = augment(picture, 48, 64, AugmentConfig(flip=1.0), np.random.default_rng(0))
    assert np.array_equal(result, picture[:, ::-1])


def test_rotation_agrees_with_torchvision(picture: np.ndarray) -> None:
    config = AugmentConfig(rotation_deg=10.0, border="black", interpolation="nearest")
    matrix = geometry((48, 64), (48, 64), config, np.random.default_rng(5))
    degrees = float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
    result = augment(picture, 48, 64, config, np.random.default_rng(5))
    expected = np.asarray(reference.rotate(Image.fromarray(picture), degrees))
    assert abs(degrees) > 1
    assert (result == expected).all(axis=2).mean() > 0.97  # nearest may tip over at pixel borders


@pytest.mark.parametrize(
    ("function", "torchvision", "amount"),
    [
        (ours.adjust_brightness, reference.adjust_brightness, 1.17),
        (ours.adjust_contrast, reference.adjust_contrast, 0.83),
        (ours.adjust_saturation, reference.adjust_saturation, 1.2),
        (ours.adjust_hue, reference.adjust_hue, 0.07),
        (ours.adjust_hue, reference.adjust_hue, -0.1),
    ],
)
def test_colour_agrees_with_torchvision(picture: np.ndarray, function, torchvision, amount: float) -> None:  # type: ignore[no-untyped-def]
    values = picture.astype(np.float32) / 255
    expected = torchvision(torch.from_numpy(values).permute(2, 0, 1), amount).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(function(values, amount), expected, atol=2e-4)


def test_crops_stay_inside_and_keep_the_area() -> None:
    config = AugmentConfig(crop_scale=0.5, crop_ratio=1.3, flip=0.5)
    generator = np.random.default_rng(0)
    for _ in range(200):
        matrix = geometry((96, 128), (48, 64), config, generator)
        corners = matrix @ np.array([[-0.5, 63.5, -0.5, 63.5], [-0.5, -0.5, 47.5, 47.5], [1, 1, 1, 1]])
        assert corners[0].min() >= -0.5 - 1e-9 and corners[0].max() <= 127.5 + 1e-9
        assert corners[1].min() >= -0.5 - 1e-9 and corners[1].max() <= 95.5 + 1e-9
        share = np.ptp(corners[0]) * np.ptp(corners[1]) / (96 * 128)
        assert 0.38 < share <= 1 + 1e-9  # a ratio cut at the image's edge makes a crop a little smaller


@pytest.mark.parametrize(
    "wrong", [{"flip": 2.0}, {"crop_scale": 0.0}, {"border": "wrap"}, {"interpolation": "area"}]
)
def test_settings_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        dataclasses.replace(AugmentConfig(), **wrong)
