"""What a map says of itself: statistics and regions, on maps made by hand around each threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundles import build_bundle, read_manifest, write_manifest

from realm_engine import DreamConfig, Engine, RealnessMap
from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import BundleError, WindowError
from realm_engine.maps.realness_map import Region, choose_config
from realm_engine.maps.spec import PhrasePolicy, RegionPolicy, read_maps

POLICY = {"below_std": 0.5, "least_window_areas": 1.5, "most": 2}


def made(
    values: np.ndarray, policy: RegionPolicy | None = None, windows: tuple[int, ...] = (8,)
) -> RealnessMap:
    """A map of these values, realness, that windows cover wholly."""
    config = DreamConfig(windows, 1)
    return RealnessMap(values.astype(np.float32), config, ("t",), "custom", 1, (), policy or RegionPolicy())


def boxes(found: list[Region]) -> list[tuple[int, int, int, int]]:
    return [(region.x, region.y, region.width, region.height) for region in found]


# --------------------------------------------------------------- statistics


def test_statistics_are_numpys_over_the_covered_pixels():
    values = np.random.default_rng(3).gamma(2.0, size=(40, 50)).astype(np.float32)
    values[32:], values[:, 48:] = 0.0, 0.0  # windows of 16 at stride 16 cover 32 x 48
    found = RealnessMap(values, DreamConfig((16,), 16), ("t",), "custom", 6).statistics()
    inside = values[:32, :48].astype(np.float64)
    expected = {
        "min": inside.min(),
        "max": inside.max(),
        "mean": inside.mean(),
        "std": inside.std(),
        "p5": np.percentile(inside, 5),
        "median": np.percentile(inside, 50),
        "p95": np.percentile(inside, 95),
        "covered_fraction": 32 * 48 / (40 * 50),
    }
    assert found == pytest.approx(expected, rel=1e-6)
    # the percentiles of this map are far from their neighbours
    assert found["p5"] < 0.8 * np.percentile(inside, 10) and found["p95"] > 1.2 * np.percentile(inside, 90)


def test_percentiles_of_a_map_that_counts_to_a_hundred():
    values = np.random.default_rng(0).permutation(101 * 8).reshape(8, 101) // 8
    found = made(values).statistics()
    assert (found["p5"], found["median"], found["p95"]) == (5.0, 50.0, 95.0)
    assert (found["min"], found["max"], found["mean"]) == (0.0, 100.0, 50.0)


# ------------------------------------------------------------------ regions


def with_patch(level: float) -> np.ndarray:
    """Realness 0.9 with a deep flaw and a patch of this level at x 40, y 30."""
    values = np.full((60, 80), 0.9)
    values[5:15, 5:15] = 0.1
    values[30:40, 40:60] = level
    return values


@pytest.mark.parametrize("below_std", [1.0, 0.5, 2.0])
def test_a_region_is_below_the_mean_by_so_many_standard_deviations(below_std):
    def distance(level: float) -> float:
        values = with_patch(level)
        return level - (values.mean() - below_std * values.std())

    low, high = 0.1, 0.9  # the level at which the patch is just at the threshold, which moves with it
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if distance(middle) < 0 else (low, middle)
    policy = RegionPolicy(below_std=below_std)
    assert boxes(made(with_patch(low - 1e-3), policy).regions()) == [(5, 5, 10, 10), (40, 30, 20, 10)]
    assert boxes(made(with_patch(low + 1e-3), policy).regions()) == [(5, 5, 10, 10)]
    if below_std == 1.0:  # what counts where a bundle says nothing
        assert len(made(with_patch(low - 1e-3)).regions()) == 2
        assert len(made(with_patch(low + 1e-3)).regions()) == 1


def area(pixels: int) -> np.ndarray:
    """Realness 0.9 with one connected flaw of so many pixels, eight to a row."""
    values = np.full((60, 80), 0.9)
    values[20 : 20 + pixels // 8, 30:38] = 0.2
    values[20 + pixels // 8, 30 : 30 + pixels % 8] = 0.2
    return values


@pytest.mark.parametrize(
    ("windows", "share", "least"),
    [((8,), 0.25, 16), ((16,), 0.25, 64), ((32, 16), 0.25, 64), ((16, 32), 0.25, 64), ((16,), 0.5, 128)],
)
def test_a_region_has_a_share_of_the_smallest_windows_area(windows, share, least):
    policy = RegionPolicy(least_window_areas=share)
    (found,) = made(area(least), policy, windows).regions()
    assert found.area_px == least
    assert made(area(least - 1), policy, windows).regions() == []
    if share == 0.25:  # what counts where a bundle says nothing
        assert len(made(area(least), None, windows).regions()) == 1
        assert made(area(least - 1), None, windows).regions() == []


def test_patches_that_touch_at_a_corner_are_one_region():
    values = np.full((60, 80), 0.9)
    values[10:14, 10:14] = values[14:18, 14:18] = 0.2
    assert boxes(made(values).regions()) == [(10, 10, 8, 8)]
    values[14:18, 14:18] = 0.9
    values[15:19, 15:19] = 0.2
    assert boxes(made(values).regions()) == [(10, 10, 4, 4), (15, 15, 4, 4)]


LEVELS = (0.3, 0.1, 0.35, 0.0, 0.2, 0.15, 0.25)


def seven() -> np.ndarray:
    values = np.full((60, 80), 0.9)
    for column, level in enumerate(LEVELS):
        values[10:16, 2 + 10 * column : 8 + 10 * column] = level
    return values


def test_the_least_real_regions_come_first_and_so_many_as_are_asked_for():
    found = made(seven()).regions(7)
    assert [region.mean_realness for region in found] == pytest.approx(sorted(LEVELS), abs=1e-6)
    assert [region.x for region in found] == [32, 12, 52, 42, 62, 2, 22]
    assert made(seven()).regions() == found[:5]
    for k in (0, 1, 6, 100):
        assert made(seven()).regions(k) == found[:k]
    assert made(seven(), RegionPolicy(most=2)).regions() == found[:2]
    assert made(seven(), RegionPolicy(most=2)).regions(3) == found[:3]


# ------------------------------------------------- the policy of the manifest


def with_policy(folder: Path, maps: object) -> Path:
    path = build_bundle(folder, core=False)
    write_manifest(path, read_manifest(path) | {"format_version": "1.1", "maps": maps})
    return path


def test_the_policy_of_the_manifest_counts(tmp_path, photo):
    phrases = {"most": 2, "margin_z": 0.25, "percentile": 80}
    path = with_policy(tmp_path / "b", {"phrases": phrases, "regions": POLICY})
    spec = read_maps(Bundle.open(path))
    assert spec is not None
    assert spec.region_policy == RegionPolicy(0.5, 1.5, 2) and spec.phrase_policy == PhrasePolicy(
        2, 0.25, 80.0
    )
    with Engine.open(path, device="cpu", threads=1) as engine:
        found = engine.map(photo(120, 160), "the face", DreamConfig((16,), 2))
        without = engine.map(photo(120, 160), config=DreamConfig((16,), 8))
    assert found.region_policy == RegionPolicy(0.5, 1.5, 2)
    assert 1 <= len(without.phrases) <= 2
    # independent of the engine: how many connected areas the policy asks for
    low = found.covered & (
        found.values < found.values[found.covered].mean() - 0.5 * found.values[found.covered].std()
    )
    regions = found.regions()
    assert len(regions) == 2 and all(region.area_px >= 1.5 * 16**2 for region in regions)
    assert all(low[r.y : r.y + r.height, r.x : r.x + r.width].sum() >= r.area_px for r in regions)


def test_without_a_policy_the_documented_numbers_count(bundle_path, tmp_path):
    for path in (bundle_path, with_policy(tmp_path / "b", {})):
        spec = read_maps(Bundle.open(path))
        assert spec is not None
        assert (spec.region_policy, spec.phrase_policy) == (RegionPolicy(), PhrasePolicy())
    assert RegionPolicy() == RegionPolicy(1.0, 0.25, 5) and PhrasePolicy() == PhrasePolicy(3, 1.0, 95.0)


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        ({"regions": POLICY | {"most": 0}}, "'most' is 0, below 1"),
        ({"regions": {"least_window_areas": -0.1}}, "'least_window_areas' is -0.1, below 0"),
        ({"phrases": {"most": 3, "margin_z": "1", "percentile": 95}}, "'margin_z' is '1'"),
        ({"phrases": {"most": 3, "margin_z": 1, "percentile": 101}}, "'percentile' must be from 0 to 100"),
        ([], "'maps' must be a JSON object"),
    ],
)
def test_a_wrong_policy_is_refused(tmp_path, maps, words):
    with pytest.raises(BundleError, match=words):
        read_maps(Bundle.open(with_policy(tmp_path / "b", maps)))


# ------------------------------------------------------- the share of windows


@pytest.mark.parametrize(
    ("windows", "stride", "share"),
    [
        ((), None, 0.2),  # 64 px at stride 8
        ((), 4, 0.2),  # never less than a fifth
        ((), 16, 0.4 * 2**0.5),  # a coarser stride: (8 x 16 / 64)^1.5 fifths
        ((), 12, 0.2 * 1.5**1.5),
        ((), 32, 1.0),
        ((32,), None, 0.4 * 2**0.5),
        ((128,), None, 0.2),
        ((128, 32), None, 0.4 * 2**0.5),  # the scale that needs most
        ((32,), 4, 0.2),
        ((16,), None, 1.0),
    ],
)
def test_fast_follows_the_stride_and_the_windows_that_were_given(windows, stride, share):
    presets = {"released": DreamConfig(), "fast": DreamConfig().faster()}
    chosen = choose_config(presets, "fast", windows, stride)
    assert (chosen.windows_px, chosen.stride_px) == (windows or (64,), stride or 8)
    assert chosen.fraction == pytest.approx(share, abs=1e-12)
    assert choose_config(presets, "released", windows, stride).fraction == 1.0


def test_a_window_of_another_stride_is_checked_as_well():
    with pytest.raises(WindowError):
        choose_config({"fast": DreamConfig().faster()}, "fast", stride_px=0)
