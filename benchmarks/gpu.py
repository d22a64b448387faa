"""Questions to a GPU, for a machine that is there for minutes: `python -m benchmarks gpu` asks all and writes a report.

Every question is a process of its own with a limit of time, so that one that crashes or hangs costs the others
nothing. A measurement is a line of JSON on stdout; what went wrong is one too, so that a log is all one needs:
`python -m benchmarks.gpu QUESTION --device NAME`.
"""

from __future__ import annotations

import itertools
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from benchmarks.cases import GRIDS, HEIGHT, TEXT, WIDTH, Descriptions, count, image_files, picture, thin
from benchmarks.settings import CACHE, ROOT, Settings
from realm_engine import DreamConfig, Engine
from realm_engine.arrays import UInt8
from realm_engine.bundle.bundle import MANIFEST, Bundle
from realm_engine.errors import RealmError
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


@dataclass(frozen=True)
class Ask:
    """How a question is asked: of which device, and whether a little of everything is enough (`small`)."""

    device: str
    small: bool
    say: Say

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that this device is asked for: half precision is for GPUs."""
        return ("fp32",) if self.device in ("cpu", "openvino") else ("fp32", "fp16")


def same(ask: Ask) -> None:
    """Scores and maps of three pictures against the CPU in float32, in every precision."""
    pictures = [picture(512, 384), picture(300, 451), picture(1024, 768)]

    def answers(device: str, precision: str) -> tuple[str, Any, list[Any]]:
        with _engine(device, precision) as engine:
            scores = np.array([row.mos for row in engine.score(pictures, [TEXT] * len(pictures))])
            drawn = [engine.map(each, TEXT) for each in pictures[:2]]
            maps = [each.values[each.covered] for each in drawn]
            return engine.describe()["runtime"], scores, maps

    _, expected, expected_maps = answers("cpu", "fp32")
    for precision in ask.precisions:
        try:
            name, mos, maps = answers(ask.device, precision)
        except RealmError as error:
            ask.say(what="against the CPU", precision=precision, error=str(error))
            continue
        pairs = list(zip(maps, expected_maps, strict=True))
        ask.say(
            what="against the CPU",
            precision=precision,
            runtime=name,
            mos_largest_difference=float(np.abs(mos - expected).max()),
            map_largest_difference=max(float(np.abs(found - wanted).max()) for found, wanted in pairs),
            map_least_pearson=min(float(np.corrcoef(found, wanted)[0, 1]) for found, wanted in pairs),
        )


def engine(ask: Ask) -> None:
    """Maps and scores of decoded pictures as the engine makes them, the first of each kind as well."""
    image, other = picture(), picture(800, 600)
    pictures = 4 if ask.small else 64
    one, five = [image] * pictures, _of_five_sizes(pictures)
    for precision in ask.precisions:
        try:
            opened = _engine(ask.device, precision)
        except RealmError as error:
            ask.say(what="maps and scores", precision=precision, error=str(error))
            continue
        with opened as engine:

            def draw(*images: UInt8, windows: int = 2337, engine: Engine = engine) -> Callable[[], object]:
                return lambda: [engine.map(each, TEXT, GRIDS[windows]) for each in images]

            def scored(images: list[UInt8], engine: Engine = engine) -> Callable[[], object]:
                return lambda: _scores(engine, images)

            for what, call, times, units in (
                ("map of 2337 windows", draw(image), 7, 2337),
                ("maps of 512 x 384 and 800 x 600 in turn", draw(image, other), 5, 0),
                ("map of 48 windows", draw(image, windows=48), 5, 48),
                ("map of 26227 windows", draw(image, windows=26227), 3, 26227),
                ("score of one picture", scored(one[:1]), 7, 1),
                (f"scores of {pictures} pictures of one size", scored(one), 5, pictures),
                (f"scores of {pictures} pictures of five sizes", scored(five), 5, pictures),
            ):
                repeats = 2 if ask.small else times
                _time(ask.say, call, repeats, what=what, precision=precision, units=units)


def files(ask: Ask) -> None:
    """Scores of 256 JPEG files of one size, and of five, decoding included."""
    number = 8 if ask.small else 256
    paths = image_files(CACHE, number, 0)
    folder = CACHE / "five-sizes"
    folder.mkdir(exist_ok=True)
    mixed = [folder / path.name for path in paths]
    sizes = np.random.default_rng(0).permutation([SIZES[index % len(SIZES)] for index in range(len(paths))])
    for path, resized, (height, width) in zip(paths, mixed, sizes, strict=True):
        if not resized.exists():
            with Image.open(path) as file:
                file.resize((int(width), int(height))).save(resized, quality=92)
    with _engine(ask.device) as engine:
        for kind, images in (("one size", paths), ("five sizes", mixed)):
            call = partial(_scores, engine, images)
            _time(ask.say, call, 2 if ask.small else 4, what=f"{number} files of {kind}", units=number)


def shapes(ask: Ask) -> None:
    """What a call of another size costs: rows of CORE's graph, pictures of another height."""
    session = open_backend(ask.device).load(Bundle.open(BUNDLE).path("core", "fp32"), "fp32")
    most, some, few = (4, 2, 3) if ask.small else (32, 16, 31)
    pixels = np.random.default_rng(0).integers(0, 256, (most, 700, WIDTH, 3), dtype=np.uint8)

    def call(*rows: int, height: int = HEIGHT) -> Callable[[], object]:
        each = [
            {
                "pixels": pixels[:count, :height],
                "resample_rows": resample_matrix_float32(height, 336, "bilinear")[None, None],
                "resample_cols": resample_matrix_float32(WIDTH, 448, "bilinear")[None, None],
                "text_features": np.ones((count, 384), np.float32),
                "has_text": np.ones(count, np.float32),
            }
            for count in rows
        ]
        return lambda: [session.run(feeds, ["mos"]) for feeds in each]

    _time(ask.say, call(most), 5, what=f"{most} pictures")
    for height in (300, 301, 700):
        _time(ask.say, call(most, height=height), 3, what=f"{most} pictures of height {height}")
    for rows in (some, few):
        _time(ask.say, call(rows), 3, what=f"{rows} pictures")
    _time(ask.say, call(most, some), 4, what=f"{most} and {some} pictures in turn")


