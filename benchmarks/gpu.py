"""`python -m benchmarks.gpu`: what a GPU does with the engine, in minutes, for a machine that is there for no longer.

Every question is a process of its own with a limit of time, so that one that crashes or hangs costs the others
nothing. A measurement is a line of JSON on stdout; what went wrong is one too, so that a log is all one needs.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from benchmarks.cases import GRIDS, HEIGHT, TEXT, WIDTH, Descriptions, image_files, picture
from benchmarks.settings import CACHE, ROOT
from realm_engine import Engine
from realm_engine.arrays import UInt8
from realm_engine.bundle.bundle import Bundle
from realm_engine.pictures.resample import resample_matrix_float32
from realm_engine.runtimes import onnxruntime as runtime
from realm_engine.runtimes.devices import open_backend

BUNDLE = "realm-tiny"
SIZES = ((384, 512), (512, 384), (451, 300), (768, 1024), (640, 640))
# Settings of ONNX Runtime's CUDA provider that were worth asking about; "engine": what the engine sets.
SETTINGS: dict[str, dict[str, str]] = {
    "engine": {},
    "EXHAUSTIVE, its default": {"cudnn_conv_algo_search": "EXHAUSTIVE"},
    "DEFAULT": {"cudnn_conv_algo_search": "DEFAULT"},
    "small workspace": {"cudnn_conv_use_max_workspace": "0"},
    "NHWC": {"prefer_nhwc": "1"},
    "TF32": {"use_tf32": "1"},
}

Say = Callable[..., None]
"""Told what was measured, by name."""


def same(device: str, say: Say) -> None:
    """Scores and maps of three pictures against the CPU in float32."""
    pictures = [picture(512, 384), picture(300, 451), picture(1024, 768)]

    def answers(device: str) -> tuple[str, Any, list[Any]]:
        with _engine(device) as engine:
            scores = np.array([row.mos for row in engine.score(pictures, [TEXT] * len(pictures))])
            maps = [engine.map(each, TEXT).values.ravel() for each in pictures[:2]]
            return engine.describe()["runtime"], scores, maps

    name, mos, maps = answers(device)
    _, expected, expected_maps = answers("cpu")
    pairs = list(zip(maps, expected_maps, strict=True))
    say(
        runtime=name,
        mos_largest_difference=float(np.abs(mos - expected).max()),
        map_largest_difference=max(float(np.abs(found - wanted).max()) for found, wanted in pairs),
        map_least_pearson=min(float(np.corrcoef(found, wanted)[0, 1]) for found, wanted in pairs),
    )


def engine(device: str, say: Say) -> None:
    """Maps and scores of decoded pictures as the engine makes them, the first of each kind as well."""
    image, other = picture(), picture(800, 600)
    one, five = [image] * 64, _of_five_sizes(64)
    with _engine(device) as engine:

        def draw(*images: UInt8, windows: int = 2337) -> Callable[[], object]:
            return lambda: [engine.map(each, TEXT, GRIDS[windows]) for each in images]

        for what, call, times in (
            ("map of 2337 windows", draw(image), 7),
            ("map by phrases", lambda: engine.map(image), 5),
            ("maps of 512 x 384 and 800 x 600 in turn", draw(image, other), 5),
            ("map of 48 windows", draw(image, windows=48), 5),
            ("map of 26227 windows", draw(image, windows=26227), 3),
            ("score of one picture", lambda: _scores(engine, one[:1]), 7),
            ("scores of 64 pictures of one size", lambda: _scores(engine, one), 5),
            ("scores of 64 pictures of five sizes", lambda: _scores(engine, five), 5),
        ):
            _time(say, call, times, what=what)


def files(device: str, say: Say) -> None:
    """Scores of 256 JPEG files of one size, and of five, decoding included."""
    paths = image_files(CACHE, 256, 0)
    folder = CACHE / "five-sizes"
    folder.mkdir(exist_ok=True)
    mixed = [folder / path.name for path in paths]
    sizes = np.random.default_rng(0).permutation([SIZES[index % len(SIZES)] for index in range(len(paths))])
    for path, resized, (height, width) in zip(paths, mixed, sizes, strict=True):
        if not resized.exists():
            with Image.open(path) as file:
                file.resize((int(width), int(height))).save(resized, quality=92)
    with _engine(device) as engine:
        _time(say, lambda: _scores(engine, paths), 4, what="256 files of one size")
        _time(say, lambda: _scores(engine, mixed), 4, what="256 files of five sizes")


def shapes(device: str, say: Say) -> None:
    """What a call of another size costs: rows of CORE's graph, pictures of another height."""
    session = open_backend(device).load(Bundle.open(BUNDLE).path("core", "fp32"), "fp32")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 700, WIDTH, 3), dtype=np.uint8)

    def call(*rows: int, height: int = HEIGHT) -> Callable[[], object]:
        each = [
            {
                "pixels": pixels[:count, :height],
                "resample_rows": resample_matrix_float32(height, 336, "bilinear"),
                "resample_cols": resample_matrix_float32(WIDTH, 448, "bilinear"),
                "text_features": np.ones((count, 384), np.float32),
                "has_text": np.ones(count, np.float32),
            }
            for count in rows
        ]
        return lambda: [session.run(feeds, ["mos"]) for feeds in each]

    _time(say, call(32), 5, what="32 pictures")
    for height in (300, 301, 700):
        _time(say, call(32, height=height), 3, what=f"32 pictures of height {height}")
    for rows in (16, 31):
        _time(say, call(rows), 3, what=f"{rows} pictures")
    _time(say, call(32, 17), 4, what="32 and 17 pictures in turn")


