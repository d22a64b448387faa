import cv2
import numpy as np
from clip_data import picture

from realm_train.defects import photographs

PICTURE = picture(0)


def test_augmented_backgrounds() -> None:
    rng = np.random.default_rng(0)
    untouched = PICTURE.copy()
    shapes = set()
    for _ in range(40):
        image = photographs.augment(PICTURE, rng)
        assert image.dtype == np.uint8 and image.shape[2] == 3 and image.flags.c_contiguous
        assert min(image.shape[:2]) >= 96
        shapes.add(image.shape)
    assert len(shapes) > 10
    np.testing.assert_array_equal(PICTURE, untouched)
    small = photographs.augment(picture(0, 70, 80), rng)
    assert min(small.shape[:2]) >= 70


def test_a_large_photograph_is_reduced_whole_or_in_part() -> None:
    """Columns that count: what a background spans of the photograph, and that detail is there now and then."""
    ramp = np.broadcast_to(np.linspace(0, 255, 1600, dtype=np.uint8)[:, None], (1200, 1600, 3)).copy()
    spans = []
    for seed in range(60):
        found = photographs.usual_size(ramp, np.random.default_rng(seed))
        assert 511 <= max(found.shape[:2]) <= 1.4 * photographs.PICTURE_PX + 1
        assert abs(found.shape[1] / found.shape[0] - 4 / 3) < 0.02
        spans.append(int(found[0, -1, 0]) - int(found[0, 0, 0]))
    assert min(spans) < 120 and max(spans) > 220
    ordinary = picture(0, 384, 512)
    assert photographs.usual_size(ordinary, np.random.default_rng(3)) is ordinary
    whole = photographs.augment(ordinary, np.random.default_rng(3), least_px=320)
    assert max(whole.shape[:2]) <= 800


def test_a_background_is_as_large_as_asked() -> None:
    small = picture(0, 100, 180)
    for seed in range(40):
        found = photographs.augment(small, np.random.default_rng(seed), least_px=224)
        assert min(found.shape[:2]) >= 224 and found.dtype == np.uint8
        expected = photographs.augment(PICTURE, np.random.default_rng(seed))
        np.testing.assert_array_equal(
            photographs.augment(PICTURE, np.random.default_rng(seed), least_px=80), expected
        )


def test_a_mild_edit_changes_little_and_everywhere() -> None:
    rng, image = np.random.default_rng(1), picture(2, 120, 160)
    seen = set()
    for _ in range(30):
        found = photographs.edit(image, rng)
        assert found.shape == image.shape and found.dtype == np.uint8
        change = np.abs(found.astype(float) - image)
        assert 0 < change.mean() < 12
        seen.add(round(float(change.mean()), 2))
    assert len(seen) > 20


def test_compression_keeps_the_picture() -> None:
    image = cv2.GaussianBlur(PICTURE, (0, 0), 3)
    found = photographs.compress(image, np.random.default_rng(0))
    difference = np.abs(found.astype(int) - image)
    assert found.shape == image.shape and 0 < difference.mean() < 4  # with red for blue it would be dozens
