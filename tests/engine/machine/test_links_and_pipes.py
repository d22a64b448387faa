"""Outputs that are links, pipes or devices are written through, and stay what they are."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from realm_engine.errors import OutputError
from realm_engine.machine.files import (
    check_folder,
    followed,
    is_stream,
    open_stream,
    replacing,
    write_atomically,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes in folders, and links for everybody")


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path, there: bool) -> None:
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "data"
    if there:
        target.write_bytes(b"old")
        target.chmod(0o640)
    (tmp_path / "near").symlink_to("link")
    (tmp_path / "link").symlink_to(target)
    write_atomically(tmp_path / "near", b"new")
    assert target.read_bytes() == b"new" and (tmp_path / "near").is_symlink()
    assert (tmp_path / "link").is_symlink() and list(target.parent.iterdir()) == [target]
    if there:
        assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_failure_leaves_what_the_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "link") as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert (tmp_path / "target").read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"target", "link"}


def test_links_in_a_circle_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OutputError, match="/a: cannot be written"):
        write_atomically(tmp_path / "a", b"x")
    with pytest.raises(OutputError, match="/a: cannot be written"):
        check_folder(tmp_path / "a")


def test_a_link_to_a_folder_that_is_not_there_makes_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("deep/folder")
    check_folder(tmp_path / "link")
    assert (tmp_path / "deep" / "folder").is_dir() and (tmp_path / "link").is_symlink()


def test_a_pipe_gets_what_is_written(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"content")
    reader.join(10)
    assert read == [b"content"] and stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_nothing_takes_the_place_of_a_device_or_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe"), replacing(tmp_path / "pipe"):
        raise AssertionError("not reached")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    write_atomically(Path(os.devnull), b"x")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_device_is_one_line() -> None:
    with pytest.raises(OutputError, match=r"/dev/full: cannot be written \(No space left"):
        write_atomically(Path("/dev/full"), b"x")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="open files have names there")
def test_an_open_file_is_added_to_and_not_emptied(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before ")
    (tmp_path / "link.csv").symlink_to("/dev/stdout")
    assert is_stream(tmp_path / "link.csv") and is_stream(Path("/dev/../dev/stdout"))
    with path.open("ab") as log:
        named = Path(f"/dev/fd/{log.fileno()}")
        assert is_stream(named)
        with open_stream(named) as stream:
            stream.write(b"after")
    assert path.read_bytes() == b"before after"


def test_files_and_folders_are_no_streams(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("file", "dangling", "missing", "."):
        assert not is_stream(tmp_path / name)
    assert followed(tmp_path / "file") == tmp_path / "file"
    assert followed(tmp_path / "dangling") == Path(os.path.realpath(tmp_path)) / "nowhere"
