"""Small real measures for tests, and what every measure must hold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from bundles import read_manifest, write_manifest

from realm_engine import Engine

GRAPHS = {
    # mean of all levels, 0 to 1, of the picture as it is; 0 / 0 where it is black all over and `steep`
    "brightness": """
brightness (uint8[batch, height, width, 3] pixels) => (float[batch] value) {
  levels = Cast<to = 1>(pixels)
  mean = ReduceMean<axes = [1, 2, 3], keepdims = 0>(levels)
  top = Constant<value = float {255.0}>()
  value = Div(mean, top)
}""",
    # brightness, and the third of the scale that it lies in: 0, 1 or 2, but 3 for white and 7 for black
    "thirds": """
thirds (uint8[batch, height, width, 3] pixels) => (float[batch] value, float[batch] third) {
  levels = Cast<to = 1>(pixels)
  mean = ReduceMean<axes = [1, 2, 3], keepdims = 0>(levels)
  top = Constant<value = float {255.0}>()
  value = Div(mean, top)
  three = Constant<value = float {3.0}>()
  scaled = Mul(value, three)
  place = Floor(scaled)
  zero = Constant<value = float {0.0}>()
  black = Equal(value, zero)
  seven = Constant<value = float {7.0}>()
  third = Where(black, seven, place)
}""",
    # logarithm of the same: minus infinity for a black picture
    "log_brightness": """
log_brightness (uint8[batch, height, width, 3] pixels) => (float[batch] value) {
  levels = Cast<to = 1>(pixels)
  mean = ReduceMean<axes = [1, 2, 3], keepdims = 0>(levels)
  value = Log(mean)
}""",
    # mean red of a picture resized to 8 x 16
    "red": """
red (uint8[batch, height, width, 3] pixels, float[8, height] resample_rows, float[16, width] resample_cols)
    => (float[batch, 1] value) {
  levels = Cast<to = 1>(pixels)
  planes = Transpose<perm = [0, 3, 1, 2]>(levels)
  cols_t = Transpose<perm = [1, 0]>(resample_cols)
  wide = MatMul(planes, cols_t)
  half = Constant<value = float {0.5}>()
  wide_up = Add(wide, half)
  wide_8 = Floor(wide_up)
  tall = MatMul(resample_rows, wide_8)
  tall_up = Add(tall, half)
  tall_8 = Floor(tall_up)
  zero = Constant<value = int64[1] {0}>()
  one = Constant<value = int64[1] {1}>()
  axis = Constant<value = int64[1] {1}>()
  plane = Slice(tall_8, zero, one, axis)
  value_3d = ReduceMean<axes = [2, 3], keepdims = 0>(plane)
  last = Constant<value = int64[2] {-1, 1}>()
  value = Reshape(value_3d, last)
}""",
    # a head: the sum of three features, and the first of them
    "head": """
head (float[batch, 3] features) => (float[batch] total, float[batch] first) {
  total = ReduceSum<keepdims = 0>(features, axis)
  zero = Constant<value = int64 {0}>()
  first = Gather<axis = 1>(features, zero)
}""",
    # a tower: mean of each channel
    "tower": """
tower (uint8[batch, height, width, 3] pixels) => (float[batch, 3] features, float[batch] calls) {
  levels = Cast<to = 1>(pixels)
  features = ReduceMean<axes = [1, 2], keepdims = 0>(levels)
  zero = Constant<value = int64 {0}>()
  calls = Gather<axis = 1>(features, zero)
}""",
}
NATIVE = {"kind": "native"}
WHOLE = {"kind": "whole", "height_px": 8, "width_px": 16, "interpolation": "bilinear"}


def column(
    name: str, output: str = "value", low: float = 0.0, high: float = 1.0, **more: Any
) -> dict[str, Any]:
    """One entry of "columns"."""
    entry = {
        "name": name,
        "output": output,
        "low": low,
        "high": high,
        "better": "high",
        "meaning": f"the {name}",
    }
    return {**entry, **more}


def measure(kind: str, columns: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """One entry of "measures"."""
    return {
        "kind": kind,
        "says": f"A {kind} for tests.",
        "columns": list(columns),
        "licence": {"weights": "CC0-1.0", "commercial_use": True},
        "training_data": "none",
        "metrics": {},
        **more,
    }


def add_graph(folder: Path, name: str) -> None:
    """Put one of `GRAPHS` into a bundle."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 17]>\n' + GRAPHS[name])
    if name == "head":
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], dtype=np.int64), "axis"))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / f"{name}.onnx")
    manifest = read_manifest(folder)
    manifest["graphs"][name] = {
        "variants": {"fp32": f"{name}.onnx"},
        "inputs": [_port(value) for value in model.graph.input],
        "outputs": [_port(value) for value in model.graph.output],
    }
    write_manifest(folder, manifest)


