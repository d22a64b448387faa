"""A bundle of format 1.4 with a measure of every kind, and its answers by plain ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
from bundles import (
    CHANNELS,
    CORE_FEATURES,
    CORE_SIZE,
    Reference,
    build_bundle,
    interface,
    read_manifest,
    write_manifest,
)
from onnx import numpy_helper

from realm_engine.pictures.resample import resample_matrix

SIZE = (20, 28)  # height, width of what "light" looks at
# In the order of the columns of all measures that a host can compute.
CORE_COLUMNS = ("mos", "realness", "realness_low", "realness_high", "place")
COLUMNS = (*CORE_COLUMNS, "brightness", "contrast", "sharpness", "real", "unreal", "guess")
WORDS = ("made", "unsure", "taken")  # of `guess`
# Of `realness`, and of `place`: with a text, and for the picture alone. A picture brighter than BRIGHT is flagged.
HALF_WIDTH = (7.25, 30.0)
CURVE = (((-0.2, 0.0, 0.2), (0.0, 40.0, 100.0)), ((-0.1, -0.05, 0.0, 0.1), (0.0, 10.0, 70.0, 100.0)))
BRIGHT = 0.3
_OF_LICENCE = {
    "licence": {"weights": "CC0-1.0", "commercial_use": True},
    "training_data": "none",
    "metrics": {},
}
_GRAPHS = {
    "light": f"""
light (uint8[batch, height, width, 3] pixels, float[{SIZE[0]}, height] resample_rows,
       float[{SIZE[1]}, width] resample_cols) => (float[batch] value, float[batch, 1] spread) {{
  levels = Cast<to = 1>(pixels)
  planes = Transpose<perm = [0, 3, 1, 2]>(levels)
  cols_t = Transpose<perm = [1, 0]>(resample_cols)
  wide = MatMul(planes, cols_t)
  small = MatMul(resample_rows, wide)
  value = ReduceMean<axes = [1, 2, 3], keepdims = 0>(small)
  highest = ReduceMax<axes = [1, 2, 3], keepdims = 0>(small)
  range = Sub(highest, value)
  spread = Unsqueeze(range, last)
}}""",
    "edges": """
edges (uint8[batch, height, width, 3] pixels) => (float[batch] value) {
  levels = Cast<to = 1>(pixels)
  left = Slice(levels, from_start, before_end, axis)
  right = Slice(levels, from_second, end, axis)
  step = Sub(left, right)
  size = Abs(step)
  value = ReduceMean<axes = [1, 2, 3], keepdims = 0>(size)
}""",
    "judge": f"""
judge (float[batch, {CHANNELS}] pooled) => (float[batch] real, float[batch, 1] unreal, float[batch] guess) {{
  logit = MatMul(pooled, direction)
  unreal = Sigmoid(logit)
  rest = Sub(one, unreal)
  real = Squeeze(rest, last)
  above = Greater(rest, limits)
  steps = Cast<to = 1>(above)
  guess = ReduceSum<keepdims = 0>(steps, last)
}}""",
    "broken": f"""
broken (float[batch, {CHANNELS}] pooled) => (float[batch] value) {{
  total = ReduceSum<keepdims = 0>(pooled, last)
  below = Sub(zero, total)
  shifted = Sub(below, one)
  value = Sqrt(shifted)
}}""",
    "mute": f"""
