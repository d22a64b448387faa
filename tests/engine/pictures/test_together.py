"""Pictures of many sizes in one array: each is resized as Pillow resizes it alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from realm_engine.pictures.resample import Span
from realm_engine.pictures.together import SIDES_PX, Together, side_px


def spans(height: int, width: int) -> tuple[Span, Span]:
    """Every picture to 48 x 40."""
    return Span.whole(48), Span.whole(40)


def resized(together: Together) -> np.ndarray:
    """Columns, then rows, as the graphs do it, in float64; uint8 [N, 48, 40, 3]."""
    planes = together.pixels.transpose(0, 3, 1, 2).astype(np.float64)
    rows = together.resample(0, spans, "bilinear")[:, None].astype(np.float64)
    columns = together.resample(1, spans, "bilinear")[:, None].astype(np.float64)
    wide = np.clip(np.floor(planes @ columns.transpose(0, 1, 3, 2) + 0.5), 0, 255)
    return np.clip(np.floor(rows @ wide + 0.5), 0, 255).transpose(0, 2, 3, 1).astype(np.uint8)


@pytest.mark.parametrize(
    "sizes", [[(60, 84), (256, 30), (33, 251)], [(300, 451)] * 2, [(60, 84), (60, 85)], [(5000, 7)]]
)
def test_every_picture_is_resized_by_itself(photo, sizes):
    pictures = [photo(*size, seed=index) for index, size in enumerate(sizes)]
    together = Together.of_many_sizes(pictures)
    assert together.pixels.shape[1:3] == tuple(side_px(max(side)) for side in zip(*sizes, strict=True))
    found = resized(together)
    for picture, ours in zip(pictures, found, strict=True):
        image = Image.fromarray(picture).resize((40, picture.shape[0]), Image.Resampling.BILINEAR)
        expected = np.asarray(image.resize((40, 48), Image.Resampling.BILINEAR))
        # Coefficients are float32, whose sums may fall to the other side of a half.
        assert np.abs(ours.astype(int) - expected).max() <= 1
        assert (ours == expected).mean() > 0.999


def test_pictures_of_one_size_share_their_matrices(photo):
    pictures = [photo(60, 84, seed=seed) for seed in range(3)]
    alone, padded = Together.of_one_size(pictures), Together.of_many_sizes(pictures)
    assert alone.resample(0, spans, "bicubic").shape == (1, 48, 60)
    assert padded.resample(0, spans, "bicubic").shape == (1, 48, 256)
    np.testing.assert_array_equal(
        padded.resample(0, spans, "bicubic")[..., :60], alone.resample(0, spans, "bicubic")
    )
    assert not padded.resample(0, spans, "bicubic")[..., 60:].any()
    assert padded.resample(1, spans, "bicubic").shape == (1, 40, 256)
    mixed = Together.of_many_sizes([pictures[0], photo(60, 30)])
    assert (
        mixed.resample(0, spans, "bicubic").shape[0] == 1
        and mixed.resample(1, spans, "bicubic").shape[0] == 2
    )


def test_pictures_of_two_sizes_are_not_of_one(photo):
    with pytest.raises(ValueError):
        Together.of_one_size([photo(60, 84), photo(84, 60)])


def test_sides_grow_in_steps_of_half_at_most():
    assert [side_px(length) for length in (1, 256, 257, 4096, 4097)] == [256, 256, 384, 4096, 4097]
    assert all(after / before <= 1.5 for before, after in itertools.pairwise(SIDES_PX))