def add_measures(
    folder: Path, measures: Mapping[str, Any], towers: Mapping[str, Any] | None = None, core: bool = True
) -> Path:
    """Make a bundle of format 1.1 of one of 1.0: CORE as a measure, where it is there, and others after it."""
    manifest = read_manifest(folder)
    listed: dict[str, Any] = {}
    if core and "core" in manifest["graphs"]:
        rating = manifest["core"]["rating"]
        columns = [
            column("mos", "mos", -3.0, 2.0, tolerance=0.01),
            column("realness", "mos", 0.0, 100.0, line=rating, decimals=4),
        ]
        listed["core"] = measure("core", columns)
    manifest |= {"format_version": "1.1", "measures": {**listed, **measures}, "towers": dict(towers or {})}
    write_manifest(folder, manifest)
    return folder


def build_guests(source: Path, folder: Path) -> Path:
    """A bundle with a native graph, one that resizes, a head and its tower, and one that fails on black."""
    shutil.copytree(source, folder)
    for name in ("brightness", "red", "log_brightness", "tower", "head"):
        add_graph(folder, name)
    return add_measures(
        folder,
        {
            "brightness": measure("graph", [column("brightness")], graph="brightness", view=NATIVE),
            "red": measure("graph", [column("red", high=255.0, decimals=2)], graph="red", view=WHOLE),
            "darkness": measure("graph", [column("darkness", high=6.0)], graph="log_brightness", view=NATIVE),
            "sums": measure(
                "head",
                [
                    column("total", "total", 0.0, 765.0),
                    column("percent", "first", 0.0, 100.0, line={"offset": 0.0, "slope": 100 / 128}),
                ],
                tower="colours",
                graph="head",
            ),
        },
        {"colours": {"graph": "tower", "output": "features", "view": NATIVE}},
    )


def check_measure(
    engine: Engine,
    name: str,
    images: Sequence[np.ndarray],
    expected: Callable[[np.ndarray], Sequence[float]],
    atol: float,
) -> None:
    """What every measure holds: values by an independent reference, a batch equals its singles, in any order.

    `images` are of several sizes; `expected(image)` gives the columns of one.
    """
    (found,) = (each for each in engine.measures if each.name == name)
    columns = [each.name for each in found.columns]
    wanted = np.array([expected(image) for image in images])
    for order in (list(range(len(images))), list(range(len(images)))[::-1]):
        for batch_size in (1, 3, 16):
            rows = engine.score([images[i] for i in order], metrics=name, batch_size=batch_size)
            assert [row.error for row in rows] == [None] * len(images)
            values = np.array([[row[each] for each in columns] for row in rows])
            np.testing.assert_allclose(values, wanted[order], atol=atol, rtol=0)


def _port(value: onnx.ValueInfoProto) -> dict[str, Any]:
    kind = value.type.tensor_type
    names = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.UINT8: "uint8"}
    shape = [dim.dim_param or dim.dim_value for dim in kind.shape.dim]
    return {"name": value.name, "dtype": names[kind.elem_type], "shape": shape}


def manifest_text(folder: Path) -> str:
    """The manifest as it stands."""
    return json.dumps(read_manifest(folder))


SURE = {
    "interval": {"share": 0.9, "with_text": 4.0, "image_only": 16.5},
    "curves": {
        "percentile_photographs": {
            "with_text": {"x": [-0.5, 0.0, 0.25, 1.0], "y": [0.0, 35.0, 70.0, 100.0]},
            "image_only": {"x": [-0.4, 0.1, 0.3], "y": [0.0, 50.0, 100.0]},
        },
        "percentile_generated": {"any": {"x": [-0.6, 0.6], "y": [0.0, 100.0]}},
    },
    "flag_above": 0.5,
}


WORDS = ("dark", "middling", "bright")


def build_words(source: Path, folder: Path) -> Path:
    """A bundle of format 1.4 with a measure that answers in words, and ranks nothing."""
    shutil.copytree(source, folder)
    add_graph(folder, "thirds")
    word = {
        "name": "light",
        "output": "third",
        "words": list(WORDS),
        "better": "high",
        "meaning": "how bright",
    }
    thirds = measure(
        "graph", [column("share")], graph="thirds", view=NATIVE, word_columns=[word], ranks=False
    )
    add_measures(folder, {"thirds": thirds})
    write_manifest(folder, read_manifest(folder) | {"format_version": "1.4"})
    return folder


def build_sure(source: Path, folder: Path) -> Path:
    """A bundle of format 1.2 whose CORE says how sure it is; a picture brighter than 0.5 is to be distrusted."""
    shutil.copytree(source, folder)
    add_graph(folder, "brightness")
    add_measures(folder, {})
    manifest = read_manifest(folder)
    core = manifest["measures"]["core"]
    core["columns"][1]["interval"] = SURE["interval"]
    core["more_columns"] = [
        column(name, "mos", 0.0, 100.0, decimals=1, curve=curve) for name, curve in SURE["curves"].items()
    ]
    glare = column("glare", low=0.0, high=1.0, better="low", decimals=3, flag_above=SURE["flag_above"])
    manifest["measures"]["glare"] = measure("graph", [glare], graph="brightness", view=NATIVE)
    write_manifest(folder, manifest | {"format_version": "1.2"})
    return folder
