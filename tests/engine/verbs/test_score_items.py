"""Which description belongs to which image."""

from pathlib import Path

import pytest
from rows import row

from realm_engine.errors import TextError, UsageError
from realm_engine.pictures.find import collect_images
from realm_engine.pictures.inputs import (
    count_described,
    descriptions_by_root,
    file_entries,
    find_descriptions,
)
from realm_engine.verbs.score import pending


def folder(root: Path, names: list[str], texts: dict[str, str] | None = None, beside: bool = False) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    if texts is not None:
        lines = ["filename,description", *(f"{name},{text}" for name, text in texts.items())]
        (root.parent if beside else root).joinpath("image_descriptions.csv").write_text("\n".join(lines))
    return root


def test_found_in_or_beside_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = folder(tmp_path / "train" / "images", ["a.png"], {"a.png": "melted"}, beside=True)
    assert find_descriptions(images) == tmp_path / "train" / "image_descriptions.csv"
    assert find_descriptions(tmp_path / "train") == tmp_path / "train" / "image_descriptions.csv"
    assert find_descriptions(tmp_path) is None
    (images / "image_descriptions.csv").write_text("filename,description\n")
    assert find_descriptions(images) == images / "image_descriptions.csv"
    monkeypatch.chdir(tmp_path / "train")
    assert find_descriptions(Path()) == Path("image_descriptions.csv")
    monkeypatch.chdir(images)
    (images / "image_descriptions.csv").unlink()
    found = find_descriptions(Path())  # beside ".", which has no name of its own
    assert found is not None and found.samefile(tmp_path / "train" / "image_descriptions.csv")


def test_every_directory_has_its_own(tmp_path: Path) -> None:
    one = folder(tmp_path / "x" / "one", ["a.png", "b.png"], {"a.png": "first"})
    two = folder(tmp_path / "y" / "two", ["a.png"], {"a.png": "second"})
    bare = folder(tmp_path / "z" / "bare", ["c.png"])
    files = collect_images([one, two, bare])
    by_root = descriptions_by_root(files, None)
    items = file_entries(files, by_root, text_required=False)
    assert [item.text for item in items] == ["first", None, "second", None]
    assert sorted(count_described(items, by_root).values()) == [(1, 1), (1, 2)]
    given = descriptions_by_root(files, one / "image_descriptions.csv")
    assert [item.text for item in file_entries(files, given, False)] == ["first", None, "first", None]


def test_blank_counts_as_missing_and_missing_can_be_an_error(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", ["a.png", "b.png", "c.png"], {"a.png": "melted", "b.png": " "})
    files = collect_images([root])
    by_root = descriptions_by_root(files, None)
    assert [item.text for item in file_entries(files, by_root, False)] == ["melted", None, None]
    items = file_entries(files, by_root, text_required=True)
    assert [bool(item.error) for item in items] == [False, True, True]
    assert items[2].error.startswith("c.png: no description")
    with pytest.raises(UsageError, match="no image has a description"):
        file_entries(files, {}, text_required=True)


def test_ambiguous_stems_fail_alone(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", ["a.webp", "b.png"], {"a.png": "one", "a.jpg": "two", "b.png": "three"})
    files = collect_images([root])
    items = file_entries(files, descriptions_by_root(files, None), False)
    assert "matches several rows" in items[0].error and items[1].text == "three"


def test_broken_descriptions_are_an_error(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", ["a.png"])
    (root / "image_descriptions.csv").write_text("name,text\n")
    with pytest.raises(TextError, match="no column 'filename' and 'description'"):
        descriptions_by_root(collect_images([root]), None)


def test_pending(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", ["a.png", "b.png", "c.png"], {"a.png": "new text", "b.png": "same"})
    files = collect_images([root])
    items = file_entries(files, descriptions_by_root(files, None), False)
    done = {
        "a.png": row("a.png", 0.0, 64.0, "old text"),
        "b.png": row("b.png", 0.0, 64.0, "same"),
        "c.png": row("c.png", 0.0, 64.0),
    }
    assert [item.name for item in pending(items, done)] == ["a.png"]
    assert pending(items, {}) == items
