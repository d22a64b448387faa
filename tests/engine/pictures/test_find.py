"""Which pictures a folder holds: every one is a row, or is counted and named."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from realm_engine.errors import ImageError
from realm_engine.pictures.decode import load_image
from realm_engine.pictures.find import (
    DRAWN_BY,
    EXTENSIONS,
    collect_images,
    find_images,
    kind_of,
    look_for_images,
)


def written(root: Path, *names: str, content: bytes = b"x") -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def encoded(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 5, 3), 77, np.uint8)).save(stream, kind, **options)
    return stream.getvalue()


def names(*paths: Path) -> list[str]:
    return [file.name for file in collect_images(paths)]


def test_what_is_called_like_an_image_is_one_and_comes_sorted(tmp_path):
    called = ["b.png", "a.JPG", "sub/c.webp", "sub/deep/d.TIFF", "e.tif", "f.bmp", "g.jpeg"]
    written(tmp_path, *called, "notes.txt", "image_descriptions.csv", "png", "empty")
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert found == sorted(called)
    assert find_images(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    with pytest.raises(ImageError, match="no such file or directory"):
        find_images(tmp_path / "absent")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("name", ["picture", "a.jfif", "b.dat", "c.png.bak"])
def test_what_is_an_image_by_content_is_one(tmp_path, kind, name):
    written(tmp_path, name, content=encoded(kind))
    assert names(tmp_path) == [name]
    assert load_image(tmp_path / name).shape == (4, 5, 3)


@pytest.mark.parametrize(
    "content",
    [b"", b"BM", b"BMW is a maker of cars and motorcycles", b"II", b"RIFFxxxxWAVE", b"\xff\xd8", b"GIF8"],
)
def test_what_only_begins_alike_is_none(tmp_path, content):
    written(tmp_path, "notes", content=content)
    with pytest.raises(ImageError, match="no images found"):
        collect_images([tmp_path])


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0", "HEIC"),
        (b"\0\0\0\x1cftypavif\0\0", "AVIF"),
        (b"\xff\x0a\xfa\x7f\x01\x90", "JPEG XL"),
        (b"\0\0\0\x18ftypmp42\0\0", None),  # a film
    ],
)
def test_images_of_other_kinds_are_known(head, kind):
    assert kind_of(head) == kind


def test_what_is_left_out_is_counted_and_named(tmp_path):
    written(tmp_path, "a.png", ".b.png", ".thumbs/c.png", content=encoded("PNG"))
    written(
        tmp_path, *(f"phone/{index}.heic" for index in range(5)), content=b"\0\0\0\x18ftypheic" + bytes(20)
    )
    written(tmp_path, "d.nef", content=encoded("TIFF"))
    written(tmp_path, "._a.png", content=b"\0\x05\x16\x07 of macOS, no image")
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jpg"))
    found = look_for_images([tmp_path])
    assert [file.name for file in found.files] == ["a.png"]
    assert found.sentences() == [
        f"left out: {tmp_path}/.b.png, {tmp_path}/.thumbs (hidden)",
        f"left out: {tmp_path}/d.nef (of a kind that cannot be read (camera raw); save as PNG or JPEG)",
        f"left out: {tmp_path}/phone/0.heic, {tmp_path}/phone/1.heic, {tmp_path}/phone/2.heic and 2 more "
        "(of a kind that cannot be read (HEIC); save as PNG or JPEG)",
        f"left out: {tmp_path}/pipe.png, {tmp_path}/socket.jpg (no regular file)",
    ]


def test_what_map_drew_is_no_image_of_the_next_run(tmp_path):
    written(
        tmp_path, "a.png", "a.overlay.png", "a.heatmap.png", "a.json", "b.overlay.png", "sub/c.overlay.png"
    )
    found = look_for_images([tmp_path])
    # The last two are somebody's own: no record lies beside them.
    assert [file.name for file in found.files] == ["a.png", "b.overlay.png", "sub/c.overlay.png"]
    assert [(each.path.name, each.why) for each in found.left_out] == [
        ("a.heatmap.png", "drawn by realm-engine map"),
        ("a.overlay.png", "drawn by realm-engine map"),
    ]
    assert names(tmp_path / "a.overlay.png") == ["a.overlay.png"]  # who names it means it


def test_what_map_drew_says_so_itself(tmp_path):
    """Where no record lies beside it; one that is only called so is somebody's own."""
    written(tmp_path, "a.overlay.png")
    words = PngInfo()
    words.add_text("Software", DRAWN_BY)
    for name in ("b.overlay.png", "c.heatmap.png", "d.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name, pnginfo=words)
    assert names(tmp_path) == ["a.overlay.png", "d.png"]


def test_a_folder_without_images_says_what_it_has(tmp_path):
    written(tmp_path, "a.heic", content=b"\0\0\0\x18ftypheic" + bytes(20))
    with pytest.raises(ImageError, match=r"no images found; give images .* left out: .*a\.heic \(of a kind"):
        collect_images([tmp_path])


def test_two_names_of_one_file_are_two_images(tmp_path):
    written(tmp_path, "d/a.png")
    (tmp_path / "d" / "b.png").symlink_to("a.png")
    (tmp_path / "d" / "c.png").hardlink_to(tmp_path / "d" / "a.png")
    assert names(tmp_path / "d") == ["a.png", "b.png", "c.png"]
    # A path that is given twice is one.
    assert names(tmp_path / "d", tmp_path / "d" / ".." / "d" / "a.png") == ["a.png", "b.png", "c.png"]


def test_links_to_folders_are_followed_but_never_in_a_circle(tmp_path):
    written(tmp_path, "elsewhere/x.png", "d/own/y.png")
    (tmp_path / "d" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "d" / "once-more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "d" / "own" / "up").symlink_to(tmp_path / "d", target_is_directory=True)
    (tmp_path / "d" / "own" / "self").symlink_to("self")
    (tmp_path / "d" / "own" / "self.png").symlink_to("self.png")
    found = look_for_images([tmp_path / "d"])
    taken = [file.name for file in found.files]
    assert taken[0].endswith("/x.png") and taken[1:] == ["own/self.png", "own/y.png"]
    assert sorted(each.why for each in found.left_out) == [
        "a link to a folder that another link leads to",
        "a link to a folder that it lies in",
    ]
    with pytest.raises(ImageError, match=r"self\.png: cannot be read \(Too many levels"):
        load_image(tmp_path / "d" / "own" / "self.png")


def test_folders_linked_into_each_other_end(tmp_path):
    """Without a bound there would be 2^20 ways through them."""
    for level in range(20):
        written(tmp_path, f"{level}/p.png")
        for way in ("a", "b"):
            (tmp_path / str(level) / way).symlink_to(
                tmp_path / str((level + 1) % 20), target_is_directory=True
            )
    assert 20 <= len(names(tmp_path / "0")) <= 40


def test_a_link_that_leads_nowhere_is_an_image_that_cannot_be_read(tmp_path):
    written(tmp_path, "a.png")
    (tmp_path / "gone.png").symlink_to("absent.png")
    (tmp_path / "gone.txt").symlink_to("absent.txt")
    assert names(tmp_path) == ["a.png", "gone.png"]


def test_names_of_several_folders_are_relative_to_their_parent(tmp_path):
    written(tmp_path, "gen/a/1.png", "gen/a/2.png", "gen/b/1.png", "gen/b/sub/3.png")
    a, b = tmp_path / "gen" / "a", tmp_path / "gen" / "b"
    assert names(a) == ["1.png", "2.png"]
    assert names(b / "sub" / "3.png") == ["3.png"]
    assert names(a / "2.png", a / "1.png") == ["2.png", "1.png"]
    assert names(b, a, a / "2.png") == ["b/1.png", "b/sub/3.png", "a/1.png", "a/2.png"]
    assert names(b / "sub" / "3.png", a) == ["b/sub/3.png", "a/1.png", "a/2.png"]
    assert names(tmp_path, b) == ["gen/a/1.png", "gen/a/2.png", "gen/b/1.png", "gen/b/sub/3.png"]
    assert [file.root for file in collect_images([b, a])] == [b, b, a, a]


@pytest.mark.parametrize("start", [".", "sub/..", "./sub/../", "sub/deep/../..", "{whole}", "../{name}"])
def test_names_are_the_same_however_a_folder_is_written(tmp_path, monkeypatch, start):
    monkeypatch.chdir(written(tmp_path, "a.png", "sub/b.png", "sub/deep/c.png"))
    start = start.format(whole=tmp_path, name=tmp_path.name)
    assert names(Path(start)) == ["a.png", "sub/b.png", "sub/deep/c.png"]
    assert names(Path(start), Path("sub/b.png"), tmp_path / "sub") == names(Path(start))  # each file once


def test_a_name_that_is_no_text_is_found(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    assert names(tmp_path) == ["caf\udce9.png"]


def test_extensions_are_those_that_are_promised():
    assert {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"} == EXTENSIONS
