"""An exam of real flaws: its file, its pictures, and what maps are worth on them."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_data import picture
from PIL import Image
from sklearn.metrics import roc_auc_score

from realm_train.clip import map_metrics
from realm_train.clip.exam import Drawn, judge_drawn, load_exam, read_exam
from realm_train.clip.judge import agreement
from realm_train.errors import DataError

TEXTS = {
    "f1": "Yes, the hand is warped.",
    "f2": "Somewhat. The sign is garbled.",
    "f3": "Yes, two heads.",
    "f4": "",
}
BOX = {"top": 4, "left": 6, "height": 20, "width": 30}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "images").mkdir()
    with (folder / "image_descriptions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "MOS", "description"])
        for number, (name, text) in enumerate(TEXTS.items()):
            writer.writerow([f"{name}.png", 0, text])  # found by stem: the files are WebP
            Image.fromarray(picture(number, 48, 64)).save(folder / "images" / f"{name}.webp", lossless=True)
    return folder


def write(path: Path, pictures: Any) -> Path:
    path.write_text(json.dumps({"about": "for readers", "pictures": pictures}), encoding="utf-8")
    return path


def entry(name: str, *boxes: Any) -> dict[str, Any]:
    return {"name": name, "boxes": list(boxes or (BOX,))}


def test_pictures_masks_and_texts(data: Path, tmp_path: Path) -> None:
    corner = {"top": 40, "left": 60, "height": 8, "width": 4}
    path = write(tmp_path / "exam.json", [entry("f3", BOX, corner), entry("f1"), entry("f2", corner)])
    drawn = load_exam(path, data, seed=3)
    assert [item.name for item in drawn] == ["f3", "f1", "f2"]
    np.testing.assert_array_equal(drawn[0].image, picture(2, 48, 64))
    expected = np.zeros((48, 64), bool)
    expected[4:24, 6:36] = expected[40:48, 60:64] = True
    np.testing.assert_array_equal(drawn[0].mask, expected)
    assert drawn[2].mask.sum() == 32 and drawn[2].mask[-1, -1]
    for item in drawn:
        assert item.description == TEXTS[item.name]
        assert item.wrong_description in set(TEXTS.values()) - {item.description, ""}
    wrong = {seed: [item.wrong_description for item in load_exam(path, data, seed)] for seed in range(8)}
    assert wrong[3] == [item.wrong_description for item in drawn]
    assert len({tuple(texts) for texts in wrong.values()}) > 1


def test_statistics_are_those_of_planted_flaws_and_means_over_pictures() -> None:
    rng = np.random.default_rng(0)
    drawn, maps = [], {}
    for number in range(6):
        mask = np.zeros((48, 64), bool)
        mask[5 : 15 + number, 8:40] = True
        drawn.append(Drawn(f"f{number}", picture(number, 48, 64), mask, f"right {number}", f"wrong {number}"))
        for word in ("right", "wrong"):
            maps[f"{word} {number}"] = (0.4 * mask + rng.normal(0, 1, mask.shape)).astype(np.float32)
    quality = judge_drawn(drawn, lambda image, texts: [maps[text] for text in texts])
    rows = [agreement(d.image, d.mask, maps[d.description], maps[d.wrong_description]) for d in drawn]
    found = quality.to_json()
    assert quality.images == 6
    for name in rows[0]:
        assert found[name] == pytest.approx(np.mean([row[name] for row in rows]))
    aucs = [roc_auc_score(d.mask.ravel(), maps[d.description].ravel()) for d in drawn]
    assert quality.by_picture == pytest.approx({d.name: auc for d, auc in zip(drawn, aucs, strict=True)})
    centre = [map_metrics.auc(map_metrics.centre_prior(48, 64), d.mask) for d in drawn]
    assert quality.auc_centre == pytest.approx(np.mean(centre))
    assert min(aucs) <= quality.auc_low < quality.auc < quality.auc_high <= max(aucs)
    spread = 1.96 * np.std(aucs) / np.sqrt(6)
    assert quality.auc_high - quality.auc_low == pytest.approx(2 * spread, rel=0.15)
    assert judge_drawn(drawn, lambda image, texts: [maps[text] for text in texts]) == quality


def test_perfect_and_blind_maps(data: Path, tmp_path: Path) -> None:
    drawn = load_exam(write(tmp_path / "exam.json", [entry("f1"), entry("f2")]), data, seed=0)
    texts = {item.description: item.mask for item in drawn}

    def perfect(image, asked):  # type: ignore[no-untyped-def]
        mine = next(item for item in drawn if item.image is image)
        return [
            np.float32(texts[mine.description] * (1 if text == mine.description else -1)) for text in asked
        ]

    best = judge_drawn(drawn, perfect)
    assert best.auc == best.auc_low == best.auc_high == best.right_beats_wrong == best.iou == 1
    assert best.auc_wrong_text == 0
    blind = judge_drawn(drawn, lambda image, asked: [np.ones(image.shape[:2], np.float32) for _ in asked])
    assert blind.auc == blind.auc_wrong_text == blind.auc_low == 0.5 and blind.right_beats_wrong == 0


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ([], "has no pictures; write"),
        ("f1", "has no pictures; write"),
        (["f1"], "picture 1 has no name; write"),
        ([entry("f1"), {"boxes": [BOX]}], "picture 2 has no name"),
        ([entry("f1"), entry("f1")], "picture 2: f1 is there twice"),
        ([{"name": "f1", "boxes": []}], "f1 has no boxes; draw one"),
        ([entry("f1", [1, 2, 3, 4])], "f1: a box is [1, 2, 3, 4]; write top, left, height and width"),
        ([entry("f1", BOX | {"top": 1.5})], "in whole pixels"),
        ([entry("f1", BOX | {"top": True})], "in whole pixels"),
        ([entry("f1", {"top": 1, "left": 1, "height": 1})], "in whole pixels"),
        ([entry("f1", BOX | {"width": 0})], "a box of 20 x 0 px is empty"),
        ([entry("f1"), entry("f9")], "f9 is not in"),
        ([entry("f4")], "f4 has no description in"),
        ([entry("f1")], "all descriptions are one"),
        ([entry("f1"), entry("f2", BOX | {"left": 35})], "f2: the box of rows 4 to 23, columns 35 to 64 leaves the"),
        ([entry("f1"), entry("f2", BOX | {"top": -1})], "the picture of 48 x 64 px (height x width); draw it inside"),
        ([entry("f2", {"top": 0, "left": 0, "height": 48, "width": 64}), entry("f1")], "f2: its boxes cover all of it"),
    ],
)  # fmt: skip
def test_errors_name_the_place_and_the_cure(data: Path, tmp_path: Path, pictures: Any, message: str) -> None:
    path = write(tmp_path / "exam.json", pictures)
    with pytest.raises(DataError) as caught:
        load_exam(path, data, seed=0)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json: no such file; give"):
        read_exam(tmp_path / "nowhere.json")
    broken = tmp_path / "broken.json"
    for content in (b'{\n"pictures": [', b"\xff\xfe\x00"):
        broken.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as JSON") as caught:
            read_exam(broken)
        assert "\n" not in str(caught.value)
    broken.write_text("[]")
    with pytest.raises(DataError, match="has no pictures"):
        read_exam(broken)
