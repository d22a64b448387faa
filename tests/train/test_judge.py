import numpy as np
import pytest
import torch
from clip_data import clip_config, picture, write_native_config
from PIL import Image
from sklearn.metrics import roc_auc_score

from realm_train.clip import map_metrics
from realm_train.clip.judge import judge_maps, window_maps
from realm_train.clip.model import Clip, new_clip
from realm_train.defects import HELD_OUT_KINDS, KINDS, TRAINING_KINDS, Defect
from realm_train.defects.planted import Planted, planted_defects
from realm_train.errors import DataError

PICTURES = [picture(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def planted() -> list[Planted]:
    return planted_defects(PICTURES, seed=4, per_photograph=2)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    clip = new_clip(clip_config(write_native_config(folder)), folder / "run")
    clip.model.eval()
    return clip


def test_planted_defects_are_the_same_for_the_same_seed(planted: list[Planted]) -> None:
    again = planted_defects(PICTURES, seed=4, per_photograph=2)
    assert len(again) == len(planted) > 3
    for a, b in zip(planted, again, strict=True):
        np.testing.assert_array_equal(a.defect.image, b.defect.image)
        np.testing.assert_array_equal(a.defect.mask, b.defect.mask)
        assert (a.defect.description, a.wrong_description) == (b.defect.description, b.wrong_description)
        assert a.wrong_description != a.defect.description
    others = planted_defects(PICTURES, seed=5, per_photograph=2)
    assert [item.defect.description for item in others] != [item.defect.description for item in planted]
    assert {item.defect.kind for item in planted} <= set(TRAINING_KINDS)
    held_out = planted_defects(PICTURES, seed=4, per_photograph=2, kinds=HELD_OUT_KINDS)
    assert held_out and {item.defect.kind for item in held_out} <= set(HELD_OUT_KINDS) <= set(KINDS)


def test_a_perfect_map(planted: list[Planted]) -> None:
    def mapper(image, texts):  # type: ignore[no-untyped-def]
        maps = []
        for text in texts:
            flawed = [item for item in planted if item.defect.image is image]
            if not flawed:  # the photograph before
                maps.append(np.zeros(image.shape[:2], np.float32))
                continue
            mask = flawed[0].defect.mask.astype(np.float32)
            maps.append(mask if text == flawed[0].defect.description else -mask)
        return maps

    quality = judge_maps(planted, mapper)
    assert quality.images == len(planted)
    assert quality.auc == quality.auc_judd == quality.iou == quality.right_beats_wrong == 1
    assert quality.auc_wrong_text == 0 and quality.auc_clean_text == 1
    assert quality.contrast == 1 and quality.flatness == 0
    assert quality.cc == pytest.approx(1)
    expected_nss = np.mean([np.sqrt((~i.defect.mask).sum() / i.defect.mask.sum()) for i in planted])
    assert quality.nss == pytest.approx(expected_nss, rel=1e-5)
    assert quality.by_kind == {item.defect.kind: 1.0 for item in planted}
    priors = [map_metrics.centre_prior(*item.defect.mask.shape) for item in planted]
    centre = [roc_auc_score(i.defect.mask.ravel(), p.ravel()) for i, p in zip(planted, priors, strict=True)]
    assert quality.auc_centre == pytest.approx(np.mean(centre))
    assert 0 < quality.auc_texture < 1
    assert quality.to_json()["auc"] == 1


def test_a_blind_map_is_chance(planted: list[Planted]) -> None:
    quality = judge_maps(planted, lambda image, texts: [np.ones(image.shape[:2], np.float32) for _ in texts])
    assert quality.auc == quality.auc_wrong_text == quality.auc_clean_text == 0.5
    assert quality.right_beats_wrong == quality.nss == quality.cc == quality.contrast == 0


def test_means_and_kinds() -> None:
    """Two flaws of one kind and one of another: means over images, and over those of a kind."""
    masks = [np.zeros((70, 80), bool) for _ in range(3)]
    for mask, size in zip(masks, (10, 20, 30), strict=True):
        mask[:size, :size] = True
    images = [picture(i, 70, 80) for i in range(3)]
    planted = [
        Planted(Defect(image, mask, "right", kind, 0.5, (0, 0, 1, 1)), PICTURES[0], "wrong")
        for image, mask, kind in zip(images, masks, ("b", "a", "a"), strict=True)
    ]
    ramp = np.linspace(1, 0, 80, dtype=np.float32)[None].repeat(70, 0)
    quality = judge_maps(planted, lambda image, texts: [ramp for _ in texts])
    aucs = [roc_auc_score(mask.ravel(), ramp.ravel()) for mask in masks]
    assert quality.auc == pytest.approx(np.mean(aucs))
    assert list(quality.by_kind) == ["a", "b"]
    assert quality.by_kind["a"] == pytest.approx(np.mean(aucs[1:]))
    assert quality.flatness == pytest.approx(1)
    assert quality.contrast == pytest.approx(np.mean([ramp[m].mean() - ramp[~m].mean() for m in masks]))


def test_plain_photographs_take_no_flaw() -> None:
    plain = [np.full((96, 96, 3), 128, np.uint8)]
    planted = planted_defects(plain, seed=0, per_photograph=1, kinds=("wrong_blur",))
    assert planted == []
    with pytest.raises(DataError, match="no flaw"):
        judge_maps(planted, lambda image, texts: [])


@torch.no_grad()
def test_window_maps_are_those_of_a_plain_loop(clip: Clip) -> None:
    image = picture(7, 75, 101)
    texts = ["Yes, the face looks warped.", "No, nothing looks odd."]
    stride = 16
    total = np.zeros((2, 75, 101))
    text = clip.model.encode_text(clip.tokenize(texts))
    text = text / text.norm(dim=1, keepdim=True)
    mean, std = (np.array(clip.model.visual.preprocess_cfg[name]) for name in ("mean", "std"))
    for side in (48, 32):
        sums, counts = np.zeros((2, 75, 101)), np.zeros((75, 101))
        for y in range(0, 75 - side + 1, stride):
            for x in range(0, 101 - side + 1, stride):
                window = Image.fromarray(image[y : y + side, x : x + side])
                pixels = np.asarray(window.resize((32, 32), Image.Resampling.BICUBIC)) / 255
                tensor = torch.tensor(((pixels - mean) / std).transpose(2, 0, 1)[None], dtype=torch.float32)
                embedding = clip.model.encode_image(tensor)[0]
                similarity = (text @ (embedding / embedding.norm())).numpy()
                sums[:, y : y + side, x : x + side] += similarity[:, None, None]
                counts[y : y + side, x : x + side] += 1
        total += sums / np.maximum(counts, 1)
    maps = window_maps(clip, windows_px=(48, 32), stride_px=stride, batch=5)(image, texts)
    assert len(maps) == 2 and all(m.dtype == np.float32 and m.shape == (75, 101) for m in maps)
    np.testing.assert_allclose(np.stack(maps), total / 2, atol=1e-5)
    assert maps[0][74, 0] == 0  # no window reaches there
