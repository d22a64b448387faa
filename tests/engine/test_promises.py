"""What the documentation promises, one promise a row: where it stands, what it says, and what the engine has.

A row fails when the engine changes, and also when the promise is no longer there: whoever changes one of them is sent
to the other. What needs more than a line to find out stands elsewhere (gates: verbs/test_fidelity.py, regions and the
share of windows: maps/test_realness_map.py, bad input: tests/hosts/test_embedding.py).
"""

from __future__ import annotations

import io
import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from repository import ROOT, words

from realm_engine import DreamConfig
from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.manifest import is_bundle_name
from realm_engine.cli.main import INTERRUPTED, main
from realm_engine.engine import DEFAULT_BUNDLE, EngineOptions
from realm_engine.errors import ImageError
from realm_engine.machine.memory import BYTES_PER_PIXEL, COPIES_OF_INPUT, MemoryLimit, parse_bytes
from realm_engine.maps.adaptive import FAST_FRACTION
from realm_engine.maps.encoders import EachWindow
from realm_engine.maps.files import MapFolder
from realm_engine.maps.realness_map import LEGENDS, RealnessMap
from realm_engine.maps.render import colour_limits
from realm_engine.maps.windows import WindowGrid, origins, spread_scales
from realm_engine.opened import Contents
from realm_engine.pictures import decode, find
from realm_engine.pictures.descriptions import DESCRIPTIONS_FILE
from realm_engine.pictures.inputs import find_descriptions
from realm_engine.runtimes.devices import AUTO_ORDER
from realm_engine.runtimes.measured import Measured, Tuned
from realm_engine.runtimes.onnxruntime import OnnxRuntimeBackend
from realm_engine.runtimes.openvino import OpenVinoBackend
from realm_engine.runtimes.tensorrt.plan_cache import DEFAULT_LIMIT_BYTES
from realm_engine.runtimes.tensorrt.profiles import Limits
from realm_engine.tables.record import record_path
from realm_engine.tables.rows import FORMATS
from realm_engine.tables.terminal import digits
from realm_engine.verbs.fidelity import HALF_GATES, INT8_GATES

README, BUNDLE, EMBEDDING = "README.md", "docs/bundle.md", "docs/embedding.md"
SCORES, MAPS, SPEED, TRAINING = (f"docs/{name}.md" for name in ("scores", "maps", "speed", "training"))
TENSORRT, CPP, WEB = "docs/tensorrt.md", "hosts/cpp/README.md", "hosts/web/README.md"


@dataclass(frozen=True)
class Promise:
    """`phrase` stands in `file`, white space aside, and `found()` is `promised`."""

    file: str
    phrase: str
    promised: Any
    found: Callable[[], Any]


@cache
def tiny() -> Contents:
    return Contents(Bundle.open(DEFAULT_BUNDLE))


def preset(name: str) -> tuple[tuple[int, ...], int, str]:
    found = tiny().maps.presets[name]
    return found.windows_px, found.stride_px, found.aggregate


def column(name: str) -> Any:
    return next(each for each in tiny().measures.all[0].columns if each.name == name)


def onnx_runtime(device: str) -> OnnxRuntimeBackend:
    return OnnxRuntimeBackend(SimpleNamespace(__version__="1"), device, "Provider", 1)


def windows_per_call(image_size_px: int, device: str = "cpu") -> int:
    """What a map sends through its tower at once where nothing was tuned."""
    spec = SimpleNamespace(image_size_px=image_size_px)
    return EachWindow(spec, lambda: None, onnx_runtime(device), 8, True).per_call


def takes(speed: float, precision: str = "int8", device: str = "cpu") -> bool:
    """Whether `auto` takes what is so much faster than float32 on the CPU."""
    one = Measured("dream", "cpu", "fp32", 32, 2, 1.0, True, {})
    other = Measured("dream", device, precision, 32, 2, speed, True, {})
    return Tuned("b", "", {}, 1, (one, other)).fastest("dream")[0] is other


