"""What is typed where pictures are wanted: paths, patterns, lists."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from realm_engine.errors import ImageError, UsageError
from realm_engine.pictures.find import look_for_images
from realm_engine.pictures.given import given_pictures, read_list


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    for name in ("b.png", "a.png", "c.jpg", "sub/d.png", "sub/deep/e.png", ".hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def given(*words: str, files_from: str | None = None) -> list[str]:
    found = given_pictures(map(Path, words), None if files_from is None else Path(files_from))
    return [path.as_posix() for path in found.paths]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.png", ["a.png", "b.png"]),
        ("[ab].png", ["a.png", "b.png"]),
        ("?.jpg", ["c.jpg"]),
        ("**/*.png", ["a.png", "b.png", "sub/d.png", "sub/deep/e.png"]),
        ("s*", ["sub"]),
    ],
)
def test_a_pattern_means_what_a_shell_makes_of_it(folder, pattern, found):
    assert given(pattern) == found
    assert given(str(folder / pattern)) == [(folder / name).as_posix() for name in found]


def test_a_name_that_looks_like_a_pattern_or_a_list_is_itself(folder):
    for name in ("a[1].png", "@a.txt"):
        (folder / name).write_bytes(b"x")
    assert given("a[1].png", "@a.txt") == ["a[1].png", "@a.txt"]


@pytest.mark.parametrize(
    "content",
    [
        b"b.png\nsub/d.png\n",
        b"b.png\r\n\r\nsub/d.png",
        b"\xef\xbb\xbfb.png\nsub/d.png\n",
        b"b.png\0sub/d.png\0",
    ],
    ids=["lines", "windows", "with a mark", "find -print0"],
)
def test_lists(folder, content, monkeypatch):
    (folder / "list.txt").write_bytes(content)
    assert given("@list.txt") == given(files_from="list.txt") == ["b.png", "sub/d.png"]
    assert given("c.jpg", "@list.txt", "a.png") == ["c.jpg", "b.png", "sub/d.png", "a.png"]
    for words in ({"files_from": "-"}, {}):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert given(*(() if words else ("@-",)), **words) == ["b.png", "sub/d.png"]


def test_a_name_with_a_line_end_gets_through_with_nul(folder):
    odd = "new\nline.png"
    (folder / odd).write_bytes(b"x")
    (folder / "list").write_bytes(odd.encode() + b"\0a.png\0")
    assert read_list(Path("list")) == [Path(odd), Path("a.png")]


def test_lines_are_taken_as_they_are_written(folder):
    (folder / "list").write_text("*.png\n@x\n-\n")
    assert read_list(Path("list")) == [Path("*.png"), Path("@x"), Path("-")]


def test_one_that_is_gone_is_a_picture_that_cannot_be_read_and_keeps_its_place(folder):
    (folder / "list").write_text("sub/d.png\ngone.png\na.png\n")
    listed = given_pictures([], Path("list"))
    found = look_for_images(listed.paths, listed.listed)
    assert [file.name for file in found.files] == ["sub/d.png", "gone.png", "a.png"]


@pytest.mark.parametrize(
    ("words", "files_from", "message"),
    [
        ([], None, "there is nothing to look at"),
        (["x*.png"], None, "x*.png: nothing is called so"),
        (["@none.txt"], None, "none.txt: the list cannot be read"),
        ([], "empty", "empty: the list names no file"),
        ([], "sub", "sub: the list cannot be read"),
        ([], "a.png", "a.png: is a picture, no list"),
        ([], "wrong", "wrong: none of its 2 files exists (the first: x.png)"),
        (["-"], "-", "standard input is asked for twice"),
        (["-", "@-"], None, "standard input is asked for twice"),
    ],
)
def test_mistakes(folder, words, files_from, message):
    (folder / "empty").write_text("\n \n")
    (folder / "wrong").write_text("x.png\ny.png\n")
    with pytest.raises((ImageError, UsageError)) as caught:
        given(*words, files_from=files_from)
    assert message in str(caught.value)
