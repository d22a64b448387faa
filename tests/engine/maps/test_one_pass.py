"""DREAM in one pass against a plain loop: pooled windows, bands, which encoder makes which map."""

from __future__ import annotations

import numpy as np
import pytest
from bundles import read_manifest, write_manifest
from one_pass_bundle import build_one_pass_bundle, embedding, stages

from realm_engine import DreamConfig, Engine
from realm_engine.errors import BundleError, UsageError
from realm_engine.machine.memory import MemoryLimit
from realm_engine.maps.encoders import OnePass
from realm_engine.maps.windows import box_shares, spread_scales

TEXTS = ["yes the face", "a doubled hand"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return build_one_pass_bundle(tmp_path_factory.mktemp("one-pass") / "bundle")


@pytest.fixture(scope="module")
def one_pass(bundle):
    with Engine.open(bundle, device="cpu", threads=1) as engine:
        yield engine


def plain_map(image: np.ndarray, text: str, config: DreamConfig, reference) -> np.ndarray:
    """Every window by itself, in float64."""
    found, target = stages(image), reference.text_embedding(text)
    grids, values = config.grids(*image.shape[:2]), []
    for grid in grids:
        each = [
            1 - embedding(found, int(top), int(left), grid.window_px) @ target
            for top, left in zip(*grid.origins(), strict=True)
        ]
        values.append(np.reshape(each, (grid.rows, grid.cols)))
    return spread_scales(values, grids, config.aggregate)


@pytest.mark.parametrize(
    ("height", "width", "config"),
    [
        (64, 80, DreamConfig((24,), 8)),
        (61, 83, DreamConfig((24, 16), 5)),
        (30, 100, DreamConfig((30, 9), 7, "max")),
        (17, 17, DreamConfig((17,), 8)),
    ],
)
def test_a_map_is_that_of_a_loop_over_windows(one_pass, reference, photo, height, width, config):
    image = photo(height, width, seed=height)
    result = one_pass.map(image, TEXTS[0], config)
    np.testing.assert_allclose(result.values, plain_map(image, TEXTS[0], config, reference), atol=2e-5)
    assert (result.encoder, result.windows) == ("one-pass", sum(g.count for g in config.grids(height, width)))


def test_embeddings_of_windows(one_pass, photo):
    image = photo(50, 60)
    found = one_pass.embed(image, window_px=20, stride_px=15)
    (grid,) = DreamConfig((20,), 15).grids(50, 60)
    table = stages(image)
    expected = [embedding(table, int(top), int(left), 20) for top, left in zip(*grid.origins(), strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_trunk_runs_once_for_all_texts_sizes_and_phrases(bundle, photo, monkeypatch):
    calls = []
    run = OnePass._run_trunk
    monkeypatch.setattr(OnePass, "_run_trunk", lambda self, pixels: calls.append(1) or run(self, pixels))
    with Engine.open(bundle, device="cpu", threads=1) as engine:
        engine.map_texts(photo(60, 84), TEXTS, DreamConfig((24, 16), 8))
        assert len(calls) == 1
        found = engine.map(photo(70, 84), None, DreamConfig((24,), 8))
        assert len(calls) == 2 and found.phrases
        list(engine.iter_maps([photo(70, 84, seed=seed) for seed in range(3)], config=DreamConfig((24,), 8)))
        assert len(calls) == 5 and not engine.maps.dream._seen.canvases


def test_pictures_do_not_share_a_canvas(one_pass, photo):
    images = [photo(40, 50, seed=seed) for seed in range(3)]
    config = DreamConfig((16,), 8)
    alone = [one_pass.map(image, TEXTS[0], config).values for image in images]
    together = one_pass.maps.map_together(images, [(TEXTS[0],)] * 3, config, None)
    for found, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(found.values, expected)


@pytest.mark.parametrize("rows", [24, 40, 57])
def test_bands_give_what_the_whole_gives(bundle, photo, monkeypatch, rows):
    """Rows are what memory allows; 24 are the least: a band of 8 with a halo of 8 on both sides."""
    image = photo(100, 64)
    config = DreamConfig((24,), 8)
    with Engine.open(bundle, device="cpu", threads=1) as engine:
        expected = engine.map(image, TEXTS[0], config).values
        seen = []
        encoder = engine.maps.dream.encoder
        trunk = encoder._trunk
        session = trunk()

        class Watched:
            def run(self, inputs, outputs):
                seen.append(inputs["image"].shape[0])
                return session.run(inputs, outputs)

        monkeypatch.setattr(encoder, "_trunk", Watched)
        monkeypatch.setattr(MemoryLimit, "inputs_per_call", lambda *a, **k: rows)
        found = engine.map(image, TEXTS[0], config).values
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert len(seen) > 1 and max(seen) <= rows


def test_memory_that_does_not_hold_a_band_is_refused(bundle, photo, monkeypatch):
    with Engine.open(bundle, device="cpu", threads=1, max_memory="4G") as engine:
        engine.maps.dream.encoder.check_memory()
        monkeypatch.setattr(MemoryLimit, "inputs_per_call", lambda *a, **k: 20)
        with pytest.raises(UsageError, match=r"--max-memory 4G is too little for a map of 64 x 100 pixels"):
            engine.map(photo(100, 64), TEXTS[0], DreamConfig((24,), 8))


# ---------------------------------------------------------------- which encoder


def test_the_preset_says_which_encoder(one_pass, photo):
    presets = one_pass.presets()
    assert list(presets) == ["released", "paper", "tiny", "fast"]
    assert (presets["tiny"].encoder, presets["paper"].encoder) == (None, "each-window")
    image = photo(140, 150)
    for name, encoder in (("released", "one-pass"), ("paper", "each-window"), ("tiny", "one-pass")):
        found = one_pass.map(image, TEXTS[0], presets[name])
        assert (found.preset, found.encoder) == (name, encoder)


def test_an_engine_keeps_to_the_encoder_it_was_opened_with(bundle, bundle_path, photo):
    image = photo(140, 150)
    with (
        Engine.open(bundle, device="cpu", threads=1, encoder="each-window") as engine,
        Engine.open(bundle_path, device="cpu", threads=1) as plain,
    ):
        for name, config in engine.presets().items():
            found = engine.map(image, TEXTS[0], config)
            assert found.encoder == "each-window"
            np.testing.assert_array_equal(
                found.values, plain.map(image, TEXTS[0], plain.presets()[name]).values
            )
    with Engine.open(bundle, device="cpu", threads=1, encoder="one-pass") as engine:
        found = engine.map(image, TEXTS[0], engine.presets()["paper"])
        assert (found.preset, found.encoder) == ("paper", "one-pass")


def test_a_configuration_may_ask_for_one(one_pass, photo):
    config = DreamConfig((24,), 8, encoder="each-window")
    assert one_pass.map(photo(), TEXTS[0], config).encoder == "each-window"


def test_a_share_of_the_windows_saves_nothing(one_pass, photo):
    config = DreamConfig((24,), 8)
    exact = one_pass.map(photo(), TEXTS[0], config)
    fast = one_pass.map(photo(), TEXTS[0], DreamConfig((24,), 8, fraction=0.2))
    np.testing.assert_array_equal(fast.values, exact.values)
    assert fast.windows == exact.windows == exact.windows_of_grid and fast.config.fraction == 1


def test_an_encoder_that_is_not_there(bundle_path, tmp_path, photo):
    with (
        Engine.open(bundle_path, device="cpu", encoder="one-pass") as engine,
        pytest.raises(UsageError, match="cannot be made by one-pass, only by each-window"),
    ):
        engine.map(photo(), TEXTS[0])
    with pytest.raises(UsageError, match="encoder is 'two-pass'; choose one of auto, each-window, one-pass"):
        Engine.open(bundle_path, encoder="two-pass")
    with pytest.raises(UsageError, match="encoder is 'two-pass'"):
        DreamConfig(encoder="two-pass")
    alone = build_one_pass_bundle(tmp_path / "alone", each_window=False)
    with Engine.open(alone, device="cpu", threads=1) as engine:
        assert engine.map(photo(), TEXTS[0]).encoder == "one-pass"
        with pytest.raises(UsageError, match="encoder each-window: this bundle has one-pass alone"):
            engine.map(photo(), TEXTS[0], DreamConfig((24,), 8, encoder="each-window"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells_px": [4, 6]}, "do not fit into one another"),
        ({"halo_px": 12}, "do not fit into one another"),
        ({"cells_px": []}, "cells_px"),
        (None, "one_pass"),
    ],
)
def test_wrong_manifests(tmp_path, change, message):
    folder = build_one_pass_bundle(tmp_path / "wrong")
    manifest = read_manifest(folder)
    if change is None:
        del manifest["dream"]["one_pass"]
    else:
        manifest["dream"]["one_pass"] |= change
    write_manifest(folder, manifest)
    with pytest.raises(BundleError, match=message):
        Engine.open(folder, device="cpu")


@pytest.mark.parametrize(
    ("firsts", "window", "count", "cell"),
    [
        ([0, 3, 5], 6, 12, 1),
        ([0, 8, 16], 64, 5, 16),
        ([0, 3, 11], 7, 6, 4),
        ([5], 1, 3, 8),
        (range(0, 65, 8), 128, 12, 16),
    ],
)
def test_box_shares_count_pixels(firsts, window, count, cell):
    found = box_shares(np.array(firsts), window, count, cell)
    assert found.dtype == np.float32
    for row, first in enumerate(firsts):
        expected = np.bincount(np.arange(first, first + window) // cell, minlength=count) / window
        np.testing.assert_allclose(found[row], expected, atol=1e-7)
