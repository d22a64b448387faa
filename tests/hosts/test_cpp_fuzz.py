"""The fuzzers of the C++ host, bounded: no crash, no report of a sanitizer, nothing that takes long or much memory.

By libFuzzer where clang is there, else by the small driver beside them. `make fuzz` lets them run for long.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cpp_host import ENVIRONMENT, OUTPUT, SOURCE, checked, runtime_library
from filelock import FileLock
from fuzz_corpus import write_corpus

SECONDS = 15


def clang() -> str | None:
    """A clang++ with libFuzzer, of whatever version."""
    names = ["clang++", *(f"clang++-{version}" for version in range(25, 11, -1))]
    return next((found for found in map(shutil.which, names) if found is not None), None)


@pytest.fixture(scope="module")
def fuzzers(require: Callable[..., None]) -> Path:
    require("cmake", "ninja", "g++")
    folder = OUTPUT / "fuzz"
    settings = [f"-DONNXRUNTIME_LIBRARY={runtime_library()}", f"-DCMAKE_CXX_COMPILER={clang() or 'g++'}"]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with FileLock(OUTPUT / "fuzz.lock"):
        checked("cmake", "--preset", "fuzz", "-B", folder, *settings, cwd=SOURCE)
        checked("cmake", "--build", folder, "--target", "fuzzers", "-j2")
    return folder


@pytest.mark.parametrize("kind", ["png", "jpeg", "manifest"])
def test_nothing_is_found_in_a_short_time(fuzzers, tmp_path, kind) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    (tmp_path / "found").mkdir()
    done = subprocess.run(
        [
            # The peak of memory that libFuzzer judges begins with that of who started it: a small shell.
            *("sh", "-c", '"$0" "$@"; exit $?'),
            *(
                fuzzers / f"fuzz_{kind}",
                f"-max_total_time={SECONDS}",
                "-seed=1",
                "-timeout=5",
                "-max_len=65536",
            ),
            *("-rss_limit_mb=1024", "-malloc_limit_mb=300", tmp_path / "found", corpus / kind),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=20 * SECONDS,
        env=ENVIRONMENT,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs is not None and int(runs[1]) > 100, done.stderr[-500:]