mute (float[batch, {CHANNELS}] pooled) => (float[batch] place) {{
  total = ReduceSum<keepdims = 0>(pooled, last)
  place = Sigmoid(total)
}}""",
}


def _column(
    name: str, output: str, low: float, high: float, better: str = "high", **more: Any
) -> dict[str, Any]:
    meaning = f"what {name} means"
    return {
        "name": name,
        "output": output,
        "low": low,
        "high": high,
        "better": better,
        "meaning": meaning,
        **more,
    }


def _word_column(name: str, output: str) -> dict[str, Any]:
    return {
        "name": name,
        "output": output,
        "words": list(WORDS),
        "better": "high",
        "meaning": f"what {name} means",
    }


def _measure(kind: str, columns: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"kind": kind, "says": f"A measure of the kind {kind}.", "columns": columns, **_OF_LICENCE, **more}


def measured_bundle(folder: Path, *, broken: bool = False, core: bool = True) -> Path:
    """A bundle with measures of every kind, and of kinds and views that nobody knows yet.

    With `broken` the heads "lost" and "mute" are there too: the answer of one is NaN, that of the other lies
    between two words. Without `core` there is neither CORE nor DREAM.
    """
    build_bundle(folder, core=core, dream=core)
    manifest = read_manifest(folder)
    rng = np.random.default_rng(3)
    constants: dict[str, Any] = {
        "last": np.array([1]), "axis": np.array([2]), "from_start": np.array([0]), "before_end": np.array([-1]),
        "from_second": np.array([1]), "end": np.array([2**31]), "one": np.float32(1), "zero": np.float32(0),
        "limits": np.array([0.68, 0.9], np.float32),
        "direction": (2 * rng.normal(size=(CHANNELS, 1))).astype(np.float32),
    }  # fmt: skip
    names = ["light", "edges", *(["judge", "broken", "mute"] if core else [])]
    for name in names:
        model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 17]>\n' + _GRAPHS[name])
        used = {each for node in model.graph.node for each in node.input}
        model.graph.initializer.extend(
            numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items() if key in used
        )
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(folder / f"{name}.onnx"))
        manifest["graphs"][name] = {
            "variants": {"fp32": f"{name}.onnx"},
            "inputs": interface(model.graph.input),
            "outputs": interface(model.graph.output),
        }
    measures: dict[str, Any] = {}
    if core:
        model = onnx.load(folder / "core.onnx")
        pooled = onnx.helper.make_tensor_value_info("pooled", onnx.TensorProto.FLOAT, ["batch", CHANNELS])
        model.graph.output.append(pooled)
        onnx.save(model, str(folder / "core.onnx"))
        manifest["graphs"]["core"]["outputs"] = interface(model.graph.output)
        rating = {"offset": 50.0, "slope": 400.0}  # steep: some ratings meet the limits
        interval = {"share": 0.9, **dict(zip(("with_text", "image_only"), HALF_WIDTH, strict=True))}
        points = [{"x": list(x), "y": list(y)} for x, y in CURVE]
        curve = dict(zip(("with_text", "image_only"), points, strict=True))
        measures["core"] = _measure(
            "core",
            [
                _column("mos", "mos", -3, 2, decimals=6, tolerance=0.01),
                _column("realness", "mos", 0, 100, line=rating, decimals=4, interval=interval),
            ],
            more_columns=[_column("place", "mos", 0, 100, decimals=1, curve=curve)],
        )
    measures["light"] = _measure(
        "graph",
        [
            _column("brightness", "value", 0, 1, line={"offset": 0.0, "slope": 1 / 255}, flag_above=BRIGHT),
            _column("contrast", "spread", 0, 255, decimals=2),
        ],
        graph="light",
        view={"kind": "whole", "height_px": SIZE[0], "width_px": SIZE[1], "interpolation": "bicubic"},
    )
    measures["edges"] = _measure(
        "graph", [_column("sharpness", "value", 0, 255)], graph="edges", view={"kind": "native"}
    )
    if core:
        columns = [_column("real", "real", 0, 1), _column("unreal", "unreal", 0, 1, "low")]
        measures["judge"] = _measure(
            "head",
            columns,
            tower="core",
            graph="judge",
            word_columns=[_word_column("guess", "guess")],
        )
        measures["tiled"] = _measure("head", [_column("tiles", "real", 0, 1)], tower="tiles", graph="judge")
        manifest["towers"] = {
            "core": {
                "graph": "core",
                "output": "pooled",
                "view": {"kind": "whole", **manifest["core"]["image"]},
            },
            "tiles": {"graph": "core", "output": "pooled", "view": {"kind": "tiles", "size_px": 8}},
        }  # fmt: skip
        if broken:
            measures["lost"] = _measure(
                "head", [_column("loss", "value", 0, 1)], tower="core", graph="broken"
            )
            measures["mute"] = _measure(
                "head",
                [_column("doubt", "place", 0, 1)],
                tower="core",
                graph="mute",
                word_columns=[_word_column("silence", "place")],
            )
    measures["scenes"] = {"kind": "statistics", "of": "another world"}
    write_manifest(folder, manifest | {"format_version": "1.4", "measures": measures})
    return folder


def expected(folder: Path, image: np.ndarray, text: str | None) -> dict[str, float | str]:
    """Columns of every measure that a host can compute, of one picture: graphs run alone by ONNX Runtime."""

    def run(graph: str, outputs: list[str], **feeds: np.ndarray) -> list[float]:
        session = onnxruntime.InferenceSession(
            str(folder / f"{graph}.onnx"), providers=["CPUExecutionProvider"]
        )
        return [np.asarray(value).reshape(-1) for value in session.run(outputs, feeds)]

    def resized(height: int, width: int, interpolation: str) -> dict[str, np.ndarray]:
        sides = zip(("rows", "cols"), image.shape[:2], (height, width), strict=True)
        return {
            f"resample_{side}": resample_matrix(own, wanted, interpolation).astype(np.float32)
            for side, own, wanted in sides
        }

    features = np.zeros(CORE_FEATURES) if text is None else Reference().text_features(text)
    (mos,), pooled = run(
        "core",
        ["mos", "pooled"],
        pixels=image[None],
        text_features=features[None].astype(np.float32),
        has_text=np.array([text is not None], np.float32),
        **{name: matrix[None, None] for name, matrix in resized(*CORE_SIZE, "bilinear").items()},
    )
    (value,), (spread,) = run("light", ["value", "spread"], pixels=image[None], **resized(*SIZE, "bicubic"))
    ((edges,),) = run("edges", ["value"], pixels=image[None])
    (real,), (unreal,), (guess,) = run("judge", ["real", "unreal", "guess"], pooled=pooled[None])
    rating = float(np.clip(50 + 400 * mos, 0, 100))
    own = 1 if text is None else 0
    ends = (np.clip(rating + sign * HALF_WIDTH[own], 0, 100) for sign in (-1, 1))
    place = np.interp(mos, *CURVE[own])
    values = (mos, rating, *ends, place, np.clip(value / 255, 0, 1), spread, edges, real, unreal)
    return dict(zip(COLUMNS, (*map(float, values), WORDS[int(guess)]), strict=True))
