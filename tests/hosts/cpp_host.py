"""What the tests of the C++ host share: its builds, ways to run it, a folder of bad input."""

from __future__ import annotations

import csv
import io
import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from PIL import Image
from repository import ROOT

REPOSITORY = ROOT
SOURCE = REPOSITORY / "hosts" / "cpp"
OUTPUT = REPOSITORY / "out" / "hosts" / "cpp"
TINY = REPOSITORY / "realm_engine" / "bundles" / "realm-tiny"
SAMPLES = REPOSITORY / "samples"
GOLDEN = Path(os.environ.get("REALM_GOLDEN", REPOSITORY / "tests" / "golden"))
CRASHED = 99  # the exit code of a sanitizer's report
ENVIRONMENT = {
    **os.environ,
    "ASAN_OPTIONS": f"exitcode={CRASHED}:detect_leaks=1",
    "UBSAN_OPTIONS": f"exitcode={CRASHED}:halt_on_error=1:print_stacktrace=1",
}
Done = subprocess.CompletedProcess


def run(program: Path, *arguments: object, **options: Any) -> Done[str]:
    command = [str(program), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env=ENVIRONMENT, **options
    )


def checked(*command: object, **options: Any) -> str:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, timeout=600, **options
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def runtime_library() -> Path:
    import onnxruntime

    return next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"))


@cache
def build(preset: str) -> Path:
    """The folder of a preset's programs, built once and only as far as something changed."""
    folder = OUTPUT / preset
    library = f"-DONNXRUNTIME_LIBRARY={runtime_library()}"
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with FileLock(OUTPUT / f"{preset}.lock"):  # the files of these tests may run in several processes
        checked("cmake", "--preset", preset, "-B", folder, library, cwd=SOURCE)
        checked("cmake", "--build", folder, "-j2")
    return folder


@pytest.fixture(scope="session")
def release(require: Callable[..., None]) -> Path:
    require("cmake", "ninja", "g++")
    return build("release")


@pytest.fixture(scope="session")
def asan(require: Callable[..., None]) -> Path:
    require("cmake", "ninja", "g++")
    return build("asan")


@pytest.fixture(scope="session")
def clip_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from export.towers.tokenizer import clip_tokenizer

    path = tmp_path_factory.mktemp("clip") / "clip.json"
    path.write_text(clip_tokenizer(), encoding="utf-8")
    return path


def errors(text: str) -> list[str]:
    """What went wrong, from stderr."""
    return [line for line in text.splitlines() if line.startswith("error: ")]


def golden_check(folder: Path, golden: Path, clip: Path) -> Done[str]:
    if not (golden / "golden.json").is_file():
        pytest.fail(f"no golden vectors in {golden}; write them with python tests/golden/write.py")
    return run(folder / "golden_check", TINY, golden, clip)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def assert_same_scores(ours: str, theirs: str) -> None:
    one, two = table(ours), table(theirs)
    assert [list(row) for row in one] == [list(row) for row in two] and len(one) > 0
    for first, second in zip(one, two, strict=True):
        for column, value in first.items():
            if column in ("mos", "realness"):
                assert float(value) == pytest.approx(
                    float(second[column]), abs=1e-3 if column == "mos" else 0.02
                )
            else:
                assert value == second[column]


@pytest.fixture
def corner(tmp_path: Path, photo: Callable[..., Any]) -> Path:
    """A folder of good and bad input."""
    Image.fromarray(photo(70, 90)).save(tmp_path / "good.png")
    Image.fromarray(photo(40, 50)).save(tmp_path / "small.png")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "none").mkdir()
    for name, content in {
        "no column.csv": "filename,text\na,b\n",
        "twice.csv": "filename,description\ngood.png,a\ngood.png,b\n",
        "ragged.csv": "filename,description\ngood.png,a,b\n",
        "open.csv": 'filename,description\ngood.png,"a\n',
        "unused.csv": "filename,description\nother.png,a\n",
        "lines.csv": '\ufefffilename,x,description\r\ngood.png,1,"one\r\ntwo, ""three"""\r\n\r\nsmall.png,2,x\r\n',
        "nothing.csv": "",
    }.items():
        (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    (tmp_path / "latin.csv").write_bytes(b"filename,description\ngood.png,caf\xe9\n")
    return tmp_path