def settings(ask: Ask) -> None:
    """Settings of ONNX Runtime's CUDA provider: maps of 2337 windows."""
    if ask.device != "cuda":
        ask.say(note="these are settings of cuda")
        return
    chosen = runtime.cuda_settings
    for name, changed in SETTINGS.items():

        def changed_settings(precision: str, changed: dict[str, str] = changed) -> dict[str, str]:
            return {**chosen(precision), **changed}

        runtime.cuda_settings = changed_settings
        with _engine(ask.device) as engine:
            draw = partial(engine.map, picture(), TEXT, GRIDS[2337])
            _time(ask.say, draw, 6, what="map of 2337 windows", settings=name)


def vit(ask: Ask) -> None:
    """ViT-B/32 (random weights) against PyTorch on the same device, and the share of what matrix products reach.

    A little of it is the embedded default window by window: exporting a ViT takes minutes.
    """
    import torch

    from benchmarks.contenders import dream_runner
    from benchmarks.engines import EACH_WINDOW, FORWARD_ALONE, EngineDream, Spec
    from benchmarks.models import MODELS, dream_model, export
    from benchmarks.peak import gflop, measure_peaks

    info = MODELS["tiny" if ask.small else "vitb32"]
    on_gpu = ask.device != "cpu"
    if on_gpu and not torch.cuda.is_available():
        ask.say(what="PyTorch", error="this PyTorch finds no GPU")
    rivals = "cuda" if on_gpu else "cpu"
    exported = export(info, CACHE, lambda line: None, on_gpu)
    model = dream_model(info, exported.bundle)
    size = model.preprocess.size
    work = gflop(model.tower, torch.zeros(1, 3, size, size))
    half = "fp16" if on_gpu else "bf16"
    peaks = {k: v for k, v in measure_peaks(rivals, half, 0.3).items() if isinstance(v, float)}
    ask.say(what="matrix products, GFLOP/s", **peaks)

    def told(
        what: str, precision: str, windows: int, call: Callable[[], object], times: int, scale: float
    ) -> None:
        seconds = list(_seconds(call, times))
        median = statistics.median(seconds[1:]) * scale
        share = windows * work / median / peaks.get(precision, float("nan"))
        ask.say(
            what=what,
            precision=precision,
            units=windows,
            first_s=seconds[0] * scale,
            median_s=median,
            share_of_peak=round(share, 4),
            sampled=scale != 1,
        )

    bundles = {"engine": exported.bundle}
    if ask.device == "cuda" and not ask.small:  # what the files of its own operators are worth
        bundles["engine, portable files"] = _portable(Path(exported.bundle))
    image, large = picture(), picture(2000, 1500)
    grid = 15 if ask.small else 2337
    used = Settings((), (), (), (ask.device,), True, CACHE, 2, 0, 2)
    for precision, (name, bundle) in itertools.product(ask.precisions, bundles.items()):
        spec = Spec("engine", ask.device, precision, EACH_WINDOW if ask.small else "")
        runner = EngineDream(bundle, spec, used.threads)
        cases: Sequence[tuple[UInt8, DreamConfig, int]] = [(image, GRIDS[grid], 2 if ask.small else 6)]
        if not ask.small and precision == half:
            cases = [*cases, (large, GRIDS[2337], 3)]
        for pixels, config, times in cases:
            windows = count(config, *pixels.shape[:2])
            told(name, precision, windows, partial(runner.map, pixels, config), times, 1)
        runner.engine.close()
    # Rivals have a sample of the windows where all of them would take too long.
    for spec, sample in (
        (Spec("published", rivals, "fp32"), 8 if ask.small else 96),
        (Spec("eager", rivals, half), grid if ask.small else 512),
        (Spec("eager", rivals, half, FORWARD_ALONE), grid),
        (Spec("compile", rivals, half), 0 if ask.small else grid),
    ):
        if not sample:
            continue
        rival = dream_runner(spec, model, exported, used)
        config = thin(GRIDS[grid], sample)
        windows = count(config, *image.shape[:2])
        told(spec.key, spec.precision, grid, partial(rival.map, image, config), 3, grid / windows)


