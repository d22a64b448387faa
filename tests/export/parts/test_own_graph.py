"""A network of one's own as a measure: what is written, and that it answers as the network does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from command_line import run_export
from onnx import TensorProto, helper
from own_graphs import COMMAND, MEAN_LEVEL, PICTURES, SIDE, export, parsed, saved
from PIL import Image
from repository import ROOT

from export.errors import ExportError
from export.graph.wrap import wrap
from export.manifest import FORMAT_VERSION
from export.measures import View
from export.parts.graph import OwnGraph
from realm_engine.pictures.decode import load_image
from realm_engine.pictures.resample import resample_matrix

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@torch.no_grad()
def eager(module: torch.nn.Module, image: Image.Image, mean=MEAN, std=STD) -> float:
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()[None] / 255
    pixels = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    return float(module(pixels))


def as_a_host(bundle: Path, pixels: np.ndarray) -> np.ndarray:
    """The values of a bundle's only measure, as docs/bundle.md tells a host to get them."""
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    (measure,) = manifest["measures"].values()
    graph = manifest["graphs"][measure["graph"]]
    session = onnxruntime.InferenceSession(
        bundle / graph["variants"]["fp32"], providers=["CPUExecutionProvider"]
    )
    feeds = {"pixels": pixels}
    if measure["view"]["kind"] == "whole":
        for axis, name, side in ((1, "resample_rows", "height_px"), (2, "resample_cols", "width_px")):
            matrix = resample_matrix(
                pixels.shape[axis], measure["view"][side], measure["view"]["interpolation"]
            )
            feeds[name] = matrix.astype(np.float32)[None, None]
    assert {entry["name"] for entry in graph["inputs"]} == set(feeds)
    (column,) = measure["columns"]
    (values,) = session.run([column["output"]], feeds)
    assert values.dtype == np.float32 and values.shape == (len(pixels),)
    return values


@pytest.mark.parametrize("view", ["whole:64x48", "whole:64x48:bicubic", "native"])
def test_a_network_of_torch_answers_as_in_torch(network, view, tmp_path):
    module, path = network
    own = View.parse(view)
    export(tmp_path / "b", OwnGraph(path, "taste", "high", own, MEAN, STD, range=(-1, 1)))
    found, expected = [], []
    for file in PICTURES:
        picture = load_image(file)
        image = Image.fromarray(picture)
        if own.kind == "whole":
            filter = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
            for size in ((64, image.height), (64, 48)):
                image = image.resize(size, filter[own.interpolation])
        expected.append(eager(module, image))
        found.append(as_a_host(tmp_path / "b", picture[None])[0])
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_a_batch_equals_its_pictures(network, tmp_path):
    export(tmp_path / "b", OwnGraph(network[1], "taste", "high", SIDE, MEAN, STD, range=(-1, 1)))
    pictures = np.random.default_rng(0).integers(0, 256, (5, 57, 41, 3), dtype=np.uint8)
    singles = np.concatenate([as_a_host(tmp_path / "b", picture[None]) for picture in pictures])
    assert np.ptp(singles) > 1e-3
    np.testing.assert_allclose(as_a_host(tmp_path / "b", pictures), singles, atol=1e-6)


def test_the_pixels_are_pillow_s(tmp_path):
    """A "network" that gives one pixel of its input: the resize is right to the last bit, in the graph too."""
    body = """
  starts = Constant<value = int64[4] {0, 1, 3, 5}>()
  ends = Constant<value = int64[4] {9999, 2, 4, 6}>()
  pixel = Slice(x, starts, ends)
  flat = Constant<value = int64[1] {-1}>()
  y = Reshape(pixel, flat)"""
    path = saved(parsed(body, "float[N, 3, 32, 48] x"), tmp_path)
    export(tmp_path / "b", OwnGraph(path, "pixel", "high", View.parse("whole:48x32:bicubic")))
    for seed, (height, width) in enumerate([(200, 300), (32, 48), (20, 31), (33, 500)]):
        picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        image = Image.fromarray(picture).resize((48, height), Image.Resampling.BICUBIC)
        expected = np.array(image.resize((48, 32), Image.Resampling.BICUBIC))[3, 5, 1]
        assert round(float(as_a_host(tmp_path / "b", picture[None])[0]) * 255) == expected


def test_the_manifest_says_what_was_said(tmp_path):
    licence = tmp_path / "LICENCE.md"
    licence.write_text("# CC-BY-4.0\n\nText.\n")
    arguments = ["--graph", saved(parsed(MEAN_LEVEL), tmp_path), "--measure", "mean-level", "--better", "low"]
    said = ["--meaning", "mean level of all pixels", "--range", "0", "0.9", "--training-data", "none"]
    result = run_export(
        *arguments, *said, "--view", "native", "--licence", licence, "--commercial-use", "--output",
        tmp_path / "b", "--name", "levels",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "b" / "bundle.json").read_text(encoding="utf-8"))
    licence_entry = {"weights": "CC-BY-4.0", "commercial_use": True, "text": "LICENSE-WEIGHTS.md"}
    assert manifest["name"] == "levels" and manifest["format_version"] == FORMAT_VERSION
    assert manifest["measures"] == {
        "mean-level": {
            "kind": "graph",
            "graph": "mean_level",
            "view": {"kind": "native"},
            "says": "mean level of all pixels",
            "columns": [
                {
                    "name": "mean_level",
                    "output": "value",
                    "low": 0.0,
                    "high": 0.9,
                    "better": "low",
                    "decimals": 6,
                    "meaning": "mean level of all pixels",
                }
            ],
            "licence": licence_entry,
            "training_data": "none",
            "metrics": {},
        }
    }
    assert manifest["licence"] == licence_entry
    assert set(manifest["files"]) == {"mean_level.onnx", "LICENSE-WEIGHTS.md"}
    assert "core" not in manifest and "dream" not in manifest and "maps" not in manifest
    metadata = {e.key: e.value for e in onnx.load(tmp_path / "b" / "mean_level.onnx").metadata_props}
    assert metadata["realm.graph"] == "mean_level" and metadata["realm.format_version"] == FORMAT_VERSION
    assert json.loads(metadata["realm.config"]) == {
        "mean-level": {"graph": "mean_level", "view": {"kind": "native"}}
    }
    picture = np.ascontiguousarray(load_image(PICTURES[0])[:48, :64])  # a long sum of float32 drifts
    expected = picture.mean(dtype=np.float64) / 255
    assert as_a_host(tmp_path / "b", picture[None])[0] == pytest.approx(expected, abs=1e-5)


