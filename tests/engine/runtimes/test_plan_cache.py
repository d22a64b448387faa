"""The cache of engines cannot lie: found by content, written whole, shared by processes, explained when stale."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from engine_key import KEY
from repository import SUPPORT

from realm_engine.errors import DeviceError, OutputError, UsageError
from realm_engine.runtimes.tensorrt import plan_cache as engine_cache
from realm_engine.runtimes.tensorrt.plan_cache import (
    DEFAULT_LIMIT_BYTES,
    EngineCache,
    parse_limit,
    write_plan,
)
from realm_engine.runtimes.tensorrt.plan_record import describe_entry, estimate_seconds


@pytest.fixture
def said():
    return []


@pytest.fixture
def cache(tmp_path, said):
    return EngineCache(tmp_path / "engines", say=said.append)


def never():
    raise AssertionError("built, although it is in the cache")


def store(cache, key=KEY, data=b"engine"):
    return cache.plan(key, lambda: data)


def test_a_plan_is_built_once_and_found_again(cache, said):
    first = store(cache)
    assert first.built and first.data == b"engine" and first.path.read_bytes() == b"engine"
    again = EngineCache(cache.folder, say=said.append).plan(KEY, never)
    assert not again.built and again.data == b"engine" and again.path == first.path
    assert cache.holds(KEY) and not cache.holds(dataclasses.replace(KEY, precision="fp32"))
    assert said == []


def test_the_record_says_what_the_plan_is(cache):
    record = json.loads(store(cache).path.with_suffix(".json").read_text())
    assert record["key"] == dataclasses.asdict(KEY) and record["size_bytes"] == 6
    (entry,) = cache.entries()
    assert describe_entry(entry)["gpu"] == "NVIDIA L4"
    assert not list(cache.folder.glob("*.partial"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"onnx_sha256": "b" * 64}, "other model"),
        ({"runtime": "TensorRT 11.4.0"}, r"other runtime \(TensorRT 10.16.1, now TensorRT 11.4.0\)"),
        ({"gpu": "NVIDIA L40"}, r"other GPU \(NVIDIA L4, now NVIDIA L40\)"),
        ({"driver": "590.10"}, r"other driver \(580.65.06, now 590.10\)"),
        ({"profiles": "[]"}, "other shape profiles"),
        (
            {"gpu": "NVIDIA T4", "arch": "sm_75"},
            r"other GPU \(NVIDIA L4, now NVIDIA T4\) and GPU architecture \(sm_89, now sm_75\)",
        ),
    ],
)
def test_a_change_is_another_engine_and_says_what_changed(cache, said, changed, words):
    store(cache)
    new = dataclasses.replace(KEY, **changed)
    assert store(cache, new, b"new").built
    (line,) = said
    import re

    assert re.search(rf"^bundle/dream\.onnx: the engine built on .* does not serve, {words}$", line)
    assert cache.plan(KEY, never).data == b"engine"  # the old one is still right for what it was


def test_another_precision_or_model_is_no_change(cache, said):
    store(cache)
    store(cache, dataclasses.replace(KEY, precision="fp32"))
    store(cache, dataclasses.replace(KEY, model="bundle/core.onnx"))
    assert said == [] and len(cache.entries()) == 3


def test_an_engine_for_another_architecture_is_not_an_older_one_of_this(cache, said):
    store(cache, dataclasses.replace(KEY, gpu="", driver=""))
    other = dataclasses.replace(KEY, gpu="", driver="", arch="sm_120")
    cache.plan(other, lambda: b"x", for_this_gpu=False)
    assert said == []


# --------------------------------------------------------------- damage


def damage_plan(path):
    path.write_bytes(b"engime")


def truncate(path):
    path.write_bytes(b"eng")


def lose_record(path):
    path.with_suffix(".json").unlink()


def break_record(path):
    path.with_suffix(".json").write_text("{")


def foreign_record(path):
    record = json.loads(path.with_suffix(".json").read_text())
    record["key"]["gpu"] = "another"
    path.with_suffix(".json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (damage_plan, "is damaged (wrong checksum)"),
        (truncate, "has no record of what it is"),
        (lose_record, "has no record of what it is"),
        (break_record, "has no record of what it is"),
        (foreign_record, "is the engine of something else"),
    ],
)
def test_a_wrong_file_is_named_removed_and_built_anew(cache, said, harm, words):
    path = store(cache).path
    harm(path)
    again = cache.plan(KEY, lambda: b"engine")
    assert again.built and again.path == path
    assert said[0] == f"{path}: {words}; removed, to be built again"
    assert cache.plan(KEY, never).data == b"engine"


def test_a_record_without_its_plan_is_nothing(cache, said):
    store(cache).path.unlink()
    assert cache.entries() == [] and store(cache).built and said == []


# ------------------------------------------------------------ no such place


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path, said):
    (tmp_path / "file").write_text("")
    plan = store(EngineCache(tmp_path / "file" / "engines", say=said.append))
    assert plan.data == b"engine" and plan.path is None
    (line,) = said
    assert "cannot be written" in line and "REALM_CACHE_DIR" in line and "\n" not in line


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_a_read_only_cache_still_serves(cache, said):
    store(cache)
    cache.folder.chmod(0o555)
    try:
        assert cache.plan(KEY, never).data == b"engine"
        if os.geteuid() != 0:  # root may write anywhere
            assert store(cache, dataclasses.replace(KEY, precision="fp32")).path is None
            assert "cannot be written" in said[-1]
    finally:
        cache.folder.chmod(0o755)


def test_a_full_disk_is_a_warning_and_leaves_nothing_half_written(tmp_path):
    resource = pytest.importorskip("resource")
    code = f"""
