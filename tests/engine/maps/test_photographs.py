"""The scale of a map against float64: z-scores, what stands out, which regions and colours follow."""

from __future__ import annotations

import numpy as np
import pytest
from bundles import build_bundle, read_manifest, write_manifest
from one_pass_bundle import build_one_pass_bundle
from photographs_bundle import add_photographs, scale

from realm_engine import DreamConfig, Engine, RealnessMap
from realm_engine.errors import BundleError
from realm_engine.maps.files import colour_limits, map_record
from realm_engine.maps.photographs import Photographs
from realm_engine.maps.render import colour_limits as limits_of_values

WINDOWS = (16, 24, 64)
TEXTS = ("yes the face", "a doubled hand")
NEVER, ALWAYS = 1e6, 1e-6


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """`tiny` reaches nothing with a text and everything with phrases, `released` the other way round."""
    folder = build_one_pass_bundle(tmp_path_factory.mktemp("scale") / "bundle")
    thresholds = {
        "tiny": {"text": NEVER, "phrases": ALWAYS},
        "released": {"text": ALWAYS},
        "paper": {"text": ALWAYS},
    }
    return add_photographs(folder, WINDOWS, "one-pass", thresholds)


@pytest.fixture(scope="module")
def scaled(bundle):
    with Engine.open(bundle, device="cpu", threads=1) as engine:
        yield engine


def expected_scale(reference, texts, windows):
    embeddings = np.array([reference.text_embedding(text) for text in texts])
    return scale(embeddings, [WINDOWS.index(size) for size in windows], len(WINDOWS))


@pytest.mark.parametrize("quantity", ["realness", "similarity"])
@pytest.mark.parametrize(
    ("texts", "config"),
    [
        (TEXTS[:1], DreamConfig((24, 16), 8)),
        (TEXTS, DreamConfig((24, 16), 8)),
        (TEXTS, DreamConfig((64, 16), 5, "max")),
        (TEXTS[1:], DreamConfig((64,), 40)),
    ],
)
def test_z_is_a_difference_in_standard_deviations(scaled, reference, photo, texts, config, quantity):
    found = scaled.map(photo(90, 117), texts, config.with_quantity(quantity))
    mean, std = expected_scale(reference, texts, config.windows_px)
    assert (found.photographs.mean, found.photographs.std) == pytest.approx((mean, std), rel=1e-5)
    similarity = found.values if quantity == "similarity" else 1.0 - found.values.astype(np.float64)
    z = (similarity - mean) / std
    assert found.z.dtype == np.float32
    np.testing.assert_allclose(found.z[found.covered], z[found.covered], atol=1e-4)
    assert np.isnan(found.z[~found.covered]).all()
    assert found.z_max == pytest.approx(z[found.covered].max(), abs=1e-4)
    assert found.z_high == pytest.approx(np.percentile(z[found.covered], 95), abs=1e-4)


def test_what_stands_out_depends_on_how_the_texts_were_chosen(scaled, photo):
    image = photo(90, 117)
    presets = scaled.presets()
    given = scaled.map(image, TEXTS[0], presets["tiny"])
    assert (given.photographs.threshold, given.stands_out, given.regions()) == (NEVER, False, [])
    picked = scaled.map(image, None, presets["tiny"])
    assert picked.phrases and (picked.photographs.threshold, picked.stands_out) == (ALWAYS, True)
    assert picked.regions()
    assert scaled.map(image, TEXTS[0], presets["released"]).stands_out is True
    unknown = scaled.map(image, None, presets["released"])
    assert (unknown.photographs.threshold, unknown.stands_out) == (None, None)
    assert unknown.own_limits is None and unknown.z_max is not None


def test_other_windows_and_encoders_are_not_known(scaled, bundle, photo):
    image = photo(140, 150)
    other = scaled.map(
        image, TEXTS[0], DreamConfig((24, 16), 4)
    )  # the sizes are known, the preset is another
    assert other.photographs is not None and other.stands_out is None and other.regions()
    assert scaled.map(image, TEXTS[0], DreamConfig((48,), 8)).photographs is None
    assert scaled.map(image, TEXTS[0], scaled.presets()["paper"]).photographs is None  # each-window
    with Engine.open(bundle, device="cpu", threads=1, encoder="each-window") as engine:
        found = engine.map(image, TEXTS[0], engine.presets()["tiny"])
    assert (found.photographs, found.z, found.z_max, found.stands_out) == (None, None, None, None)


def test_an_approximation_is_not_what_was_measured(tmp_path, photo):
    folder = build_bundle(tmp_path / "bundle")
    add_photographs(folder, WINDOWS, "each-window", {"released": {"text": NEVER}})
    with Engine.open(folder, device="cpu", threads=1) as engine:
        presets = engine.presets()
        image = photo(150, 190)
        assert engine.map(image, TEXTS[0], presets["released"]).stands_out is False
        fast = engine.map(image, TEXTS[0], presets["fast"])
        assert fast.photographs is not None and fast.stands_out is None


def test_a_batch_has_the_scales_of_its_singles(scaled, photo):
    images = [photo(72, 96, seed=seed) for seed in range(3)]
    texts = [(TEXTS[0],), TEXTS, None]
    config = scaled.presets()["tiny"]
    together = scaled.maps.map_together(images, texts, config, None)
    for image, text, found in zip(images, texts, together, strict=True):
        alone = scaled.map(image, text, config)
        assert found.photographs.threshold == alone.photographs.threshold
        assert (found.z_max, found.z_high) == pytest.approx((alone.z_max, alone.z_high), rel=1e-5)
        assert found.regions() == alone.regions()