def test_names_of_the_network_may_be_ours(tmp_path):
    """Tensors called as the wrapped graph's inputs and outputs are other tensors; branches are refused."""
    x = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    y = helper.make_tensor_value_info("value", TensorProto.FLOAT, ["batch", 1])

    def branch(name: str, factor: float) -> onnx.GraphProto:
        constant = helper.make_tensor("resample_rows", TensorProto.FLOAT, [], [factor])
        node = helper.make_node("Mul", ["level", "resample_rows"], [f"{name}_out"])
        out = helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)
        return helper.make_graph([node], name, [], [out], [constant])

    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["level4"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Flatten", ["level4"], ["level"]),
        helper.make_node("ReduceMax", ["level"], ["brightest"], keepdims=0),
        helper.make_node("Greater", ["brightest", "limit"], ["bright"]),
        helper.make_node(
            "If", ["bright"], ["twice"], then_branch=branch("a", 0.5), else_branch=branch("b", 0.5)
        ),
        helper.make_node("Clip", ["twice", "", "one"], ["value"]),
    ]
    constants = [helper.make_tensor(n, TensorProto.FLOAT, [], [v]) for n, v in (("limit", 0.4), ("one", 1.0))]
    graph = helper.make_graph(nodes, "net", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    with pytest.raises(
        ExportError, match=r"'If' holds a graph of its own.*export the network without branches"
    ):
        export(tmp_path / "b", OwnGraph(saved(model, tmp_path), "half", "high", SIDE))
    (branched,) = [node for node in graph.node if node.op_type == "If"]
    half = helper.make_tensor("resample_rows", TensorProto.FLOAT, [], [0.5])
    branched.CopyFrom(helper.make_node("Mul", ["level", "resample_rows"], ["twice"]))
    graph.initializer.append(half)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    export(tmp_path / "b", OwnGraph(saved(model, tmp_path), "half", "high", SIDE))
    picture = np.full((40, 30, 3), 128, dtype=np.uint8)
    assert as_a_host(tmp_path / "b", picture[None])[0] == pytest.approx(0.5 * 128 / 255, abs=1e-5)


@pytest.mark.parametrize("opset", [8, 11, 13, 17, 21])
def test_opsets_old_and_new(opset, tmp_path):
    weights = "w = Constant<value = float[3, 1] {0.2, 0.3, 0.5}>()"
    body = f"p = GlobalAveragePool(x) m = Flatten(p) {weights} y = MatMul(m, w)"
    model = parsed(body, output="float[N, 1] y", opset=opset)
    model.ir_version = 3 if opset == 8 else 7 if opset < 15 else 10
    export(tmp_path / "b", OwnGraph(saved(model, tmp_path), "light", "high", SIDE))
    picture = np.broadcast_to(np.array([10, 100, 200], dtype=np.uint8), (1, 50, 60, 3))
    expected = (0.2 * 10 + 0.3 * 100 + 0.5 * 200) / 255
    assert as_a_host(tmp_path / "b", np.ascontiguousarray(picture))[0] == pytest.approx(expected, abs=1e-6)


def test_weights_that_are_listed_as_inputs_are_no_inputs(tmp_path):
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.25])
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, "H", "W"]),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [1]),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["m", "w"], ["y"]),
    ]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph(nodes, "old", values, [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=3)
    manifest = export(tmp_path / "b", OwnGraph(saved(model, tmp_path), "quarter", "high", View("native")))
    assert [entry["name"] for entry in manifest["graphs"]["quarter"]["inputs"]] == ["pixels"]
    picture = np.full((1, 8, 9, 3), 200, dtype=np.uint8)
    assert as_a_host(tmp_path / "b", picture)[0] == pytest.approx(0.25 * 200 / 255, abs=1e-6)


def test_nothing_in_the_file_names_the_machine_that_wrote_it(network):
    part = OwnGraph(network[1], "taste", "high", SIDE)
    brought = part.brought
    assert str(ROOT).encode() in brought.model.SerializeToString()  # torch's stack traces
    wrapped = wrap(brought, SIDE, MEAN, STD, "taste")
    assert str(ROOT).encode() not in wrapped.SerializeToString()


def test_torch_is_not_needed(tmp_path):
    """Where neither torch nor what comes with it is installed, a network still becomes a measure."""
    path = saved(parsed(MEAN_LEVEL), tmp_path)
    arguments = ["--graph", str(path), "--output", str(tmp_path / "b")]
    arguments += [word for pair in COMMAND.items() for word in pair]
    code = f"""
import sys
missing = ("torch", "transformers", "open_clip", "timm", "safetensors", "onnxscript", "onnx_ir", "sklearn", "scipy")
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
sys.argv = ["export", *{arguments!r}]
from export.__main__ import main
main()
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "b" / "own.onnx").is_file()
