"""One engine in its process: threads that share it, generators that are left, closing, forking, sending, leaking."""

from __future__ import annotations

import asyncio
import copy
import io
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import leaks
import numpy as np
import pytest
from decoders import wait_until_no_thread_decodes
from PIL import Image
from repository import ROOT

from realm_engine import DreamConfig, Engine, RealmError
from realm_engine.engine import EngineOptions
from realm_engine.errors import ClosedError, ImageError, UsageError

CONFIG = DreamConfig((24,), 8)
TEXTS = ["a seam", "melted edges", None, "the hand has six fingers", "it looks natural"]
THREADS = 16


def decoders() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("decode")]


def jobs(engine: Engine, pictures: list[np.ndarray]) -> list[Callable[[], bytes]]:
    """Everything that a graph runs for, mixed; each gives the bytes of its answer."""

    def score(first: int) -> bytes:
        texts = [TEXTS[(first + index) % 5] for index in range(6)]
        rows = engine.score(pictures[first : first + 6], texts, batch_size=1 + first % 3)
        return repr([(row.values, row.error) for row in rows]).encode()

    def draw(index: int) -> bytes:
        return engine.map(pictures[index], TEXTS[index % 5], CONFIG).values.tobytes()

    def stream(index: int) -> bytes:
        maps = engine.iter_maps(pictures[index : index + 3], TEXTS[3], CONFIG) if index % 2 else []
        return b"".join(each.map.values.tobytes() for each in maps)

    def embed(index: int) -> bytes:
        texts = [str(text) for text in TEXTS]
        return engine.embed(pictures[index], 24, 12).tobytes() + engine.embed_texts(texts, "core").tobytes()

    return [
        lambda work=work, at=at: work(at) for at in range(10) for work in (score, draw, embed, stream, score)
    ]


@pytest.fixture
def several(photo) -> list[np.ndarray]:
    return [photo(40 + 8 * (seed % 3), 56, seed) for seed in range(16)]


