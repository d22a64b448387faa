"""One pass of the trunk over a picture: every window is what a plain loop over its cells gives."""

from dataclasses import replace
from pathlib import Path

import models
import numpy as np
import pytest
import torch
from clip_data import PAIRS, clip_config, picture, write_native_config
from torch.nn import functional as F

from realm_engine.maps.windows import WindowGrid, spread_mean
from realm_train.clip.config import ONE_PASS, TINY
from realm_train.clip.model import Clip, new_clip
from realm_train.clip.one_pass import OnePass, halo_px, picture_maps
from realm_train.clip.pairs import (
    CLEAN,
    PAIRED,
    STEP_PX,
    Described,
    PairsConfig,
    PictureBatch,
    PicturePairs,
    Source,
    choose_places,
    place_part,
)
from realm_train.clip.trunk import POOLED_STRIDES
from realm_train.defects import TRAINING_KINDS
from realm_train.errors import ConfigError, TowerError


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return models.window_clip(tmp_path_factory.mktemp("one-pass"))


@torch.no_grad()
def test_pooled_windows_are_mean_and_spread_over_their_pixels(clip: Clip) -> None:
    """Each cell counts as many times as the window has pixels of it, in float64."""
    images = torch.from_numpy(np.stack([picture(0, 100, 120), picture(1, 100, 120)]))
    tops, lefts, window = [0, 8, 33], [0, 52], 64
    found = OnePass(clip.model.visual, clip.normalise).pool(images, tops, lefts, window)
    padded = F.pad(clip.normalise(images), (0, 8, 0, 12), mode="replicate")
    stages = clip.model.visual.trunk.stages(padded, local=True)
    assert found.shape == (2, 3, 2, clip.model.visual.trunk.num_features)
    for number in range(2):
        for row, top in enumerate(tops):
            for column, left in enumerate(lefts):
                expected = []
                for stage, stride in zip(stages, POOLED_STRIDES, strict=True):
                    pixels = stage[number].double().repeat_interleave(stride, 1).repeat_interleave(stride, 2)
                    inside = pixels[:, top : top + window, left : left + window].flatten(1)
                    expected += [inside.mean(1), (inside.var(1, unbiased=False) + 1e-5).sqrt()]
                np.testing.assert_allclose(found[number, row, column], torch.cat(expected), atol=2e-4)


@torch.no_grad()
def test_squeeze_and_excite_looks_around_and_windows_keep_their_own(clip: Clip) -> None:
    trunk = clip.model.visual.trunk
    pixels = torch.randn(1, 3, 64, 640, generator=torch.Generator().manual_seed(0))
    changed = pixels.clone()
    changed[..., :16, :16] += 3
    before, after = (trunk.stages(each, local=True)[-1] for each in (pixels, changed))
    assert not torch.equal(before[..., :4, :4], after[..., :4, :4])
    torch.testing.assert_close(before[..., -1, -1], after[..., -1, -1], rtol=0, atol=0)
    whole, again = (trunk.stages(each)[-1] for each in (pixels, changed))
    assert not torch.equal(whole[..., -1, -1], again[..., -1, -1])


@torch.no_grad()
def test_maps_are_those_of_a_loop_over_windows(clip: Clip) -> None:
    image, texts = picture(3, 104, 130), ["Yes, the face looks warped.", "no"]
    tower = OnePass(clip.model.visual, clip.normalise)
    text = clip.encode_texts(texts)
    expected = np.zeros((2, 104, 130))
    for side in (64, 32):
        grid = WindowGrid(104, 130, side, 16)
        values = [
            (tower.embed(tower.pool(torch.from_numpy(image)[None], [top], [left], side)) @ text.T).flatten()
            for top, left in zip(*grid.origins(), strict=True)
        ]
        table = torch.stack(values).double().numpy().reshape(grid.rows, grid.cols, 2)
        expected += [spread_mean(table[..., k], grid) / 2 for k in range(2)]
    found = picture_maps(clip, windows_px=(64, 32), stride_px=16)(image, texts)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@torch.no_grad()
def test_no_cell_sees_beyond_the_halo(clip: Clip) -> None:
    trunk = clip.model.visual.trunk
    halo = halo_px(trunk)
    assert halo % 16 == 0
    pixels = torch.randn(1, 3, 32, 2 * halo + 64, generator=torch.Generator().manual_seed(0))
    before = trunk.stages(pixels, local=True)
    for column, side in ((0, slice(0, 16)), (-1, slice(-16, None))):
        changed = pixels.clone()
        changed[..., side] += 5
        for stage, other, px in zip(before, trunk.stages(changed, local=True), POOLED_STRIDES, strict=True):
            far = (halo + 16) // px
            kept = slice(far, None) if column == 0 else slice(None, -far)
            torch.testing.assert_close(stage[..., kept], other[..., kept], rtol=0, atol=0)
    assert not torch.equal(before[-1], trunk.stages(changed, local=True)[-1])


def test_a_tower_of_windows_alone_is_refused(tmp_path: Path) -> None:
    clip = new_clip(clip_config(write_native_config(tmp_path)), tmp_path / "native")
    with pytest.raises(TowerError, match="realm-tiny's convolutional tower"):
        OnePass(clip.model.visual, clip.normalise)


# ---------------------------------------------------------------------------- batches


PICTURES = [picture(seed, 200, 240) for seed in range(3)]
DESCRIBED = [Described(PICTURES[0], "Yes, warped.", True), Described(PICTURES[1], "No.", False)]


