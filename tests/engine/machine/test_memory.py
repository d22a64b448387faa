import gc

import numpy as np
import psutil
import pytest

from realm_engine.errors import UsageError
from realm_engine.machine.memory import (
    Memory,
    MemoryLimit,
    available_bytes,
    format_bytes,
    memory,
    parse_bytes,
    peak_bytes,
    resident_bytes,
    without_collector,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("800M", 800 << 20),
        ("2G", 2 << 30),
        ("1.5 GiB", 3 << 29),
        ("4096", 4096),
        ("3kb", 3072),
        ("1t", 1 << 40),
    ],
)
def test_amounts_of_memory_are_read_as_people_write_them(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "G", "-1G", "2X", "0", "1e9", "two"])
def test_what_is_no_amount_is_an_error(text):
    with pytest.raises(UsageError, match="no amount of memory"):
        parse_bytes(text)


def test_a_number_that_lacks_its_unit_is_asked_for_it():
    with pytest.raises(UsageError, match="'8' would be 8 bytes; write 8G or 8M"):
        parse_bytes("8")


@pytest.mark.parametrize("count", [1, 1 << 20, 812 << 20, 3 << 29, (2 << 30) + 1, 7 << 33])
def test_a_formatted_amount_is_never_less(count):
    assert count <= parse_bytes(format_bytes(count)) <= count * 1.11 + (1 << 20)


def test_resident_memory_follows_what_is_held():
    before = resident_bytes()
    held = np.ones(96 << 20, dtype=np.float32)  # 384 MiB, touched; what other tests held may go meanwhile
    assert resident_bytes() - before > 192 << 20
    assert peak_bytes() >= resident_bytes() - (1 << 20)
    assert held[-1] == 1


def test_a_strict_limit_is_kept_or_refused():
    each = MemoryLimit.input_bytes(224)
    held = resident_bytes()
    assert MemoryLimit(held + 7 * each + each // 2, strict=True).inputs_per_call(224, 224, 32) in (6, 7)
    assert MemoryLimit(held + 100 * each, strict=True).inputs_per_call(224, 224, 32) == 32
    with pytest.raises(UsageError, match=r"give at least \d+"):
        MemoryLimit(held, strict=True).inputs_per_call(224, 224, 32)
    # what the image takes counts as well
    with pytest.raises(UsageError, match="too little"):
        MemoryLimit(held + 7 * each, strict=True).inputs_per_call(224, 224, 32, shared_px=4000 * 3000)


def test_the_default_limit_only_makes_calls_smaller():
    assert MemoryLimit(1).inputs_per_call(224, 224, 32) == 4
    assert MemoryLimit(1).inputs_per_call(224, 224, 2) == 2


def test_available_memory_is_the_smaller_of_machine_and_container(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    (tmp_path / "meminfo").write_text(
        "MemTotal: 100 kB\nMemFree: 20 kB\nBuffers: 0 kB\nCached: 9 kB\nMemAvailable:      64 kB\n"
        "Shmem: 0 kB\nActive: 9 kB\nInactive: 0 kB\n"
    )
    assert available_bytes(tmp_path / "none") == 64 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1\n")
    assert available_bytes(tmp_path) == 64 * 1024
    (tmp_path / "memory.max").write_text("50000\n")
    (tmp_path / "memory.current").write_text("30000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 1000\n")
    assert available_bytes(tmp_path) == 21000
    assert memory(tmp_path) == Memory(100 * 1024, 64 * 1024, 50000)
    (tmp_path / "membership").write_text("0::/a.slice\n")
    (tmp_path / "a.slice").mkdir()
    (tmp_path / "a.slice" / "memory.max").write_text("9000\n")
    (tmp_path / "a.slice" / "memory.current").write_text("2000\n")
    assert available_bytes(tmp_path, tmp_path / "membership") == 7000


def test_the_collector_is_back_whatever_happens():
    with pytest.raises(KeyError), without_collector():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with without_collector():
            pass
        assert not gc.isenabled()  # as whoever called had it
    finally:
        gc.enable()
