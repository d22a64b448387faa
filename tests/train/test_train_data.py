import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import train_test_split
from train_data import write_data

from realm_train import raise_td, splits
from realm_train.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data", 8, test=3)


def rewrite(root: Path, change) -> Path:  # type: ignore[no-untyped-def]
    path = root / "train" / raise_td.CSV_NAME
    with path.open(encoding="utf-8", newline="") as file:
        table = list(csv.reader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(change(table))
    return path


def test_layout_and_stems(root: Path) -> None:
    rows = raise_td.read_split(root)
    assert [row.filename for row in rows] == [f"f{i}.png" for i in range(8)]
    assert {row.path.suffix for row in rows} == {".webp"}
    assert rows[3].description == "" and rows[0].description
    assert len(raise_td.read_split(root, "test")) == 3
    assert raise_td.split_folder(root / "train", "test") is None


def test_flat_folder_of_ones_own(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10), "red").save(tmp_path / "Körper, a.jpg")
    text = 'filename,rating,description\n"Körper, a.jpg",50,"Yes, it’s odd."\n'
    (tmp_path / raise_td.CSV_NAME).write_text("\ufeff" + text, encoding="utf-8")
    (row,) = raise_td.read_split(tmp_path)
    assert row.mos == pytest.approx((50 - 64.010578006) / 17.349906357)
    assert raise_td.mos_to_rating(row.mos) == pytest.approx(50)
    assert row.description == "Yes, it’s odd."


@pytest.mark.parametrize(
    ("separator", "encoding"), [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-16"), (";", "utf-16")]
)
def test_what_a_spreadsheet_saved(tmp_path: Path, separator: str, encoding: str) -> None:
    """Formulas that were defused, decimal commas, blank rows, cells that say that there is nothing."""
    for name in ("=1.png", "b.png"):
        Image.new("RGB", (20, 10)).save(tmp_path / name)
    decimal = "," if separator == ";" else "."
    table = [
        ["filename", "MOS", "description"],
        ["'=1.png", f"-1{decimal}5", "'-melted"],
        ["", "", ""],
        ["b.png", "2", "nan"],
        ["", "", ""],
    ]
    text = "".join(separator.join(row) + "\r\n" for row in table)
    (tmp_path / raise_td.CSV_NAME).write_bytes(text.encode(encoding))
    one, two = raise_td.read_split(tmp_path)
    assert (one.filename, one.mos, one.description) == ("=1.png", -1.5, "-melted")
    assert (two.filename, two.mos, two.description) == ("b.png", 2.0, "")


def test_exact_name_wins_over_stem_and_an_ambiguous_stem_is_an_error(root: Path) -> None:
    images = root / "train" / "images"
    Image.new("RGB", (8, 8)).save(images / "f2.png")
    assert raise_td.read_split(root)[2].path.name == "f2.png"
    Image.new("RGB", (8, 8)).save(images / "f1.bmp")
    with pytest.raises(DataError, match=r"line 3: f1\.png could be f1\.bmp or f1\.webp"):
        raise_td.read_split(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: [["file", *t[0][1:]], *t[1:]], r"line 1: no column 'filename'; found file, MOS"),
        (lambda t: [[*t[0][:2], "text"], *t[1:]], r"line 1: no column 'description'"),
        (lambda t: [["filename", "score", "description"], *t[1:]], r"line 1: no column 'MOS' or 'rating'"),
        (lambda t: [*t[:4], [t[4][0], "high", "x"], *t[5:]], r"line 5: MOS is 'high', expected a number"),
        (lambda t: [*t[:4], [t[4][0], "nan", "x"], *t[5:]], r"line 5: MOS is 'nan'"),
        (lambda t: [*t, ["f1.png", "0", "again"]], r"line 10: f1\.png is already in line 3"),
        (lambda t: [*t, ["f1.webp", "0", "again"]], r"line 10: f1\.webp is the same image as line 3"),
        (lambda t: [*t, ["f99.png", "0", "x"]], r"line 10: no image f99\.png"),
        (lambda t: [*t, ["f1.png", "0", "x", "y"]], r"line 10: more cells than columns"),
        (lambda t: [*t, ["f1.png", "0"]], r"line 10: fewer cells"),
        (lambda t: [*t, ["", "0", "x"]], r"line 10: filename is empty"),
        (lambda t: [["filename", "rating", "description"], ["f1.png", "120", ""]], r"line 2: rating is 120"),
        (lambda t: t[:1], "no rows"),
        (lambda t: [], "found nothing"),
    ],
)
def test_wrong_csv_names_line_and_cause(root: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    rewrite(root, change)
    with pytest.raises(DataError, match=message) as caught:
        raise_td.read_split(root)
    assert "\n" not in str(caught.value)


def test_line_numbers_count_lines_of_quoted_text(root: Path) -> None:
    rewrite(root, lambda t: [t[0], [*t[1][:2], "two\nlines"], *t[2:4], ["f3.png", "?", ""]])
    with pytest.raises(DataError, match="line 6: MOS"):
        raise_td.read_split(root)


def test_missing_folders(tmp_path: Path, root: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        raise_td.read_split(tmp_path / "nowhere")
    with pytest.raises(DataError, match="neither"):
        raise_td.read_split(tmp_path)
    with pytest.raises(DataError, match="no test/"):
        raise_td.read_split(root / "train", "test")


def test_pixels_are_pils(root: Path) -> None:
    rows = raise_td.read_split(root)
    exact, larger = raise_td.load_pixels(rows, 32, 48, margin=1.25)
    expected = np.asarray(Image.open(rows[1].path).resize((48, 32), Image.Resampling.BILINEAR))
    assert np.array_equal(exact[1], expected)
    assert larger[1].shape == (40, 60, 3)
    exact, larger = raise_td.load_pixels(rows, 48, 64, margin=1.5)
    assert np.array_equal(exact[0], np.asarray(Image.open(rows[0].path)))
    assert larger[0] is exact[0]  # the file has no more


def test_holdout_is_the_published_split() -> None:
    split = splits.holdout(510)
    train, validation = train_test_split(list(range(510)), test_size=0.2, random_state=42)
    assert (list(split.train), list(split.validation)) == (train, validation)
    assert (len(split.train), len(split.validation)) == (408, 102)


def test_folds_partition_the_rows_and_follow_the_mos() -> None:
    mos = np.random.default_rng(0).normal(size=103)
    every = splits.folds(mos, 5)
    assert sorted(row for split in every for row in split.validation) == list(range(103))
    for split in every:
        assert not set(split.train) & set(split.validation)
        assert len(split.train) + len(split.validation) == 103
        assert abs(mos[list(split.validation)].mean() - mos.mean()) < 0.1
    assert every == splits.folds(mos, 5)
    assert every != splits.folds(mos, 5, seed=1)


def test_folds_need_rows() -> None:
    with pytest.raises(DataError, match="3 rows cannot be split into 5"):
        splits.folds([1, 2, 3], 5)
    with pytest.raises(DataError, match="at least 2 folds"):
        splits.folds([1, 2, 3], 1)
    with pytest.raises(DataError, match="1 rows"):
        splits.holdout(1)