def pairs(config: PairsConfig, seed: int = 5) -> PicturePairs:
    return PicturePairs(Source(PICTURES, DESCRIBED, config, seed), 6)


@pytest.fixture
def config() -> PairsConfig:
    return replace(PAIRS, images=3, inside=5, outside=4, windows_px=(64,), picture_px=128)


def test_a_batch_of_pictures_depends_on_seed_and_number_alone(config: PairsConfig) -> None:
    def same(a: PictureBatch, b: PictureBatch) -> bool:
        tensors = ("pictures", "places", "window_labels", "text_labels")
        return a.texts == b.texts and all(torch.equal(getattr(a, n), getattr(b, n)) for n in tensors)

    first, second = pairs(config)[0], pairs(config)[1]
    assert same(pairs(config)[0], first) and not same(first, second)
    assert not same(pairs(config, seed=6)[0], first)


def test_what_a_batch_of_pictures_holds(config: PairsConfig) -> None:
    for number in range(4):
        batch = pairs(config)[number]
        assert batch.pictures.dtype == torch.uint8 and batch.pictures.shape[1:] == (128, 128, 3)
        assert batch.window_px == 64 and list(batch.origins) == list(range(0, 65, STEP_PX))
        assert len(batch.places) == len(batch.window_labels)
        assert batch.places[:, 0].max() < len(batch.pictures) and batch.places[:, 1:].max() < 9
        kinds = [label for label in batch.text_labels.tolist() if 0 <= label < len(TRAINING_KINDS)]
        for index, kind in enumerate(kinds):  # the flawed pictures come first, with the texts
            labels = batch.window_labels[batch.places[:, 0] == index].tolist()
            assert set(labels) <= {kind, CLEAN} and labels.count(kind) in (0, 5)


def test_flaws_lie_anywhere_in_a_part() -> None:
    """A flaw of one pixel, in a part that it can be anywhere in: as often near an edge as a fair die would have it."""
    mask = np.zeros((300, 320), bool)
    mask[150, 160] = True
    rng = np.random.default_rng(0)
    at = np.array([(150 - y, 160 - x) for y, x in (place_part(mask, 128, rng) for _ in range(2000))])
    assert at.min() >= 0 and at.max() < 128
    expected = 2000 / 8
    for axis in (0, 1):
        counts = np.histogram(at[:, axis], 8, (0, 128))[0]
        assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)
    corner = np.zeros((300, 320), bool)
    corner[0, 319] = True
    assert {place_part(corner, 128, rng) for _ in range(50)} == {(0, 192)}  # no part leaves the picture
    assert len({place_part(np.zeros((300, 320), bool), 128, rng) for _ in range(50)}) > 20


def test_a_window_with_little_of_the_flaw_is_neither() -> None:
    """Where the part shows the edge of a flaw alone, its windows would be called flawed by too little."""
    covered = np.array([[0, 40, 300], [0, 0, 900]], np.int32)
    config = replace(PAIRS, inside=6, outside=6, least_cover=0.35)
    rng = np.random.default_rng(0)
    inside, outside = choose_places(covered, 64, config, rng, most=4000)
    assert inside == [] and set(outside) == {(0, 0), (1, 0), (1, 1)}
    inside, _ = choose_places(covered, 64, config, rng)
    assert set(inside) == {(1, 2)}


def test_photographs_without_a_flaw_are_clean_and_bring_no_text(config: PairsConfig) -> None:
    plain, more = pairs(replace(config, described=0))[0], pairs(replace(config, described=0, clean=2))[0]
    assert len(more.pictures) == len(plain.pictures) + 2
    assert len(more.texts) == len(plain.texts)
    last = more.places[:, 0] >= len(plain.pictures)
    assert more.window_labels[last].tolist() == [CLEAN] * 8


def test_rated_images_smaller_than_a_part_are_enlarged(config: PairsConfig) -> None:
    source = Source(PICTURES, [Described(picture(1, 90, 150), "Yes, odd.", True)], config, 5, least_px=128)
    batch = PicturePairs(source, 2)[0]
    assert batch.pictures.shape[1:] == (128, 128, 3)
    assert (batch.window_labels >= PAIRED).any()


def test_labels_say_what_the_window_shows(config: PairsConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flaws painted pure white, so that a window can be asked."""
    from realm_train.clip import pairs as module

    real = module.make_defect

    def white(*arguments: object, **options: object):  # type: ignore[no-untyped-def]
        defect = real(*arguments, **options)  # type: ignore[arg-type]
        image = np.where(defect.mask[..., None], 255, defect.image // 2).astype(np.uint8)
        return replace(defect, image=image)

    monkeypatch.setattr(module, "make_defect", white)
    monkeypatch.setattr(module, "compress", lambda image, rng: image)
    flawed = 0
    for number in range(4):
        batch = pairs(replace(config, described=0))[number]
        flawed += int((batch.window_labels >= 0).sum())
        for (index, row, column), label in zip(
            batch.places.tolist(), batch.window_labels.tolist(), strict=True
        ):
            top, left = row * STEP_PX, column * STEP_PX
            window = batch.pictures[index, top : top + 64, left : left + 64]
            shown = float((window == 255).all(-1).float().mean())
            assert shown == 0 if label == CLEAN else shown > 0
    assert flawed > 20


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(ConfigError, match="encoder 'two-pass': known are each-window and one-pass"):
        clip_config(TINY, encoder="two-pass")
    assert clip_config(TINY, encoder=ONE_PASS).encoder == ONE_PASS