import resource, sys
sys.path.insert(0, {str(SUPPORT)!r})
from engine_key import KEY
from realm_engine.runtimes.tensorrt.plan_cache import EngineCache
from pathlib import Path
cache = EngineCache(Path({str(tmp_path)!r}), say=print)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
plan = cache.plan(KEY, lambda: bytes(200_000))
assert plan.path is None and len(plan.data) == 200_000
"""
    assert resource is not None
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be kept" in done.stdout and "cache prune" in done.stdout
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_what_building_raises_is_raised(cache, said):
    def fail():
        raise DeviceError("dream.onnx: cannot be built")

    with pytest.raises(DeviceError, match="cannot be built"):
        cache.plan(KEY, fail)

    def no_file():
        raise FileNotFoundError(2, "No such file", "dream.onnx")

    with pytest.raises(DeviceError, match=r"cannot be built \(No such file\)"):
        cache.plan(KEY, no_file)
    assert said == [] and store(cache).built  # and the lock is free again


# ------------------------------------------------------------------- room


def fill(cache, count=4):
    keys = [dataclasses.replace(KEY, onnx_sha256=str(index) * 64) for index in range(count)]
    for age, key in enumerate(keys):
        path = store(cache, key, bytes(1000)).path
        os.utime(path, (1_000_000 + age, 1_000_000 + age))
    return keys


def test_prune_removes_what_was_used_longest_ago(cache):
    keys = fill(cache)
    assert cache.plan(keys[0], never).data  # the oldest is the last used now
    removed = cache.prune(2000)
    assert len(removed) == 2 and cache.size_bytes() == 2000
    left = [entry.key for entry in cache.entries()]
    assert left == [keys[0], keys[3]]
    assert not list(cache.folder.glob("*.lock"))


def test_the_limit_holds_by_itself_but_never_costs_the_newest(cache, said):
    small = EngineCache(cache.folder, limit_bytes=2500, say=said.append)
    keys = fill(small)
    assert [entry.key for entry in small.entries()] == [keys[3], keys[2]]
    tiny = EngineCache(cache.folder, limit_bytes=10, say=said.append)
    assert store(tiny, dataclasses.replace(KEY, precision="fp32"), bytes(500)).path.exists()
    assert len(tiny.entries()) == 1


def test_an_old_engine_that_cannot_be_removed_costs_the_new_one_nothing(cache, said, monkeypatch):
    old = fill(cache, 1)[0]
    small, built = EngineCache(cache.folder, limit_bytes=10, say=said.append), []
    unlink = Path.unlink

    def held(path, missing_ok=False):
        if path == small._path(old):
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", held)
    plan = small.plan(dataclasses.replace(KEY, precision="fp32"), lambda: built.append(1) or b"new")
    assert len(built) == 1 and plan.path is not None and plan.path.read_bytes() == b"new"
    (line,) = said
    assert line.startswith(f"{small._path(old)}: cannot be removed (Permission denied)") and "\n" not in line


def test_prune_names_and_removes_foreign_files_but_not_a_write_under_way(cache):
    store(cache)
    (cache.folder / "notes.txt").write_text("?")
    (cache.folder / "old.plan").write_bytes(b"?")
    (cache.folder / "now.partial").write_bytes(b"?")
    (cache.folder / "then.partial").write_bytes(b"?")
    os.utime(cache.folder / "then.partial", (1, 1))
    cache.keep_blob("gpu.timing", b"tactics")
    assert {path.name for path in cache.foreign()} == {"notes.txt", "old.plan", "now.partial", "then.partial"}
    assert {path.name for path in cache.prune()} == {"notes.txt", "old.plan", "then.partial"}
    assert cache.read_blob("gpu.timing") == b"tactics" and len(cache.entries()) == 1


def test_prune_leaves_a_plan_whose_record_is_being_written(cache, monkeypatch):
    write, pruned = engine_cache._write, []

    def slowly(path, data):
        pruned.extend(EngineCache(cache.folder).prune() if path.suffix == ".json" else [])
        write(path, data)

    monkeypatch.setattr(engine_cache, "_write", slowly)
    path = store(cache).path
    assert pruned == [] and path.read_bytes() == b"engine" and cache.plan(KEY, never).path == path


def test_prune_leaves_a_plan_that_was_completed_while_it_looked(cache, monkeypatch):
    path = store(cache).path
    found = [path, path.with_suffix(".json")]
    monkeypatch.setattr(EngineCache, "foreign", lambda self: found)
    assert cache.prune() == [] and cache.plan(KEY, never).path == path


def test_prune_passes_over_a_write_that_ends_meanwhile(cache, monkeypatch):
    store(cache)
    partial = cache.folder / "now.partial"
    partial.write_bytes(b"?")
    is_file = Path.is_file

    def completed(path):
        there = is_file(path)
        if path == partial:
            partial.unlink(missing_ok=True)
        return there

    monkeypatch.setattr(Path, "is_file", completed)
    assert cache.prune() == [] and len(cache.entries()) == 1


def test_prune_to_nothing_removes_all(cache):
    fill(cache)
    cache.keep_blob("gpu.timing", b"tactics")
    cache.prune(0)
    assert list(cache.folder.iterdir()) == []
    assert cache.prune(0) == [] and EngineCache(cache.folder / "none").prune() == []


def test_blobs_are_only_a_help(tmp_path):
    (tmp_path / "file").write_text("")
    nowhere = EngineCache(tmp_path / "file" / "engines")
    nowhere.keep_blob("x", b"data")
    assert nowhere.read_blob("x") == b""


def test_the_limit_can_be_set(monkeypatch):
    monkeypatch.delenv("REALM_ENGINE_CACHE_SIZE", raising=False)
    assert EngineCache().limit_bytes == DEFAULT_LIMIT_BYTES
    monkeypatch.setenv("REALM_ENGINE_CACHE_SIZE", "2G")
    assert EngineCache().limit_bytes == 2 << 30
    assert parse_limit("0") == 0
    with pytest.raises(UsageError, match="no amount of memory"):
        parse_limit("lots")


def test_engines_lie_in_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path))
    assert EngineCache().folder == tmp_path / "engines"


def test_estimates_follow_earlier_builds(cache):
    assert estimate_seconds(cache.entries(), "tensorrt", 100) is None
    store(cache, data=bytes(1000))
    record = cache.entries()[0].sidecar
    record.write_text(record.read_text().replace('"build_seconds": 0.0', '"build_seconds": 30.0'))
    assert estimate_seconds(cache.entries(), "tensorrt", 2000) == pytest.approx(60)
    assert estimate_seconds(cache.entries(), "tensorrt-rtx", 2000) is None


def test_a_copy_in_another_folder_is_an_entry_there(cache, tmp_path):
    plan = store(cache)
    path = write_plan(tmp_path / "out", KEY, plan)
    assert path.name == plan.path.name
    assert EngineCache(tmp_path / "out").plan(KEY, never).data == b"engine"
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="give another --output"):
        write_plan(tmp_path / "file" / "out", KEY, plan)
