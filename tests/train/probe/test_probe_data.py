"""Labelled pictures: three layouts, what is refused, and folds that keep groups together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from train_data import write_data

from realm_train.errors import DataError
from realm_train.probe.data import Labelled, folds, labels, read_labelled


def write_picture(path: Path, value: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (value, 0, 0)).save(path)
    return path


def write_csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_folders(tmp_path: Path) -> None:
    for value, name in enumerate(
        ("real/nikon/a.png", "real/canon/day one/b.v2.png", "fake/sd1.5/a.png", "fake/sd1.5/c.jpg")
    ):
        write_picture(tmp_path / name, value)
    found = {picture.path.relative_to(tmp_path).as_posix(): picture for picture in read_labelled(tmp_path)}
    assert {name: (each.fake, each.source) for name, each in found.items()} == {
        "real/nikon/a.png": (False, "nikon"),
        "real/canon/day one/b.v2.png": (False, "canon"),
        "fake/sd1.5/a.png": (True, "sd1.5"),
        "fake/sd1.5/c.jpg": (True, "sd1.5"),
    }
    assert len({each.group for each in found.values()}) == 4


def test_csv(tmp_path: Path) -> None:
    for value, name in enumerate(("a.png", "b.png", "c.png")):
        write_picture(tmp_path / "pictures" / name, value)
    pictures = read_labelled(
        write_csv(
            tmp_path / "labels.csv",
            "group,filename,label,source",
            "beach,pictures/a.png,real,nikon",
            "beach,pictures/b.png,Fake,sdxl",
            ",pictures/c.png,fake,sdxl",
        )
    )
    assert labels(pictures).tolist() == [False, True, True]
    assert [picture.source for picture in pictures] == ["nikon", "sdxl", "sdxl"]
    assert pictures[0].group == pictures[1].group == "beach" != pictures[2].group


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("filename,label", "a.png,real"), "labels.csv, line 1: no column 'source'; found filename, label"),
        (("filename,label,source", "a.png,1,x"), "labels.csv, line 2: label is '1', expected real or fake"),
        (("filename,label,source", "a.png,real,x", "b.png,fake,"), "line 3: source is empty"),
        (("filename,label,source", "a.png,real,x", "z.png,fake,x"), "line 3: no image"),
        (("filename,label,source", "a.png,real,x", "a.png,fake,x"), "is already in line 2; remove one"),
        (("filename,label,source", "a.png,real,x,y"), "line 2: more cells than columns"),
        (("filename,label,source", "a.png,real,x"), "has no fake pictures; a probe needs both kinds"),
        (("filename,label,source",), "has a header but no rows"),
    ],
)
def test_a_wrong_csv_is_refused_with_its_line(tmp_path: Path, lines: Sequence[str], message: str) -> None:
    write_picture(tmp_path / "a.png", 1)
    write_picture(tmp_path / "b.png", 2)
    path = write_csv(tmp_path / "labels.csv", *lines)
    with pytest.raises(DataError) as caught:
        read_labelled(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_raise_td_is_told_by_its_names(tmp_path: Path) -> None:
    root = write_data(tmp_path, 4)
    for name in ("f2", "f3"):
        (root / "train" / "images" / f"{name}.webp").rename(root / "train" / "images" / f"r{name}.webp")
    path = root / "train" / "image_descriptions.csv"
    path.write_text(path.read_text().replace("f2.png", "rf2.png").replace("f3.png", "rf3.png"))
    found = read_labelled(root)
    assert [(each.path.stem, each.fake, each.source) for each in found] == [
        ("f0", True, "generated"),
        ("f1", True, "generated"),
        ("rf2", False, "photographs"),
        ("rf3", False, "photographs"),
    ]


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has neither real/ and fake/ nor image_descriptions"):
        read_labelled(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        read_labelled(tmp_path / "nowhere")
    write_picture(tmp_path / "real" / "a.png", 1)
    with pytest.raises(DataError, match="put it into a folder that says where it comes from"):
        read_labelled(tmp_path)
    (tmp_path / "real" / "a.png").unlink()
    write_picture(tmp_path / "real" / "nikon" / "a.png", 1)
    with pytest.raises(DataError, match="fake: no such folder"):
        read_labelled(tmp_path)


def test_copies_of_a_file_are_one_group(tmp_path: Path) -> None:
    """Also where a copy joins two groups that somebody named."""
    for name, value in {"a": 1, "b": 2, "c": 1, "d": 2, "e": 3, "f": 4}.items():
        write_picture(tmp_path / f"{name}.bmp", value)
    rows = (
        "a.bmp,real,x,one",
        "b.bmp,real,x,one",
        "c.bmp,real,x,two",
        "d.bmp,real,x,",
        "e.bmp,fake,x,",
        "f.bmp,fake,x,",
    )
    path = write_csv(tmp_path / "labels.csv", "filename,label,source,group", *rows)
    groups = [picture.group for picture in read_labelled(path)]
    assert len(set(groups[:4])) == 1
    assert len(set(groups)) == 3


def test_a_file_that_is_real_and_fake_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "real" / "x" / "a.png", 1)
    write_picture(tmp_path / "fake" / "y" / "b.png", 1)
    with pytest.raises(
        DataError, match=r"a\.png: the same file as .*b\.png|b\.png: the same file as .*a\.png"
    ):
        read_labelled(tmp_path)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 40)), min_size=12, max_size=120),
    st.integers(2, 5),
    st.integers(0, 3),
)
def test_a_group_never_straddles_a_fold(rows: list[tuple[bool, int]], count: int, seed: int) -> None:
    pictures = [Labelled(Path(f"{i}.png"), fake, "x", f"g{group}") for i, (fake, group) in enumerate(rows)]
    try:
        splits = folds(pictures, count, seed)
    except DataError as error:
        assert "folds" in str(error)
        assume(False)
        return
    assert sorted(row for split in splits for row in split.validation) == list(range(len(rows)))
    for split in splits:
        assert sorted((*split.train, *split.validation)) == list(range(len(rows)))
        sides = ({pictures[row].group for row in side} for side in (split.train, split.validation))
        assert set.isdisjoint(*sides)
        assert all(len({pictures[row].fake for row in side}) == 2 for side in (split.train, split.validation))


def test_folds_are_stratified_and_seeded() -> None:
    pictures = [Labelled(Path(f"{i}.png"), i % 5 > 0, "x", str(i)) for i in range(100)]
    splits = folds(pictures, 5)
    for split in splits:
        assert np.mean([pictures[row].fake for row in split.validation]) == pytest.approx(0.8)
    assert splits == folds(pictures, 5) != folds(pictures, 5, seed=1)


def test_too_few_groups_for_the_folds() -> None:
    pictures = [Labelled(Path(f"{i}.png"), i > 3, "x", str(i)) for i in range(20)]
    with pytest.raises(DataError, match="4 groups of real pictures cannot be split into 5 folds"):
        folds(pictures, 5)
    with pytest.raises(DataError, match="at least 2 folds"):
        folds(pictures, 1)
