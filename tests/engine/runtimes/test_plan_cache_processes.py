"""Processes and threads that want the same engine: one builds, the others wait."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
from engine_key import KEY
from repository import SUPPORT

from realm_engine.runtimes.tensorrt.plan_cache import EngineCache

pytestmark = pytest.mark.slow

BUILDER = """
import sys, time
from pathlib import Path
import pytest
from engine_key import KEY
from realm_engine.runtimes.tensorrt.plan_cache import EngineCache

folder, marks = Path(sys.argv[1]), Path(sys.argv[2])

def build():
    (marks / f"built-{sys.argv[3]}").touch()
    deadline = time.monotonic() + 30
    while not (marks / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return b"from " + sys.argv[3].encode()

plan = EngineCache(folder, say=lambda line: print(line, flush=True)).plan(KEY, build)
print("result", plan.built, plan.data.decode(), flush=True)
"""


def start(tmp_path, name):
    environment = os.environ | {"PYTHONPATH": str(SUPPORT)}
    command = [sys.executable, "-c", BUILDER, str(tmp_path / "engines"), str(tmp_path), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)


def test_of_two_processes_one_builds_and_the_other_waits_and_says_so(tmp_path):
    first = start(tmp_path, "first")
    wait_for(tmp_path / "built-first")
    second = start(tmp_path, "second")
    waiting = second.stdout.readline()
    assert "another process is building this engine; waiting" in waiting
    (tmp_path / "go").touch()
    assert first.communicate(timeout=30)[0].splitlines() == ["result True from first"]
    assert second.communicate(timeout=30)[0].splitlines() == ["result False from first"]
    assert not (tmp_path / "built-second").exists()


def test_a_builder_that_dies_leaves_the_work_to_the_next(tmp_path):
    first = start(tmp_path, "first")
    wait_for(tmp_path / "built-first")
    second = start(tmp_path, "second")
    assert "waiting" in second.stdout.readline()
    first.kill()
    first.communicate(timeout=30)
    (tmp_path / "go").touch()
    assert second.communicate(timeout=30)[0].splitlines() == ["result True from second"]


def test_threads_of_one_process_build_once_too(tmp_path):
    cache = EngineCache(tmp_path / "engines")
    built = []

    def build():
        built.append(1)
        time.sleep(0.05)
        return b"engine"

    threads = [threading.Thread(target=cache.plan, args=(KEY, build)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [1]


def test_pruning_leaves_alone_what_another_process_builds(tmp_path):
    first = start(tmp_path, "first")
    wait_for(tmp_path / "built-first")
    cache = EngineCache(tmp_path / "engines")
    assert cache.prune(0) == []
    second = start(tmp_path, "second")
    assert "waiting" in second.stdout.readline()  # the lock is still one lock
    (tmp_path / "go").touch()
    first.communicate(timeout=30)
    second.communicate(timeout=30)
    assert cache.prune(0) and not list(cache.folder.iterdir())