QUESTIONS: dict[str, tuple[Callable[[Ask], None], float]] = {
    "same": (same, 90),
    "engine": (engine, 150),
    "vit": (vit, 200),
    "files": (files, 120),
    "shapes": (shapes, 60),
    "settings": (settings, 90),
}


def answers(questions: Sequence[str], devices: Sequence[str], small: bool) -> Iterator[dict[str, Any]]:
    """Every measurement of every question, each asked of each device in a process of its own."""
    for name in questions:
        for device in devices:
            again = [sys.executable, "-m", "benchmarks.gpu", name, "--device", device]
            limit_s = QUESTIONS[name][1]
            where = {"question": name, "device": device}
            said, error = "", ""
            try:
                done = subprocess.run(
                    again + ["--small"] * small, cwd=ROOT, capture_output=True, text=True, timeout=limit_s
                )
                said = done.stdout
                if done.returncode:
                    error = (done.stderr.strip().splitlines() or ["it does not say why"])[-1][:300]
            except subprocess.TimeoutExpired as stopped:
                said = (stopped.stdout or b"").decode() if isinstance(stopped.stdout, bytes) else ""
                error = f"stopped after {limit_s:.0f} s"
            for line in said.splitlines():
                yield {**where, **json.loads(line)}
            if error:
                yield {**where, "what": "", "error": error}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("question", type=click.Choice(list(QUESTIONS)))
@click.option("--device", required=True, help="cuda, tensorrt, tensorrt-rtx, openvino or cpu.")
@click.option("--small", is_flag=True, help="A little of everything.")
def command(question: str, device: str, small: bool) -> None:
    """Ask one question of one device in this process; JSON lines on stdout."""
    started = time.perf_counter()

    def say(**measured: Any) -> None:
        click.echo(json.dumps({"at_s": round(time.perf_counter() - started, 1), **measured}))

    QUESTIONS[question][0](Ask(device, small, say))


def _engine(device: str, precision: str = "fp32") -> Engine:
    return Engine.open(BUNDLE, device, precision, tuned=False)


def _portable(bundle: Path) -> str:
    """The same bundle without the files that are made for one device; the others are links."""
    folder = bundle.with_name(f"{bundle.name}-portable")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    for entry in manifest["graphs"].values():
        for own in entry.pop("devices", {}).values():
            for file in own.values():
                del manifest["files"][file]
    for file in manifest["files"]:
        (folder / file).hardlink_to(bundle / file)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return str(folder)


def _seconds(call: Callable[[], object], times: int) -> Iterator[float]:
    for _ in range(times):
        before = time.perf_counter()
        call()
        yield round(time.perf_counter() - before, 5)


def _time(say: Say, call: Callable[[], object], times: int, **what: Any) -> None:
    seconds = list(_seconds(call, times))
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
