"""The same picture and texts give the same bits on a CPU in float32, whatever else is in the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from measures import build_guests
from PIL import Image

from realm_engine import DreamConfig, Engine
from realm_engine.engine import DEFAULT_BUNDLE
from realm_engine.maps.spec import EACH_WINDOW, ONE_PASS

pytestmark = pytest.mark.slow

TEXTS = (
    "No, it looks natural.",
    "Yes, the hand has six fingers.",
    "melted edges",
    "Yes, the face of the man in the background is melted and the text on the sign is garbled and unreadable.",
    None,
)
THREADS_BOUND = 1e-6  # of a MOS, and of a map's values


def opened(**options) -> Engine:
    return Engine.open(DEFAULT_BUNDLE, device="cpu", precision="fp32", **{"threads": 2, **options})


@pytest.fixture(scope="module")
def tiny() -> Iterator[Engine]:
    with opened() as engine:
        yield engine


@pytest.fixture
def pictures(photo) -> list[np.ndarray]:
    return [photo(72 if seed % 4 else 60, 96, seed) for seed in range(13)]


def texts_for(pictures: Sequence[np.ndarray]) -> list[str | None]:
    """Each another text, so that none comes out of the cache of an earlier picture."""
    found = [TEXTS[index % 5] for index in range(len(pictures))]
    return [text and f"{text} {index}" for index, text in enumerate(found)]


def numbers(rows) -> list[dict[str, float | None]]:
    assert all(row.error is None for row in rows)
    return [dict(row.values) for row in rows]


@pytest.fixture(scope="module")
def alone() -> dict[str, list]:
    return {}


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8, 32])
def test_scores_over_runs_batches_and_orders(pictures, batch_size, alone):
    texts = texts_for(pictures)
    with opened() as engine:  # another run: nothing is in its caches
        found = numbers(engine.score(pictures, texts, batch_size=batch_size))
        order = np.random.default_rng(batch_size).permutation(len(pictures))
        shuffled = engine.score(
            [pictures[i] for i in order], [texts[i] for i in order], batch_size=batch_size
        )
    assert found == alone.setdefault("rows", found)
    assert numbers(shuffled) == [found[i] for i in order]


def test_a_file_is_its_array(tiny, pictures, tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(4)]
    for path, picture in zip(paths, pictures, strict=False):
        Image.fromarray(picture).save(path)
    texts = texts_for(paths)
    assert numbers(tiny.score(paths, texts)) == numbers(tiny.score(pictures[:4], texts))
    config = DreamConfig((32,), 16)
    ours = tiny.map(paths[1], texts[1], config).values
    np.testing.assert_array_equal(ours, tiny.map(pictures[1], texts[1], config).values)


def test_other_measures_beside_it_change_nothing(tiny, pictures, tmp_path, bundle_path):
    texts = texts_for(pictures)
    expected = numbers(tiny.score(pictures, texts))
    with opened(more=[build_guests(bundle_path, tmp_path / "guests")]) as engine:
        for metrics in ("core", ["core", "brightness"], ["red", "core"]):
            rows = numbers(engine.score(pictures, texts, metrics=metrics))
            assert [{name: row[name] for name in expected[0]} for row in rows] == expected


@pytest.mark.parametrize("encoder", [EACH_WINDOW, ONE_PASS])
@pytest.mark.parametrize(("windows_px", "stride_px"), [((32,), 16), ((60,), 8), ((60,), 40), ((48, 32), 12)])
def test_maps_alone_with_others_and_for_several_texts(pictures, encoder, windows_px, stride_px):
    """Of one window (60 px, stride 40) as well, where a product would have a single row."""
    config = DreamConfig(windows_px, stride_px)
    given = [text for text in TEXTS if text]
    some = pictures[:4]
    with opened(encoder=encoder) as engine:
        expected = [[engine.map(picture, text, config).values for text in given] for picture in some]
    with opened(encoder=encoder) as engine:
        several = [[each.values for each in engine.map_texts(picture, given, config)] for picture in some]
        np.testing.assert_equal(several, expected)
        for order in (range(4), (2, 0, 3, 1)):
            stream = engine.iter_maps([some[i] for i in order], [given[i] for i in order], config)
            np.testing.assert_equal([each.map.values for each in stream], [expected[i][i] for i in order])
        for picture in some[:2]:
            windows = engine.embed(picture, windows_px[0], stride_px)
            np.testing.assert_array_equal(engine.embed(picture, windows_px[0], stride_px), windows)


def test_embedded_texts_do_not_know_their_neighbours(tiny):
    given = [f"{text} for once" for text in TEXTS if text]
    for part in (None, tiny.contents.parts[0].name):
        each = [tiny.embed_texts([text], part)[0] for text in given]
        with opened() as engine:
            np.testing.assert_array_equal(engine.embed_texts(given[::-1], part)[::-1], each)


@pytest.mark.parametrize("threads", [1, 3, 4])
def test_threads_change_no_more_than_is_said(tiny, pictures, threads):
    config = DreamConfig((32,), 16)
    some, texts = pictures[:6], texts_for(pictures[:6])
    with opened(threads=threads) as other:
        for ours, theirs in zip(tiny.score(some, texts), other.score(some, texts), strict=True):
            assert ours.mos == pytest.approx(theirs.mos, abs=THREADS_BOUND, rel=0)
        for picture in some[:2]:
            expected = tiny.map(picture, "a seam", config).values
            found = other.map(picture, "a seam", config).values
            np.testing.assert_allclose(found, expected, atol=THREADS_BOUND, rtol=0)
