import dataclasses
import itertools

import numpy as np
import pytest
import torch
from clip_data import PAIRS, picture
from PIL import Image

from realm_train.clip import pairs
from realm_train.clip.pairs import ANY_FLAW, CLEAN, PAIRED, Described, PairsConfig, Source, WindowPairs
from realm_train.defects import TRAINING_KINDS, make_defect

PICTURES = [picture(seed) for seed in range(3)]
DESCRIBED = [
    Described(PICTURES[0], "Yes, the face looks warped.", True),
    Described(PICTURES[1], "No, nothing looks odd.", False),
]


def dataset(config: PairsConfig = PAIRS, seed: int = 5, **options) -> WindowPairs:  # type: ignore[no-untyped-def]
    source = Source(PICTURES, options.pop("described", DESCRIBED), config, seed, **options)
    return WindowPairs(source, 32, 6)


def equal(a: pairs.Batch, b: pairs.Batch) -> bool:
    return (
        a.texts == b.texts
        and torch.equal(a.window_labels, b.window_labels)
        and torch.equal(a.text_labels, b.text_labels)
        and torch.equal(a.windows, b.windows)
    )


def test_a_batch_depends_on_seed_and_number_alone() -> None:
    forward = dataset()
    batches = [forward[number] for number in range(3)]
    backward = dataset()
    assert all(equal(backward[number], batches[number]) for number in (2, 0, 1))
    assert not equal(batches[0], batches[1])
    assert not equal(dataset(seed=6)[0], batches[0])
    assert len(forward) == 6


def test_what_a_batch_holds() -> None:
    batch = dataset()[0]
    assert batch.windows.dtype == torch.uint8 and batch.windows.shape[1:] == (32, 32, 3)
    assert len(batch.windows) == len(batch.window_labels) == 2 * (2 + 2) + 2
    assert len(batch.texts) == len(batch.text_labels) == 2 + 2 + 2 + 1
    kinds = batch.text_labels[:2].tolist()
    assert all(0 <= kind < len(TRAINING_KINDS) for kind in kinds)
    assert batch.window_labels[:8].tolist() == [kinds[0]] * 2 + [CLEAN] * 2 + [kinds[1]] * 2 + [CLEAN] * 2
    # A rated image makes a pair of its own, but for one said to be without fault.
    drawn = [DESCRIBED[[text.description for text in DESCRIBED].index(text)] for text in batch.texts[2:4]]
    expected = [PAIRED + i if rated.unreal else CLEAN for i, rated in enumerate(drawn)]
    assert batch.window_labels[8:].tolist() == batch.text_labels[2:4].tolist() == expected
    assert batch.text_labels[4:].tolist() == [CLEAN, CLEAN, ANY_FLAW]


def test_kinds_and_described_images_can_be_left_out() -> None:
    batch = dataset(described=(), kinds=("noisy_patch", "hard_seam"))[1]
    assert set(batch.window_labels.tolist()) <= {0, 1, CLEAN}
    assert set(batch.text_labels.tolist()) <= {0, 1, CLEAN, ANY_FLAW}
    assert len(batch.texts) == 5


@pytest.mark.parametrize("kind", ["noisy_patch", "hard_seam", "garbled_text"])
@pytest.mark.parametrize("side", [24, 48, 500])
def test_windows_inside_and_outside(kind: str, side: int) -> None:
    rng = np.random.default_rng(3)
    config = dataclasses.replace(PAIRS, inside=20, outside=20, least_cover=0.35)
    mask = make_defect(PICTURES[1], rng, kind=kind).mask
    inside, outside = pairs.place_windows(mask, side, config, rng)
    side = min(side, *mask.shape)
    best = max(
        mask[y : y + side, x : x + side].sum()
        for y, x in itertools.product(range(mask.shape[0] - side + 1), range(mask.shape[1] - side + 1))
    )
    assert len(inside) == 20
    for y, x in inside:
        window = mask[y : y + side, x : x + side]
        assert window.shape == (side, side)
        # A small flaw cannot cover so much: then windows that come near the best.
        assert window.sum() >= max(1, min(0.35 * side * side, 0.9 * best))
    for y, x in outside:
        assert mask[y : y + side, x : x + side].shape == (side, side)
        assert not mask[y : y + side, x : x + side].any()
    if side <= 48:
        assert len(outside) == 20


def test_a_mask_that_leaves_no_room() -> None:
    full = np.ones((70, 80), bool)
    inside, outside = pairs.place_windows(full, 32, PAIRS, np.random.default_rng(0))
    assert len(inside) == 2 and outside == []
    inside, outside = pairs.place_windows(~full, 32, PAIRS, np.random.default_rng(0))
    assert inside == [] and len(outside) == 2


@pytest.mark.parametrize(("side", "size"), [(32, 32), (48, 32), (20, 32), (300, 64)])
def test_cut_is_pillows_resize(side: int, size: int) -> None:
    image = PICTURES[0]
    found = pairs.cut(image, 0 if side == 300 else 7, 0 if side == 300 else 11, side, size)
    part = Image.fromarray(image)
    box = (0, 0, 144, 144) if side == 300 else (11, 7, 11 + side, 7 + side)
    expected = np.asarray(part.crop(box).resize((size, size), Image.Resampling.BICUBIC))
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


def test_belonging_is_that_of_a_plain_loop() -> None:
    windows = [0, 0, 3, CLEAN, CLEAN, PAIRED, PAIRED + 1, 7]
    texts = [0, 3, CLEAN, ANY_FLAW, PAIRED, PAIRED + 2, 5, ANY_FLAW]
    belongs, related = pairs.belonging(torch.tensor(windows), torch.tensor(texts))
    assert belongs.dtype == related.dtype == torch.bool
    for i, window in enumerate(windows):
        for j, text in enumerate(texts):
            flawed = 0 <= window < PAIRED
            assert bool(belongs[i, j]) == (window == text or (flawed and text == ANY_FLAW)), (window, text)
            other_kind = flawed and 0 <= text < PAIRED and window != text
            assert bool(related[i, j]) == other_kind, (window, text)