def readable() -> list[str]:
    """The formats that an error names, each of which a picture was read from."""
    with pytest.raises(ImageError) as caught:
        decode.load_image(b"no picture")
    named = re.search(r"\(formats: (.*)\)", str(caught.value))[1].split(", ")
    for name in named:
        stream = io.BytesIO()
        Image.new("RGB", (3, 2), (9, 90, 200)).save(stream, name)
        assert decode.load_image(stream.getvalue()).shape == (2, 3, 3)
    return named


def refuses(width: int, height: int) -> str:
    with pytest.raises(ImageError) as caught:
        decode._check_size(width, height, "p.png")
    return str(caught.value)


def map_files() -> list[str]:
    result = RealnessMap(np.zeros((8, 8), np.float32), DreamConfig((8,), 8), ("t",), "custom", 1)
    written: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("realm_engine.maps.files.check_folder", lambda folder: None)
        patch.setattr(
            "realm_engine.maps.files.write_atomically", lambda path, data: written.append(path.name)
        )
        MapFolder(Path("out")).write("name", np.zeros((8, 8, 3), np.uint8), result, {})
    return written


def help_of(verb: str) -> str:
    return " ".join(CliRunner().invoke(main, [verb, "--help"]).stdout.split())


GOLDEN = json.loads((ROOT / "tests/golden/golden.json").read_text(encoding="utf-8"))["tolerances"]