def settings(device: str, say: Say) -> None:
    """Settings of ONNX Runtime's CUDA provider: maps of 2337 windows."""
    if device != "cuda":
        say(note="these are settings of cuda")
        return
    chosen = runtime.cuda_settings
    for name, changed in SETTINGS.items():

        def changed_settings(precision: str, changed: dict[str, str] = changed) -> dict[str, str]:
            return {**chosen(precision), **changed}

        runtime.cuda_settings = changed_settings
        with _engine(device) as engine:
            draw = partial(engine.map, picture(), TEXT, GRIDS[2337])
            _time(say, draw, 6, what="map of 2337 windows", settings=name)


QUESTIONS: dict[str, tuple[Callable[[str, Say], None], float]] = {
    "same": (same, 90),
    "engine": (engine, 150),
    "files": (files, 120),
    "shapes": (shapes, 60),
    "settings": (settings, 90),
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("questions", nargs=-1, type=click.Choice(list(QUESTIONS)), metavar="[QUESTION]...")
@click.option(
    "--devices",
    default="cuda,cpu",
    show_default=True,
    metavar="LIST",
    help="Of cuda, tensorrt, tensorrt-rtx, openvino, cpu.",
)
@click.option("--here", is_flag=True, help="One question, in this process (for a debugger).")
def command(questions: tuple[str, ...], devices: str, here: bool) -> None:
    """What a GPU does with the engine: same, engine, files, shapes, settings. JSON lines on stdout."""
    for name in questions or QUESTIONS:
        ask, limit_s = QUESTIONS[name]
        for device in filter(None, devices.split(",")):
            say = _say(name, device)
            if here:
                ask(device, say)
                continue
            again = [sys.executable, "-m", "benchmarks.gpu", name, "--devices", device, "--here"]
            try:
                done = subprocess.run(again, cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=limit_s)
            except subprocess.TimeoutExpired:
                say(error=f"stopped after {limit_s} s")
                continue
            if done.returncode:
                said = done.stderr.strip().splitlines() or ["it does not say why"]
                say(error=f"ended with {done.returncode}: {said[-1][:300]}")


def _say(question: str, device: str) -> Say:
    started = time.perf_counter()

    def say(**measured: Any) -> None:
        at = round(time.perf_counter() - started, 1)
        click.echo(json.dumps({"question": question, "device": device, "at_s": at, **measured}))

    return say


def _engine(device: str) -> Engine:
    return Engine.open(BUNDLE, device, "fp32", tuned=False)


def _time(say: Say, call: Callable[[], object], times: int, **what: str) -> None:
    seconds = []
    for _ in range(times):
        before = time.perf_counter()
        call()
        seconds.append(round(time.perf_counter() - before, 5))
    say(**what, first_s=seconds[0], median_s=statistics.median(seconds[1:]), all_s=seconds)


def _scores(engine: Engine, images: list[UInt8] | list[Path]) -> list[Any]:
    rows = list(engine.score(list(images), _texts(len(images))))
    failed = [row.error for row in rows if row.error]
    if failed:
        raise RuntimeError(failed[0])
    return rows


_texts = Descriptions(seed=0)


def _of_five_sizes(count: int) -> list[UInt8]:
    full = picture(1024, 1024)
    order = np.random.default_rng(0).permutation([SIZES[index % len(SIZES)] for index in range(count)])
    return [np.ascontiguousarray(full[:height, :width]) for height, width in order]


if __name__ == "__main__":
    command()
