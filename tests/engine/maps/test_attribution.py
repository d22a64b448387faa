"""Maps of where a measure's number comes from: against float64 loops, and nothing is left over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from attributed_bundle import LEFT, NAME, SPEAKS_FOR, Reference, build_attributed, dealt_out

from realm_engine import Engine
from realm_engine.errors import UsageError
from realm_engine.maps.attribution import Attributed, AttributionMap, spread
from realm_engine.maps.spec import RegionPolicy

# Where a resized level falls between two, Pillow's own rounding may choose the other: a level more or less there.
SIZES = {
    (72, 96): 1,
    (71, 97): 1,
    (24, 32): 1,
    (1, 1): 1,
    (257, 181): 1,
    (5, 200): 100,
    (13, 19): 100,
    (130, 3): 100,
}
ATTRIBUTED = Attributed(NAME, "p_fake", SPEAKS_FOR)


@pytest.fixture(scope="module")
def attributed(bundle_path, tmp_path_factory) -> Path:
    return build_attributed(bundle_path, tmp_path_factory.mktemp("attributed") / "attributed")


@pytest.fixture(scope="module")
def opened(attributed):
    with Engine.open(attributed, device="cpu", threads=1) as engine:
        yield engine


@pytest.mark.parametrize(("height", "width"), list(SIZES))
def test_the_pixels_and_the_bias_are_the_logit(opened, photo, height, width):
    image = photo(height, width, seed=height)
    found = opened.map(image, metric=NAME)
    reference = Reference()
    assert found.values.dtype == np.float32 and found.values.shape == (height, width)
    assert found.logit == pytest.approx(reference.logit(image), abs=2e-5 * SIZES[height, width])
    assert found.bias == pytest.approx(LEFT)
    assert found.bias + found.values.sum(dtype=np.float64) == pytest.approx(found.logit, abs=1e-3)
    expected = reference.map(image)
    np.testing.assert_allclose(
        found.values, expected, atol=1e-4 * SIZES[height, width] * np.abs(expected).max()
    )
    (row,) = opened.score([image], metrics=NAME)
    assert dict(found.columns) == row.values
    assert row["p_fake"] == pytest.approx(1 / (1 + np.exp(-found.logit)), abs=1e-5)


@pytest.mark.parametrize("cells", [1, 2, 7, 14, 84])
@pytest.mark.parametrize("pixels", [1, 2, 7, 31, 84, 300])
def test_enlarging_keeps_the_sum(cells, pixels):
    """Of every single position, not of all together alone; and a constant stays about constant inside."""
    for cell in {0, cells // 2, cells - 1}:
        one = np.zeros((cells, 3), np.float32)
        one[cell, 1] = 2.0
        enlarged = spread([one], pixels, 3)
        assert enlarged.sum(dtype=np.float64) == pytest.approx(2.0, abs=1e-6)
        np.testing.assert_allclose(enlarged[:, 1], 2 * dealt_out(cells, pixels)[cell], atol=1e-5)
        assert not enlarged[:, [0, 2]].any()


def test_the_sum_of_stages_is_that_of_each_enlarged_alone():
    rng = np.random.default_rng(3)
    stages = [rng.normal(size=shape).astype(np.float32) for shape in ((12, 16), (6, 8), (3, 4))]
    together = spread(stages, 37, 51)
    np.testing.assert_allclose(together, sum(spread([each], 37, 51) for each in stages), atol=1e-6)


def test_many_pictures_give_what_each_gives_alone_whatever_shares_a_call(opened, photo, tmp_path):
    images = [photo(60, 80, seed=1), photo(60, 80, seed=2), photo(41, 80, seed=3), photo(60, 80, seed=4)]
    told: list[tuple[float, int]] = []
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    answers = list(opened.iter_maps([*images, broken], metric=NAME, progress=lambda *done: told.append(done)))
    assert told[-1] == (5, 0)
    for image, answer in zip(images, answers, strict=False):
        assert answer.error is None
        np.testing.assert_array_equal(answer.image, image)
        alone = opened.map(image, metric=NAME)
        np.testing.assert_allclose(answer.map.values, alone.values, atol=1e-7)
        assert answer.map.logit == pytest.approx(alone.logit, abs=1e-5)
    assert answers[-1].map is None and "broken.png" in answers[-1].error


def test_calls_of_many_sizes_change_no_map(attributed, opened, photo):
    images = [photo(*size, seed=9) for size in ((40, 50), (45, 60), (300, 200), (38, 64))]
    with Engine.open(attributed, device="cpu", threads=1, fixed_shapes=True) as engine:
        for image, answer in zip(images, engine.iter_maps(images, metric=NAME), strict=True):
            expected = opened.map(image, metric=NAME).values
            np.testing.assert_allclose(answer.map.values, expected, atol=1e-6)


def test_a_tower_runs_once_for_map_and_numbers(opened, photo, monkeypatch):
    calls: list[str] = []
    main = opened._main
    session = main.session

    class Counted:
        def __init__(self, graph: str) -> None:
            self.graph = graph

        def run(self, feeds, outputs):
            calls.append(self.graph)
            return session(self.graph).run(feeds, outputs)

    monkeypatch.setattr(main, "session", Counted)
    opened.map(photo(), metric=NAME)
    assert sorted(calls) == sorted(["small_tower", "fakeness", "fakeness_map"])


def test_what_has_no_map_is_named_with_what_has_one(opened, photo):
    with pytest.raises(UsageError, match="the number of core comes from; with a map: fakeness"):
        opened.map(photo(), metric="core")
    with pytest.raises(UsageError, match=r"did you mean 'fakeness'.*with a map: fakeness"):
        opened.map(photo(), metric="fakenes")
    with pytest.raises(UsageError, match="takes an image alone"):
        opened.map(photo(), "melted", metric=NAME)
    with pytest.raises(UsageError, match="take no texts"):
        opened.iter_maps([photo()], "melted", metric=NAME)


def made(values: np.ndarray, bias: float = 0.0) -> AttributionMap:
    return AttributionMap(values.astype(np.float32), ATTRIBUTED, 0.0, bias, {"p_fake": 0.5}, RegionPolicy())


def test_regions_are_where_most_is_added():
    values = np.full((80, 120), -1e-5)
    values[10:30, 20:50] = 6e-5
    values[50:62, 80:100] = 9e-5
    values[0, 0] = 1e-4  # a pixel is no region
    values[70:, :] = -9e-5  # what speaks against is none
    found = made(values).regions()
    assert [(each.x, each.y, each.width, each.height) for each in found] == [
        (80, 50, 20, 12),
        (20, 10, 30, 20),
    ]
    assert [each.area_px for each in found] == [240, 600]
    assert found[0].contribution == pytest.approx(240 * 9e-5) and found[1].contribution == pytest.approx(
        0.036
    )
    assert len(made(values).regions(1)) == 1
    # Where a pixel must add more than 7e-5 to outweigh the bias, the larger region speaks for nothing.
    assert [each.area_px for each in made(values, -7e-5 * values.size).regions()] == [240]
    assert made(values, -1.0).regions() == []


def test_a_map_without_contrast_has_no_region_and_looks_flat():
    noise = np.random.default_rng(0).normal(size=(50, 60)) * 1e-9
    found = made(noise)
    assert found.regions() == []
    assert found.own_limits == pytest.approx((0, 0.02 / 3000))
    quiet = made(noise, bias=-2.0)  # all of it speaks against: the picture shows untouched
    assert quiet.own_limits == pytest.approx((2 / 3000, 2.02 / 3000))


def test_what_it_says_of_itself(opened, photo):
    found = opened.map(photo(), metric=NAME)
    assert found.legend.quantity == NAME and found.covered.all()
    assert found.legend.meaning.startswith(
        "contribution of each pixel to the logit of p_fake; positive speaks for fake"
    )
    assert found.legend.meaning.endswith("not where a picture is false")
    neutral = -found.bias / found.values.size
    assert found.facts() == {
        "logit": found.logit,
        "bias": found.bias,
        "neutral": neutral,
        "scores": dict(found.columns),
    }
    # Were every pixel just like a neutral one, the logit would be 0.
    assert found.bias + found.values.size * found.neutral == pytest.approx(0)
    assert found.own_limits == (neutral, float(found.values.max()))