PROMISES = [
    # what is there at all
    Promise(
        README,
        "Python 3.11 or newer",
        ">=3.11",
        lambda: tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"],
    ),
    Promise(
        "docs/realm-tiny.md",
        "second edition (39.7 MB)",
        39.7,
        lambda: round(sum(each["size_bytes"] for each in tiny().bundle.manifest["files"].values()) / 1e6, 1),
    ),
    Promise(
        README,
        'Engine.open(bundle="realm-tiny", device="auto", precision="auto")',
        ("realm-tiny", "auto", "auto"),
        lambda: (EngineOptions().bundle, EngineOptions().device, EngineOptions().precision),
    ),
    Promise(
        SPEED,
        "auto is cuda where it works, else whichever of ONNX Runtime and OpenVINO is fastest",
        ("cuda", "cpu", "openvino"),
        lambda: AUTO_ORDER,
    ),
    Promise(SPEED, "`auto` never takes them", False, lambda: any("tensorrt" in name for name in AUTO_ORDER)),
    Promise(
        BUNDLE,
        "1 to 64 ASCII letters, digits, `.`, `_` and `-`, the first a letter or digit",
        [True, True, *[False] * 6],
        lambda: [is_bundle_name(name) for name in ("a" * 64, "0A._-", "a" * 65, "", "-a", ".a", "a/b", "ä")],
    ),
    # pictures
    Promise(
        TRAINING,
        "Images may be PNG, JPEG, WebP, BMP or TIFF",
        ["PNG", "JPEG", "WebP", "BMP", "TIFF"],
        readable,
    ),
    Promise(
        EMBEDDING, "(formats: PNG, JPEG, WebP, BMP, TIFF)", ["PNG", "JPEG", "WebP", "BMP", "TIFF"], readable
    ),
    Promise(
        "realm_engine/pictures/find.py",
        "called like images (`EXTENSIONS`, any case) or are some by their first bytes",
        {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"},
        lambda: find.EXTENSIONS,
    ),
    Promise(
        WEB,
        "At most 50 megapixels (the engine: 200)",
        "p.png: 20000 x 10001 is more than 200 megapixels; scale it down first",
        lambda: refuses(20_000, 10_001),
    ),
    Promise(
        WEB,
        "At most 50 megapixels (the engine: 200)",
        None,
        lambda: decode._check_size(20_000, 10_000, "p.png"),
    ),
    # scores
    Promise(
        README,
        "filename mos realness unlike percentile_photographs percentile_generated",
        ["mos", "realness", "unlike", "percentile_photographs", "percentile_generated"],
        lambda: [each.name for each in tiny().measures.all[0].columns if not each.bound],
    ),
    Promise(
        README,
        "cat.jpg 0.6 74 (55-92)",
        [1, 0],
        lambda: [digits(column(name), tiny().measures.all[0].columns) for name in ("mos", "realness")],
    ),
    Promise(
        SCORES,
        "In brackets is where people's rating lies for 90 % of pictures that the model never saw",
        0.9,
        lambda: column("realness").interval.share,
    ),
    Promise(
        SCORES,
        "higher = more real",
        ["high", "high"],
        lambda: [column("mos").better, column("realness").better],
    ),
    Promise(
        SCORES,
        "scale of 0 to 100 (that of RAISE-TD's ratings, clipped to it)",
        [0.0, 100.0],
        lambda: [column("realness").value(-9.0), column("realness").value(9.0)],
    ),
    Promise(
        EMBEDDING,
        "64.010578006 + 17.349906357 x MOS",
        64.010578006 + 17.349906357 * 0.5,
        lambda: pytest.approx(column("realness").value(0.5), abs=1e-9),
    ),
    Promise(
        BUNDLE,
        '"rating": {"offset": 64.010578006, "slope": 17.349906357}',
        {"offset": 64.010578006, "slope": 17.349906357},
        lambda: tiny().bundle.manifest["core"]["rating"],
    ),
    Promise(
        SCORES,
        "named `image_descriptions.csv`, is found in or beside the directory",
        "image_descriptions.csv",
        lambda: find_descriptions(ROOT / "samples").name,
    ),
    Promise(
        "realm_engine/cli/options.py",
        "[default: image_descriptions.csv in or ",
        "image_descriptions.csv",
        lambda: DESCRIPTIONS_FILE,
    ),
    Promise(
        SCORES,
        "--output out/scores.parquet # or .csv, .jsonl",
        {".parquet", ".csv", ".jsonl"},
        lambda: set(FORMATS),
    ),
    Promise(
        SCORES,
        "`scores.parquet.run.json`",
        "scores.parquet.run.json",
        lambda: record_path(Path("scores.parquet")).name,
    ),
    Promise(
        EMBEDDING,
        "is cut to the first 128",
        [128, 128],
        lambda: [each.max_tokens for each in tiny().text_specs().values()],
    ),
    # maps
    Promise(
        MAPS,
        "Per image: `<name>.overlay.png`",
        ["name.overlay.png", "name.heatmap.png", "name.npy", "name.json"],
        map_files,
    ),
    Promise(
        MAPS,
        "realness = 1 - cosine, **low = unreal**; `--quantity similarity` gives the cosine, high = unreal",
        [
            "1 - cosine similarity with the text; low = unreal",
            "cosine similarity with the text; high = unreal",
        ],
        lambda: [LEGENDS["realness"].meaning, LEGENDS["similarity"].meaning],
    ),
    Promise(
        MAPS,
        "`--preset released` (windows of 64 px, stride 8)",
        ((64,), 8, "mean"),
        lambda: preset("released"),
    ),
    Promise(
        MAPS,
        "`--preset paper` (windows of 128, 64 and 32 px, stride 4, their maximum)",
        ((128, 64, 32), 4, "max"),
        lambda: preset("paper"),
    ),
    Promise(
        BUNDLE,
        '"released": {"windows_px": [64], "stride_px": 8, "aggregate": "mean"}',
        ((64,), 8, "mean"),
        lambda: preset("released"),
    ),
    Promise(
        BUNDLE,
        '"paper": {"windows_px": [128, 64, 32], "stride_px": 4, "aggregate": "max"}',
        ((128, 64, 32), 4, "max"),
        lambda: preset("paper"),
    ),
    Promise(
        BUNDLE,
        '"recommended_preset": "released"',
        DreamConfig((64,), 8, "mean", "realness"),
        lambda: DreamConfig.from_preset(tiny().maps.presets[tiny().maps.recommended_preset]),
    ),
    Promise(
        MAPS,
        "`--preset fast` encodes a fifth of the windows",
        [0.2, 0.2],
        lambda: [FAST_FRACTION, DreamConfig().faster().fraction],
    ),
    Promise(
        "realm_engine/cli/map.py", "a fifth of the windows, the rest interpolated", 0.2, lambda: FAST_FRACTION
    ),
    Promise(
        BUNDLE,
        "at `range(0, H - w + 1, stride)` x `range(0, W - w + 1, stride)`",
        [[0, 3, 6], [0], [0, 5]],
        lambda: [origins(*each).tolist() for each in ((10, 4, 3), (4, 4, 3), (9, 4, 5))],
    ),
    Promise(
        BUNDLE,
        "a pixel that no window covers is NaN",
        ["[1.0, 1.0, nan]"] * 2,
        lambda: [
            str(spread_scales([np.ones((1, 1))], [WindowGrid(2, 3, 2, 9)], each)[0].tolist())
            for each in ("mean", "max")
        ],
    ),
    Promise(
        "realm_engine/maps/render.py",
        "widened to at least `MINIMUM_SPAN`",
        (0.49, 0.51),
        lambda: pytest.approx(colour_limits(np.full((4, 4), 0.5, np.float32)), abs=1e-6),
    ),
    Promise(
        "realm_engine/cli/map.py",
        "as many as the bundle says, else 5",
        5,
        lambda: tiny().maps.region_policy.most,
    ),
    Promise(
        "realm_engine/maps/realness_map.py",
        "by more than one standard deviation, of at least a quarter of the smallest",
        (1.0, 0.25),
        lambda: (tiny().maps.region_policy.below_std, tiny().maps.region_policy.least_window_areas),
    ),
    Promise(
        "realm_engine/maps/phrases.py",
        "(the 95th) over windows",
        95.0,
        lambda: tiny().maps.phrase_policy.percentile,
    ),
    Promise(
        "realm_engine/maps/phrases.py",
        "too far behind the best (1 standard deviation)",
        1.0,
        lambda: tiny().maps.phrase_policy.margin_z,
    ),
    # memory and work of one call
    Promise(
        MAPS,
        "2 GiB unless the models need more",
        (2 << 30, False),
        lambda: (MemoryLimit().limit_bytes, MemoryLimit().strict),
    ),
    Promise(
        "realm_engine/cli/options.py",
        "[default: 2G, more where the models need it]",
        2 << 30,
        lambda: MemoryLimit().limit_bytes,
    ),
    Promise(MAPS, "`--max-memory 800M` bounds the memory", 800 << 20, lambda: parse_bytes("800M")),
    Promise(
        EMBEDDING,
        "where 2 GB do not hold 40 float32 copies of the tower's input each and 64 bytes per pixel",
        (40, 64, 40 * 4 * 3 * 224 * 224),
        lambda: (COPIES_OF_INPUT, BYTES_PER_PIXEL, MemoryLimit.input_bytes(224)),
    ),
    Promise(
        EMBEDDING,
        "takes 32 windows (64 where the tower's input is at most 112 px)",
        [64, 64, 32, 32],
        lambda: [windows_per_call(size) for size in (64, 112, 113, 224)],
    ),
    Promise(
        CPP,
        "64 windows of a small tower, 32 of others, 256 or more on a GPU; 8 images",
        [64, 32, 256, 512, 8],
        lambda: [
            windows_per_call(64),
            windows_per_call(224),
            windows_per_call(224, "cuda"),
            windows_per_call(64, "cuda"),
            onnx_runtime("cpu").image_batch,
        ],
    ),
    Promise(
        "realm_engine/cli/options.py",
        "[default: as tuned, else 8, on a GPU 32]",
        [8, 32, 8],
        lambda: [
            onnx_runtime("cpu").image_batch,
            onnx_runtime("cuda").image_batch,
            OpenVinoBackend.image_batch,
        ],
    ),
    Promise(
        "realm_engine/cli/export_triton.py",
        "[default: 256, cpu 32]",
        [256, 32, 32],
        lambda: [
            onnx_runtime("cuda").window_batch,
            onnx_runtime("cpu").window_batch,
            OpenVinoBackend.window_batch,
        ],
    ),
    Promise(
        TENSORRT,
        "| 1-256 windows (tuned for 256) of 1-512 px",
        (256, 512, 1024),
        lambda: (Limits().windows, Limits().window_px, Limits().texts),
    ),
    Promise(TENSORRT, "| 1-32 images to 1024 x 1024 |", 32, lambda: Limits().images),
    Promise(
        TENSORRT,
        "images to 16384 x 8192, 1024 texts",
        (16384, 8192),
        lambda: (Limits().image_height_px, Limits().image_width_px),
    ),
    Promise(TENSORRT, "(`REALM_TENSORRT_MEMORY`, 4G;", parse_bytes("4G"), lambda: Limits().memory_bytes),
    Promise(
        TENSORRT, "Beyond `REALM_ENGINE_CACHE_SIZE` (8G)", parse_bytes("8G"), lambda: DEFAULT_LIMIT_BYTES
    ),
    # precisions
    Promise(
        SPEED,
        "cosine >= 0.9995 per tower, map Pearson >= 0.999 and MOS within 0.01 for fp16 and bf16",
        (0.9995, 0.999, 0.01),
        lambda: (HALF_GATES.tower_cosine, HALF_GATES.map_pearson, HALF_GATES.mos_max_abs_diff),
    ),
    Promise(
        SPEED,
        "map Pearson >= 0.99 and SROCC changed by at most 0.005 for int8",
        (0.99, 0.005),
        lambda: (INT8_GATES.map_pearson, INT8_GATES.srocc_change),
    ),
    Promise(
        BUNDLE,
        "| cosine of embeddings, per tower | >= 0.9995 | |",
        (0.9995, None),
        lambda: (HALF_GATES.tower_cosine, INT8_GATES.tower_cosine),
    ),
    Promise(
        BUNDLE,
        "| >= 0.999 | >= 0.99 |",
        (0.999, 0.99),
        lambda: (HALF_GATES.map_pearson, INT8_GATES.map_pearson),
    ),
    Promise(
        BUNDLE,
        "| score | within 0.01 MOS |",
        (0.01, 0.01),
        lambda: (HALF_GATES.mos_max_abs_diff, column("mos").tolerance),
    ),
    Promise(
        BUNDLE,
        "changes by <= 0.005; without ratings SROCC to fp32 >= 0.995",
        (0.005, 0.995),
        lambda: (INT8_GATES.srocc_change, INT8_GATES.srocc),
    ),
    Promise(
        BUNDLE,
        '"gates": {"map_pearson": 0.99, "srocc_change": 0.005, "srocc": 0.995}',
        {"map_pearson": 0.99, "srocc_change": 0.005, "srocc": 0.995},
        INT8_GATES.record,
    ),
    Promise(
        SPEED,
        "remembers the fastest that is good enough",
        [True, False, True, False],
        lambda: [takes(1.06), takes(1.05), takes(1.06, "fp32", "openvino"), takes(1.05, "fp32", "openvino")],
    ),
    Promise(
        "realm_engine/runtimes/measured.py",
        "What is not clearly faster than a precision at least as high",
        [True, False],
        lambda: [takes(1 / 0.9499), takes(1 / 0.9501)],
    ),  # 5 %
    # golden vectors
    Promise(
        EMBEDDING, "`clip` is `text_embedding`: cosine >= 0.9999", 0.9999, lambda: GOLDEN["embedding_cosine"]
    ),
    Promise(
        EMBEDDING,
        "one row per window, one column per text: 0.001",
        0.001,
        lambda: GOLDEN["similarity_max_abs"],
    ),
    Promise(EMBEDDING, "`scores`: `mos` 0.004", 0.004, lambda: GOLDEN["mos_max_abs"]),
    Promise(EMBEDDING, "(npy 1.0): 0.001", 0.001, lambda: GOLDEN["map_max_abs"]),
    Promise(EMBEDDING, "compare with `pixels`: 1 level", 1, lambda: GOLDEN["preprocessing_levels"]),
    Promise("realm_engine/cli/main.py", "130 interrupted", 130, lambda: INTERRUPTED),
]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda each: f"{each.file}: {each.phrase[:40]!a}")
def test_a_promise_stands_and_is_kept(promise: Promise) -> None:
    assert " ".join(promise.phrase.split()) in words(promise.file), f"{promise.file} says something else now"
    assert promise.found() == promise.promised


def test_help_says_the_defaults_that_hold():
    assert "[default: as many as the bundle says, else 5]" in help_of("map")
    assert "[default: 2G, more where the models need it]" in help_of("score")