def test_a_bundle_without_the_graph_gives_what_it_gave(scaled, tmp_path, photo):
    with Engine.open(build_one_pass_bundle(tmp_path / "old"), device="cpu", threads=1) as old:
        for name, config in old.presets().items():
            image = photo(140, 150)
            found, same = (each.map(image, TEXTS[0], config) for each in (old, scaled))
            np.testing.assert_array_equal(found.values, same.values)
            assert (found.photographs, found.stands_out, found.own_limits) == (None, None, None), name
            assert colour_limits(found) == limits_of_values(found.values, found.covered)
            assert map_record(found, colour_limits(found))["photographs"] is None
            assert found.regions() or name != "tiny"


# ------------------------------------------------------- maps made by hand


def made(threshold: float | None, quantity: str = "realness") -> RealnessMap:
    """Realness 0.9 with patches of z 5, 3 and 2, as photographs have 0.1 +- 0.1; a twentieth of it exceeds 3."""
    values = np.full((60, 80), 0.9, np.float32)
    values[5:15, 5:15], values[30:40, 40:60], values[45:50, 5:15] = 0.4, 0.6, 0.7
    values = values if quantity == "realness" else 1 - values
    config = DreamConfig((8,), 1, quantity=quantity)
    known = Photographs(0.1, 0.1, threshold)
    return RealnessMap(values, config, ("t",), "custom", 1, photographs=known)


def corners(found: RealnessMap) -> list[tuple[int, int]]:
    return [(region.x, region.y) for region in found.regions()]


@pytest.mark.parametrize("quantity", ["realness", "similarity"])
def test_only_regions_that_stand_out_count(quantity):
    assert corners(made(None, quantity)) == corners(made(1.9, quantity)) == [(5, 5), (40, 30), (5, 45)]
    assert corners(made(2.1, quantity)) == corners(made(2.9, quantity)) == [(5, 5), (40, 30)]
    assert corners(made(3.1, quantity)) == [] and made(3.1, quantity).stands_out is False
    assert made(2.9, quantity).regions(0) == []
    assert made(2.9, quantity).regions() == made(None, quantity).regions()[:2]  # the same regions, not others


@pytest.mark.parametrize(
    ("threshold", "begin", "end"),
    [(2.0, 1.0, 5.0), (2.9, 1.45, 5.0), (3.1, 5.0, 6.25), (100.0, 100.0, 125.0)],
)
def test_colours_begin_where_photographs_end(threshold, begin, end):
    """z to similarity: 0.1 + 0.1 z. Below the threshold nothing is coloured, above it from half of it on."""
    similarity = made(threshold, "similarity").own_limits
    assert similarity == pytest.approx((0.1 + 0.1 * begin, 0.1 + 0.1 * end), abs=1e-6)
    realness = made(threshold).own_limits
    assert realness == pytest.approx((1 - similarity[1], 1 - similarity[0]), abs=1e-6)
    assert colour_limits(made(threshold)) == made(threshold).own_limits
    assert made(None).own_limits is None


def test_the_record_says_where_a_map_lies():
    found = made(4.0)
    assert map_record(found, (0.0, 1.0))["photographs"] == pytest.approx(
        {"mean": 0.1, "std": 0.1, "z_max": 5.0, "z_high": 3.0, "threshold": 4.0, "stands_out": False},
        abs=1e-5,
    )
    unknown = map_record(made(None), (0.0, 1.0))["photographs"]
    assert (unknown["threshold"], unknown["stands_out"]) == (None, None) and unknown[
        "z_max"
    ] == pytest.approx(5, abs=1e-5)


# ---------------------------------------------------------------- manifests


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["dream"]["photographs"].update(windows_px=[16]), "mean and std have 1 columns"),
        (lambda m: m["dream"]["photographs"].update(windows_px=[]), "windows_px"),
        (lambda m: m["dream"]["photographs"].update(encoder="two-pass"), "'encoder' is 'two-pass'"),
        (lambda m: m["graphs"].pop("photographs"), "needs a graph of that name"),
        (lambda m: m["graphs"]["photographs"]["outputs"].pop(), "needs a graph of that name"),
        (
            lambda m: m["dream"]["presets"]["tiny"].update(stands_out={"text": 0}),
            "'text' must be above 0",
        ),
        (lambda m: m["dream"]["presets"]["tiny"].update(stands_out={"phrases": "4"}), "of the wrong kind"),
        (lambda m: m["dream"]["presets"]["tiny"].update(stands_out=4), "must be a JSON object"),
    ],
)
def test_wrong_manifests(tmp_path, change, message):
    folder = add_photographs(build_one_pass_bundle(tmp_path / "wrong"), WINDOWS, "one-pass")
    manifest = read_manifest(folder)
    change(manifest)
    write_manifest(folder, manifest)
    with pytest.raises(BundleError, match=message):
        Engine.open(folder, device="cpu")


def test_a_bundle_without_the_section_ignores_the_graph(tmp_path, photo):
    folder = add_photographs(build_one_pass_bundle(tmp_path / "bundle"), WINDOWS, "one-pass")
    manifest = read_manifest(folder)
    del manifest["dream"]["photographs"]
    write_manifest(folder, manifest)
    with Engine.open(folder, device="cpu", threads=1) as engine:
        assert engine.map(photo(), TEXTS[0], DreamConfig((24,), 8)).photographs is None
