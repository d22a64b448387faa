from __future__ import annotations

import math

import numpy as np
import pytest

from realm_engine import DreamConfig, Engine, RealnessMap
from realm_engine.errors import UsageError, WindowError
from realm_engine.machine.memory import BYTES_PER_PIXEL, MemoryLimit
from realm_engine.maps.phrases import pick_phrases, read_bank

TEXT = "the face is melted"


@pytest.fixture
def dream(engine):
    return engine.maps.dream


def published(reference, image, texts, config) -> np.ndarray:
    """The published loop: crop, encode, compare, add to the pixels; scales combined as the preset says."""
    maps, masks = [], []
    height, width = image.shape[:2]
    for window in config.windows_px:
        total, count = np.zeros((height, width)), np.zeros((height, width))
        for top in range(0, height - window + 1, config.stride_px):
            for left in range(0, width - window + 1, config.stride_px):
                area = np.s_[top : top + window, left : left + window]
                cosine = np.mean([reference.similarity(image[area], text) for text in texts])
                total[area] += 1.0 - cosine
                count[area] += 1
        maps.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
        masks.append(count > 0)
    combine = np.nanmax if config.aggregate == "max" else np.nanmean
    with np.errstate(all="ignore"):
        stacked = np.stack(maps)
        any_window = np.any(masks, axis=0)
        realness = np.full((height, width), np.nan)
        realness[any_window] = combine(stacked[:, any_window], axis=0)
    return realness if config.quantity == "realness" else 1.0 - realness


CONFIGS = [
    DreamConfig((16,), 8),
    DreamConfig((16,), 8, quantity="similarity"),
    DreamConfig((32, 24, 16), 8, aggregate="max"),
    DreamConfig((32, 24, 16), 8, aggregate="max", quantity="similarity"),
    DreamConfig((24, 20), 7, aggregate="mean"),
    DreamConfig((12,), 20),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_equals_the_published_loop(dream, reference, photo, config):
    image = photo(50, 61)
    result = dream.map(image, [TEXT], config)
    assert result.values.dtype == np.float32
    assert result.values.shape == (50, 61)
    np.testing.assert_allclose(result.values, published(reference, image, [TEXT], config), atol=2e-3)


def test_several_texts_count_by_the_mean_of_their_similarities(dream, reference, photo):
    image, texts, config = photo(40, 40), [TEXT, "a doubled hand"], DreamConfig((16,), 8)
    result = dream.map(image, texts, config)
    np.testing.assert_allclose(result.values, published(reference, image, texts, config), atol=2e-3)
    assert result.texts == tuple(texts)


@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_realness_and_similarity_are_complements(dream, photo, aggregate):
    image = photo(50, 61)
    realness = dream.map(image, [TEXT], DreamConfig((24, 16), 8, aggregate))
    similarity = dream.map(image, [TEXT], DreamConfig((24, 16), 8, aggregate, "similarity"))
    mask = realness.covered
    assert not mask.all()
    np.testing.assert_allclose((realness.values + similarity.values)[mask], 1.0, atol=1e-6)
    for found in (realness, similarity):
        np.testing.assert_array_equal(np.isnan(found.values), ~mask)
    np.testing.assert_allclose(similarity.realness, realness.values, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 5, 32, 1000])
def test_the_number_of_windows_per_call_changes_nothing(dream, photo, monkeypatch, batch):
    image = photo(60, 84)
    config = DreamConfig((24, 16), 8)
    expected = dream.map(image, [TEXT], config).values
    monkeypatch.setattr(dream, "encoder", dream.encoder.with_per_call(batch))
    np.testing.assert_allclose(dream.map(image, [TEXT], config).values, expected, atol=1e-5)


def test_the_text_matters(dream, photo):
    image, config = photo(), DreamConfig((16,), 8)
    one = dream.map(image, [TEXT], config).values
    assert np.abs(one - dream.map(image, ["a doubled hand"], config).values).max() > 0.01


