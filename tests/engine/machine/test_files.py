"""Files are complete or not there at all."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from pathlib import Path

import pytest

from realm_engine.errors import OutputError
from realm_engine.machine.files import (
    DEAD_AFTER_S,
    PARTIAL,
    check_folder,
    replacing,
    sha256_of,
    write_atomically,
)


def test_the_new_content_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask  # as any file that a user makes


def test_what_fails_leaves_the_old_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    (tmp_path / "target").mkdir()  # a rename cannot replace a folder
    with pytest.raises(OutputError, match="target: cannot be written"):
        write_atomically(tmp_path / "target", b"x")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.csv", "target"]


def test_the_longest_name_of_a_file_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".csv")
    write_atomically(path, b"x")
    assert path.read_bytes() == b"x"


def test_two_writers_never_share_a_temporary(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as one, replacing(tmp_path / "a") as other:
        assert one != other
        one.write_bytes(b"1")
        other.write_bytes(b"2")
    assert (tmp_path / "a").read_bytes() == b"1"  # the outer block ends last


def test_sha256_is_hashlibs(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_what_a_dead_process_left_over_is_swept_and_nothing_else(tmp_path: Path) -> None:
    kept = ["t.csv.partial", f".short{PARTIAL}", f".{'x' * 16}{PARTIAL}", ".0123456789abcdef"]
    left, young = f".{'0123456789abcdef'}{PARTIAL}", f".{'fedcba9876543210'}{PARTIAL}"
    for name in (*kept, left, young):
        (tmp_path / name).write_bytes(b"x")
        age = DEAD_AFTER_S / 2 if name == young else 2 * DEAD_AFTER_S
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    check_folder(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, young}
