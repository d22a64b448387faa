"""Large pictures are resized beside the graphs as the graphs resize: as Pillow does."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from realm_engine.pictures.resample import Span
from realm_engine.pictures.shrink import resized
from realm_engine.pictures.together import Together

SPANS = (Span.whole(48), Span.whole(40))


def spans(height: int, width: int) -> tuple[Span, Span]:
    return SPANS


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(613, 841), (90, 2203), (2203, 90), (3, 3000)])
def test_what_is_resized_in_strips_is_pillows(photo, monkeypatch, interpolation, size):
    monkeypatch.setattr("realm_engine.pictures.shrink.STRIP_PX", 5000)
    picture = photo(*size)
    filter = Image.Resampling[interpolation.upper()]
    expected = np.asarray(
        Image.fromarray(picture).resize((40, picture.shape[0]), filter).resize((40, 48), filter)
    )
    found = resized(picture, SPANS, interpolation)
    assert found.dtype == np.uint8 and found.shape == (48, 40, 3)
    # Coefficients are float32, whose sums may fall to the other side of a half.
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found == expected).mean() > 0.99


def test_pictures_of_many_sizes_are_shrunk_each_by_itself(photo):
    pictures = [photo(60, 84), photo(90, 33, 2)]
    shrunk = Together.of_many_sizes(pictures).shrunk(spans, "bicubic")
    assert shrunk.pixels.shape == (2, 48, 40, 3) and shrunk.sizes_px == ((48, 40), (48, 40))
    for ours, picture in zip(shrunk.pixels, pictures, strict=True):
        np.testing.assert_array_equal(ours, resized(picture, SPANS, "bicubic"))
    assert (shrunk.resample(0, spans, "bicubic") == np.eye(48)).all()


def test_a_picture_alone_is_not_copied(photo):
    picture = photo(60, 84)
    assert np.shares_memory(Together.of_one_size([picture]).pixels, picture)