def test_progress_counts_windows_up_to_the_total(dream, photo):
    seen = []
    config = DreamConfig((24, 16), 8)
    result = dream.map(photo(60, 84), [TEXT], config, lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (result.windows, result.windows)
    assert {total for _, total in seen} == {result.windows}
    assert result.windows == sum(grid.count for grid in config.grids(60, 84))


def test_a_large_photograph_is_mapped(dream, photo):
    image = np.tile(photo(300, 400), (10, 10, 1))
    result = dream.map(image, [TEXT], DreamConfig((500,), 250))
    assert result.values.shape == (3000, 4000)
    assert result.covered.all()
    assert result.windows == 11 * 15


def test_a_scale_that_does_not_fit_is_found_before_any_work(dream, photo):
    seen = []
    with pytest.raises(WindowError, match=r"80 px does not fit an image of 84 x 60 px; .* fits is 60 px"):
        dream.map(photo(60, 84), [TEXT], DreamConfig((16, 80), 8), lambda *at: seen.append(at))
    assert not seen


def test_a_map_without_a_text_is_a_users_error(dream, photo):
    with pytest.raises(UsageError):
        dream.map(photo(), [], DreamConfig((16,), 8))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"windows_px": ()}, WindowError),
        ({"windows_px": (0,)}, WindowError),
        ({"windows_px": (64, 64)}, WindowError),
        ({"windows_px": (6.5,)}, WindowError),
        ({"stride_px": 0}, WindowError),
        ({"stride_px": True}, WindowError),
        ({"aggregate": "median"}, UsageError),
        ({"quantity": "unreal"}, UsageError),
    ],
)
def test_a_configuration_is_checked_where_it_is_made(arguments, error):
    with pytest.raises(error):
        DreamConfig(**arguments)


def test_preset_names(dream):
    assert dream.preset_name(DreamConfig()) == "released"
    assert dream.preset_name(DreamConfig((128, 64, 32), 4, "max", "similarity")) == "paper"
    assert dream.preset_name(DreamConfig((64,), 9)) == "custom"


# ------------------------------------------------------------------ regions


def made(values: np.ndarray, quantity: str = "realness") -> RealnessMap:
    values = values if quantity == "realness" else 1 - values
    return RealnessMap(
        values.astype(np.float32), DreamConfig((8,), 1, quantity=quantity), ("t",), "custom", 1
    )


@pytest.mark.parametrize("quantity", ["realness", "similarity"])
def test_regions_are_the_least_real_boxes_first(quantity):
    values = np.full((60, 80), 0.8)
    values[10:20, 30:50] = 0.5
    values[40:55, 5:15] = 0.3
    values[0, 0] = 0.1  # one pixel is no region
    first, second = made(values, quantity).regions()
    assert (first.x, first.y, first.width, first.height, first.area_px) == (5, 40, 10, 15, 150)
    assert (second.x, second.y, second.width, second.height, second.area_px) == (30, 10, 20, 10, 200)
    assert first.mean_realness == pytest.approx(0.3, abs=1e-6)
    assert made(values, quantity).regions(1) == [first]


def test_a_constant_map_has_no_regions():
    assert made(np.full((20, 20), 0.7)).regions() == []


def test_uncovered_pixels_are_in_no_region_and_no_statistic():
    values = np.full((20, 23), 0.7, dtype=np.float32)
    values[:, 16:] = 0.0  # windows of 8 at stride 8 cover 16 x 16
    values[16:, :] = 0.0
    values[4:12, 4:12] = 0.6
    result = RealnessMap(values, DreamConfig((8,), 8), ("t",), "custom", 4)
    statistics = result.statistics()
    assert statistics["min"] == pytest.approx(0.6)
    assert statistics["covered_fraction"] == pytest.approx(256 / 460)
    assert [(region.x, region.y, region.area_px) for region in result.regions()] == [(4, 4, 64)]


# ------------------------------------------------------------------ phrases