@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_threads_share_an_engine_and_get_the_same_bits(bundle_path, several, device):
    if device == "openvino":
        pytest.importorskip("openvino")
    with Engine.open(bundle_path, device=device, precision="fp32", threads=2) as engine:
        work = jobs(engine, several)
        serial = [each() for each in work]
    with (
        Engine.open(bundle_path, device=device, precision="fp32", threads=2) as engine,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        # All of them at once, of an engine in which nothing is open yet.
        together = threading.Barrier(THREADS)
        pool.map(lambda _: together.wait(), range(THREADS))
        assert list(pool.map(lambda each: each(), jobs(engine, several))) == serial
        opened = engine._main.sessions._opened
        assert len({id(session) for session in opened.values()}) == len(opened) == 4
    wait_until_no_thread_decodes()


def test_an_engine_closed_under_way_ends_every_thread_with_one_error(bundle_path, several):
    engine = Engine.open(bundle_path, device="cpu", threads=1)
    started = threading.Barrier(5)
    ended: list[BaseException] = []

    def run() -> None:
        started.wait()
        try:
            while True:
                for row in engine.iter_scores(several * 20, batch_size=1):
                    assert row.error is None, row.error
        except BaseException as error:
            ended.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    engine.close()
    for thread in threads:
        thread.join(60)
    assert [type(error) for error in ended] == [ClosedError] * 4
    assert all("the engine is closed" in str(error) for error in ended)


def everything(engine: Engine, picture: np.ndarray) -> dict[str, Callable[[], object]]:
    return {
        "score": lambda: engine.score(picture),
        "iter_scores": lambda: list(engine.iter_scores([picture])),
        "look": lambda: engine.look([picture]),
        "map": lambda: engine.map(picture, "a seam", CONFIG),
        "map_texts": lambda: engine.map_texts(picture, ["a seam"], CONFIG),
        "iter_maps": lambda: list(engine.iter_maps([picture], "a seam", CONFIG)),
        "embed": lambda: engine.embed(picture, 24, 8),
        "embed_texts": lambda: engine.embed_texts(["a seam"]),
        "embed_texts core": lambda: engine.embed_texts(["a seam"], "core"),
        "presets": lambda: engine.presets(),
    }


def test_a_closed_engine_raises_whatever_is_asked(bundle_path, photo):
    engine = Engine.open(bundle_path, device="cpu", threads=1)
    for ask in everything(engine, photo()).values():  # so that all is open, and texts are remembered
        ask()
    begun = [engine.iter_scores([photo()] * 6), engine.iter_maps([photo()] * 6, "a seam", CONFIG)]
    for generator in begun:
        next(generator)
    engine.close()
    engine.close()
    for name, ask in everything(engine, photo()).items():
        with pytest.raises(ClosedError, match="the engine is closed; open it again"):
            print(name, ask())
    for generator in begun:  # answers that are made already are given no more
        with pytest.raises(ClosedError, match="the engine is closed"):
            next(generator)
    wait_until_no_thread_decodes()


def test_a_generator_that_is_left_ends_its_threads(engine, photo):
    for begin in (
        lambda: engine.iter_scores([photo()] * 40, batch_size=2),
        lambda: engine.iter_maps([photo()] * 40, "a seam", CONFIG),
    ):
        for leave in (lambda generator: generator.close(), lambda generator: None):
            generator = begin()
            assert next(generator).error is None and decoders()
            leave(generator)
            del generator
            wait_until_no_thread_decodes()
        begin()  # never begun
        wait_until_no_thread_decodes()


INTERRUPTED = """
import os, signal, sys, threading
import numpy as np
from decoders import wait_until_no_thread_decodes
from realm_engine import Engine

signal.signal(signal.SIGINT, signal.default_int_handler)
pictures = list(np.random.default_rng(0).integers(0, 255, (8, 48, 56, 3), np.uint8))
engine = Engine.open(sys.argv[1], device="cpu", threads=1)
expected = [row.values for row in engine.score(pictures)]
for moment_s in (0.0005, 0.002, 0.01, 0.03):
    timer = threading.Timer(moment_s, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        while True:
            engine.score(pictures)
    except KeyboardInterrupt:
        timer.join()
    wait_until_no_thread_decodes()
    assert [row.values for row in engine.score(pictures)] == expected
print("works")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a signal to oneself ends the process there")
def test_an_interrupt_leaves_an_engine_that_works(bundle_path):
    """In a process of its own: the signal must not reach who runs the tests."""
    command = [sys.executable, "-X", "faulthandler", "-c", INTERRUPTED, str(bundle_path)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == 0 and done.stdout == "works\n", done.stderr


@pytest.mark.parametrize("send", [pickle.dumps, copy.copy, copy.deepcopy])
def test_an_engine_is_not_sent_but_its_options_are(engine, bundle_path, send):
    with pytest.raises(UsageError, match=r"cannot be pickled or copied.* send EngineOptions"):
        send(engine)
    options = pickle.loads(pickle.dumps(EngineOptions(bundle_path, device="cpu", threads=1)))
    with options.open() as other:
        assert other.describe() == engine.describe()


FORKED = """
import io, os, signal, sys
import numpy as np
from realm_engine import DreamConfig, Engine, RealmError

engine = Engine.open(sys.argv[1], device=sys.argv[2], threads=2)
picture = np.random.default_rng(0).integers(0, 255, (48, 56, 3), np.uint8)
asked = {
    "score": lambda: engine.score(picture),
    "map": lambda: engine.map(picture, "a seam", DreamConfig((24,), 8)),
    "embed": lambda: engine.embed_texts(["a seam"]),
    "begun": lambda: next(begun),
    "close": lambda: engine.close(),
    "drop": lambda: globals().pop("engine"),
    "exit": lambda: sys.exit(7),
    "anew": lambda: print(Engine.open(sys.argv[1], device=sys.argv[2], threads=2).score(picture)[0].mos),
}
for ask in list(asked)[:3]:
    asked[ask]()
begun = engine.iter_scores([picture] * 40)
print(next(begun).mos, flush=True)
for name, ask in asked.items():
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            ask()
        except RealmError as error:
            print(name, type(error).__name__, error, flush=True)
            sys.exit(0)  # the usual way out: everything is freed
        print(name, "done", flush=True)
        sys.exit(0)
    print(name, "ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
assert len(list(begun)) == 39 and engine.score(picture)[0].error is None
print("parent done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_a_forked_process_is_told_and_neither_hangs_nor_harms_its_parent(bundle_path, device):
    """Its runtime has none of its threads there: what waits for them, as freeing it does, waits for ever."""
    if device == "openvino":
        pytest.importorskip("openvino")
    command = [sys.executable, "-c", FORKED, str(bundle_path), device]
    done = subprocess.run(command, capture_output=True, text=True, timeout=570, check=False, cwd=ROOT)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[-1] == "parent done", done.stderr
    for name in ("score", "map", "embed", "begun"):
        (said,) = [line for line in lines if line.startswith(f"{name} ClosedError")]
        assert "before this process was forked and cannot be used in it; open one here" in said
        assert f"{name} ended with 0" in lines
    for name, code in (("close", 0), ("drop", 0), ("exit", 7), ("anew", 0)):
        assert f"{name} ended with {code}" in lines
    assert lines[0] in lines[1:]  # the engine that the child opened anew gives the same


def test_opening_and_scoring_leak_nothing(bundle_path):
    """In a process of its own; `python tests/support/leaks.py` is the long run."""
    found = leaks.measure(bundle_path, opens=60, scores=400)
    assert found.files_opens == found.files_scores == 0
    assert found.threads == 0
    assert found.bytes_per_open < 100_000, found
    assert found.bytes_per_score < 10_000, found


@pytest.mark.parametrize("empty", ["", Path()])
def test_an_empty_path_is_an_error_everywhere(engine, empty, tmp_path, monkeypatch, photo):
    Image.fromarray(photo()).save(tmp_path / "here.png")
    monkeypatch.chdir(tmp_path)
    for ask in (engine.score, engine.iter_scores):
        with pytest.raises(UsageError, match="the path of the image is empty"):
            ask(empty)
    for ask in (lambda: engine.map(empty, "x", CONFIG), lambda: engine.embed(empty, 24, 8)):
        with pytest.raises(ImageError, match="the path of the image is empty; give a file"):
            ask()
    row, good = engine.score([empty, "here.png"])
    assert (row.name, row.error) == ("image-1", "the path of the image is empty; give a file")
    assert good.error is None
    assert [each.name for each in engine.score(".")] == ["here.png"]
    with pytest.raises(RealmError):
        Engine.open("")


def test_the_documented_pattern_for_asyncio_works(bundle_path, photo, tmp_path):
    """The program of docs/embedding.md, as it stands there."""
    text = (ROOT / "docs/embedding.md").read_text(encoding="utf-8")
    program = re.search(r"<!-- asyncio -->\n```python\n(.*?)```", text, re.DOTALL)[1]
    space: dict[str, object] = {}
    exec(program, space)
    with Engine.open(bundle_path, device="cpu", threads=1) as engine:
        encoded = io.BytesIO()
        Image.fromarray(photo()).save(encoded, "PNG")
        answers = asyncio.run(space["answer_all"](engine, [encoded.getvalue()] * 9 + [b"none"]))
        expected = engine.score(photo())[0].values
    assert [row.values for row in answers[:9]] == [expected] * 9 and answers[9].error