def test_picks_the_phrases_that_stand_out(engine, dream, reference, photo):
    image, window = photo(70, 90, seed=3), 16
    bank = read_bank(engine.bundle.file("phrases.json"))
    scores = []
    for entry in bank:
        z = [
            (reference.similarity(image[top : top + window, left : left + window], entry.text) - entry.mean)
            / entry.std
            for top in range(0, 70 - window + 1, window // 2)
            for left in range(0, 90 - window + 1, window // 2)
        ]
        scores.append(np.percentile(z, 95))
    order = sorted(range(len(bank)), key=lambda index: -scores[index])[:3]
    expected = [bank[index].text for index in order if scores[index] >= scores[order[0]] - 1.0]
    picked = pick_phrases(dream, bank, image, window)
    assert [phrase.text for phrase in picked] == expected
    assert picked[0].z_score == pytest.approx(scores[order[0]], abs=0.05)


def test_a_phrase_far_behind_the_best_is_left_out(engine, dream, photo):
    bank = read_bank(engine.bundle.file("phrases.json"))
    from dataclasses import replace

    loud = (replace(bank[2], mean=-50.0, std=1.0), *bank[:2])
    assert [phrase.text for phrase in pick_phrases(dream, loud, photo(), 16)] == [bank[2].text]


def test_the_fast_preset_encodes_fewer_windows_and_says_so(dream, photo):
    image, config = photo(150, 190), DreamConfig((32,), 4)
    full, seen = dream.map(image, [TEXT], config), []
    fast = dream.map(image, [TEXT], config.faster(), lambda done, total: seen.append((done, total)))
    assert fast.windows == math.ceil(0.2 * full.windows)
    assert fast.windows_of_grid == full.windows == full.windows_of_grid
    assert seen[-1] == (fast.windows, fast.windows)
    assert {total for _, total in seen} == {fast.windows}
    assert np.corrcoef(fast.values[fast.covered], full.values[full.covered])[0, 1] > 0.9
    assert not np.array_equal(fast.values, full.values)


def test_a_stream_of_maps_counts_the_windows_that_were_encoded(engine, photo):
    config, seen = DreamConfig((32,), 4).faster(), []
    images = [photo(150, 190, seed=seed) for seed in range(2)]
    maps = list(engine.iter_maps(images, TEXT, config, progress=lambda *done: seen.append(done)))
    encoded = sum(found.map.windows for found in maps)
    assert seen[-1] == (2, encoded) and max(windows for _, windows in seen) == encoded
    assert seen == sorted(seen)  # neither goes back


def test_where_windows_hardly_overlap_none_is_spared():
    assert DreamConfig((64, 128), 8).faster().fraction == pytest.approx(0.2)
    assert 0.4 < DreamConfig((64, 32), 8).faster().fraction < 1
    assert DreamConfig((64,), 64).faster().fraction == 1.0
    with pytest.raises(UsageError, match="fraction is 0"):
        DreamConfig(fraction=0)


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_images_that_share_calls_get_the_maps_they_get_alone(dream, photo, fraction):
    config = DreamConfig((16, 24), 8, fraction=fraction)
    images = [photo(40, 56, seed=seed) for seed in range(3)]
    texts = [[TEXT], ["a doubled hand", TEXT], ["a doubled hand"]]
    seen = []
    together = dream.map_together(images, texts, config, lambda done, total: seen.append((done, total)))
    for image, own, found in zip(images, texts, together, strict=True):
        alone = dream.map(image, own, config)
        np.testing.assert_allclose(found.values, alone.values, atol=1e-5)
        assert (found.texts, found.windows) == (alone.texts, alone.windows)
    assert seen[-1][0] == seen[-1][1] == sum(found.windows for found in together)


def test_one_image_with_several_texts_is_encoded_once(engine, photo):
    config, seen = DreamConfig((16,), 8), []
    image = photo(40, 56)
    maps = engine.map_texts(image, [TEXT, "a doubled hand"], config, lambda done, total: seen.append(total))
    assert set(seen) == {maps[0].windows}
    for text, found in zip([TEXT, "a doubled hand"], maps, strict=True):
        np.testing.assert_allclose(found.values, engine.map(image, text, config).values, atol=1e-6)


class Recorder:
    """A session that notes how many windows each call has."""

    def __init__(self, session, calls):
        self.session, self.calls = session, calls

    def run(self, inputs, outputs):
        self.calls.append(len(inputs["top"]))
        return self.session.run(inputs, outputs)


def test_a_memory_limit_makes_calls_smaller_and_changes_nothing(bundle_path, photo, monkeypatch):
    image, config = photo(60, 84), DreamConfig((16,), 8)
    with Engine.open(bundle_path, device="cpu", threads=1) as engine:
        expected = engine.map(image, TEXT, config).values
        dream, calls = engine.maps.dream, []
        encoder = dream.encoder
        session = encoder._session()
        encoder._session = lambda: Recorder(session, calls)
        five = 5 * MemoryLimit.input_bytes(dream.spec.image_size_px) + image[:, :, 0].size * BYTES_PER_PIXEL
        monkeypatch.setattr("realm_engine.machine.memory.resident_bytes", lambda: 1 << 27)
        encoder._memory = MemoryLimit((1 << 27) + five, strict=True)
        np.testing.assert_allclose(engine.map(image, TEXT, config).values, expected, atol=1e-5)
    assert max(calls) == 5 < encoder.per_call


def test_a_memory_limit_that_cannot_be_kept_is_an_error_that_says_what_would_do(bundle_path, photo):
    with (
        Engine.open(bundle_path, device="cpu", threads=1, max_memory="20M") as engine,
        pytest.raises(UsageError, match=r"--max-memory 20M is too little: .* give at least \d+"),
    ):
        engine.map(photo(60, 84), TEXT, DreamConfig((16,), 8))


def test_a_memory_limit_that_was_refused_once_is_refused_again(bundle_path, photo):
    with Engine.open(bundle_path, device="cpu", threads=1, max_memory="20M") as engine:
        for _ in range(2):
            with pytest.raises(UsageError, match="--max-memory 20M is too little"):
                engine.iter_maps([photo(60, 84)], TEXT)


@pytest.mark.parametrize("fraction", [1.0, 0.6])
def test_a_device_with_its_own_memory_gets_the_image_once(bundle_path, photo, monkeypatch, fraction):
    """I/O binding as on a GPU, here with ONNX Runtime's values on the CPU."""
    config = DreamConfig((16, 24), 8, fraction=fraction)
    image, texts = photo(60, 84), [TEXT, "a doubled hand"]
    with Engine.open(bundle_path, device="cpu", threads=1) as engine:
        expected = engine.map_texts(image, texts, config)
    with Engine.open(bundle_path, device="cpu", threads=1) as engine:
        backend, uploaded = engine._main.sessions.plan("dream").backend, []
        monkeypatch.setattr(backend, "resident", True)
        upload = backend.upload
        monkeypatch.setattr(backend, "upload", lambda array: uploaded.append(array.shape) or upload(array))
        engine.maps.dream.encoder = engine.maps.dream.encoder.with_per_call(5)
        for found, wanted in zip(engine.map_texts(image, texts, config), expected, strict=True):
            np.testing.assert_allclose(found.values, wanted.values, atol=1e-5)
    assert uploaded.count(image.shape) == 1


def test_embeddings_of_windows_are_what_similarities_are_made_of(engine, dream, reference, photo):
    image = photo(60, 84)
    found = engine.embed(image, window_px=24, stride_px=12)
    (grid,) = DreamConfig((24,), 12).grids(60, 84)
    assert found.shape == (grid.count, 8) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    texts = engine.embed_texts([TEXT, "a doubled hand"])
    tops, lefts = grid.origins()
    expected = [
        [
            reference.similarity(image[top : top + 24, left : left + 24], text)
            for text in (TEXT, "a doubled hand")
        ]
        for top, left in zip(tops, lefts, strict=True)
    ]
    np.testing.assert_allclose(found @ texts.T, expected, atol=2e-3)
