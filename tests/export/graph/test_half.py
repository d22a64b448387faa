"""fp16 and bf16 variants: values that float16 cannot hold stay float32, and bf16 is checked by its own rounding."""

from __future__ import annotations

import json

import ml_dtypes
import models
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from export.bundle import Photographs, Variants, export_bundle
from export.errors import ExportError
from export.graph.activations import largest_values
from export.graph.emulate import emulate
from export.graph.half import HALF_LIMIT, LARGE_ACTIVATION, to_half
from export.graph.model import OPSET
from export.manifest import BundleInfo
from export.parts.dream import Dream
from export.towers.clip_model import open_clip_model
from realm_engine import Engine
from realm_engine.errors import DeviceError
from realm_engine.pictures.find import find_images
from realm_engine.runtimes.devices import open_backend

SAMPLES = find_images("samples")[:1]
RNG = np.random.default_rng(5)
GAINS = [4.0, 4.0, 1e5, 1e-3, 1e-1]
X = np.abs(RNG.normal(size=(6, 8))).astype(np.float32)


def chain(gains: list[float]) -> onnx.ModelProto:
    """x [n, 8] -> MatMul, Relu, MatMul, Relu, ...: weights of unit size times a gain each."""
    nodes, weights, value = [], [], "x"
    for index, gain in enumerate(gains):
        kernel = np.abs(RNG.normal(size=(8, 8))).astype(np.float32) / 8 * np.float32(gain)
        weights.append(numpy_helper.from_array(kernel, f"w{index}"))
        nodes.append(helper.make_node("MatMul", [value, f"w{index}"], [f"m{index}"], name=f"matmul{index}"))
        nodes.append(helper.make_node("Relu", [f"m{index}"], [f"r{index}"], name=f"relu{index}"))
        value = f"r{index}"
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 8]) for name in ("x", value)]
    graph = helper.make_graph(nodes, "chain", ports[:1], ports[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def evaluate(model: onnx.ModelProto) -> np.ndarray:
    """By onnx's own evaluator, which really computes in float16; a runtime on a CPU widens it."""
    with np.errstate(all="ignore"):
        (answer,) = ReferenceEvaluator(model).run(None, {"x": X})
    return answer


@pytest.fixture(scope="module")
def steep() -> onnx.ModelProto:
    """The third layer makes values beyond float16, the next two bring them back."""
    return chain(GAINS)


def test_largest_values_are_those_of_all_inputs(steep):
    bound = largest_values(steep, [{"x": X[:2], "not an input": X}, {"x": X[2:]}])
    hidden = X
    for index, gain in enumerate(GAINS):
        hidden = hidden @ numpy_helper.to_array(steep.graph.initializer[index])
        assert bound[f"m{index}"] == pytest.approx(np.abs(hidden).max(), rel=1e-5), gain
        hidden = np.maximum(hidden, 0)


def test_a_value_that_is_not_a_number_counts_as_the_largest(steep):
    assert largest_values(steep, [{"x": np.full((1, 8), np.nan, np.float32)}])["m0"] == np.inf


def test_large_values_overflow_unless_calibration_saw_them(steep):
    expected = evaluate(steep)
    blind = to_half(ir.from_proto(steep))
    assert not np.isfinite(evaluate(ir.to_proto(blind.model))).all()
    largest = largest_values(steep, [{"x": X}])
    seen = to_half(ir.from_proto(steep), "fp16", largest)
    answer = evaluate(ir.to_proto(seen.model))
    np.testing.assert_allclose(answer, expected, rtol=5e-3)
    large = {entry.node: entry.largest for entry in seen.float32 if entry.reason == "large values"}
    # The layer that makes them, the one that reads them, and what lies between. Every other layer is float16.
    assert set(large) == {"matmul2", "relu2", "matmul3"} and seen.converted == 6
    assert all(value > LARGE_ACTIVATION for value in large.values())
    assert seen.record()["large_values"].keys() == large.keys()
    assert seen.reasons() == {"L2 norm, cosine, head": 1, "large values": 3}


def test_a_weight_beyond_float16_keeps_its_layer_in_float32():
    model = chain([1.0, 1.0])
    kernel = numpy_helper.to_array(model.graph.initializer[1]).copy()
    kernel[3, 3] = 2 * HALF_LIMIT
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(kernel, "w1"))
    half = to_half(ir.from_proto(model))
    assert [(e.node, e.largest) for e in half.float32 if e.largest] == [("matmul1", 2 * HALF_LIMIT)]
    np.testing.assert_allclose(evaluate(ir.to_proto(half.model)), evaluate(model), rtol=5e-3)


def test_an_output_that_half_and_float32_nodes_read_as_well_is_one_float32_tensor():
    """As the maps of a tower's stages are: given out, reduced in float32, and the input of the next layer."""
    model = chain([1.0, 1.0])
    model.graph.node.append(helper.make_node("ReduceMean", ["m0"], ["mean"], name="mean", keepdims=1))
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("m0", ["n", 8]), ("mean", [1, 1]))
    )
    half = ir.to_proto(to_half(ir.from_proto(model)).model)
    onnx.checker.check_model(half, full_check=True)
    names = [node.name for node in half.graph.node]
    assert len(set(names)) == len(names)
    assert [output.name for output in half.graph.output] == ["r1", "m0", "mean"]
    with np.errstate(all="ignore"):
        found, wanted = (ReferenceEvaluator(each).run(None, {"x": X}) for each in (half, model))
    for mine, its in zip(found, wanted, strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine, its, rtol=5e-3)


def test_bf16_holds_them_all(steep):
    half = to_half(ir.from_proto(steep), "bf16", largest_values(steep, [{"x": X}]))
    assert half.converted == 9 and not any(entry.largest for entry in half.float32)
    types = {tensor.data_type for tensor in ir.to_proto(half.model).graph.initializer}
    assert types == {TensorProto.BFLOAT16}


def test_the_emulation_rounds_what_bf16_hardware_would(steep):
    emulated = emulate(ir.to_proto(to_half(ir.from_proto(steep), "bf16").model), "bf16")
    onnx.checker.check_model(emulated, full_check=True)

    def rounded(array: np.ndarray) -> np.ndarray:
        return array.astype(ml_dtypes.bfloat16).astype(np.float64)

    hidden = rounded(X)
    for tensor in steep.graph.initializer:
        hidden = np.maximum(rounded(hidden @ rounded(numpy_helper.to_array(tensor))), 0)
    import onnxruntime

    session = onnxruntime.InferenceSession(emulated.SerializeToString(), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"x": X})
    np.testing.assert_allclose(answer, hidden, rtol=2**-8)  # a sum on a tie may round the other way
    assert (answer == hidden).mean() > 0.9
    assert np.abs(answer - evaluate(steep)).max() > 1e-4  # it is not float32


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("halves")
    clip = open_clip_model(str(models.native_clip(folder)), "random")
    manifest = export_bundle(
        folder / "bundle",
        BundleInfo("halves"),
        [Dream(clip)],
        Photographs(SAMPLES),
        Variants(("fp32", "fp16", "bf16")),
        report=lambda _: None,
        precision_report=folder / "new" / "report.json",
    )
    return folder, manifest


def test_the_manifest_counts_and_the_report_names_what_stays_float32(small):
    folder, manifest = small
    report = json.loads((folder / "new" / "report.json").read_text())
    for precision in ("fp16", "bf16"):
        for graph in ("dream", "clip_text"):
            record = manifest["fidelity"][precision]["graphs"][graph]
            entries = report[precision][graph]
            assert sum(record["float32_nodes"].values()) == len(entries) > 10
            assert record["half_nodes"] > 50
            kinds = {entry["reason"]: entry["operator"] for entry in entries}
            assert kinds["layer norm"] == "LayerNormalization" and kinds["softmax"] == "Softmax"
    assert "residual sum" in manifest["fidelity"]["bf16"]["graphs"]["dream"]["float32_nodes"]
    assert "residual sum" not in manifest["fidelity"]["fp16"]["graphs"]["dream"]["float32_nodes"]
    # The mask of the text tower is -1e4: float32 for what it feeds, not for its size.
    assert manifest["fidelity"]["fp16"]["graphs"]["clip_text"]["large_values"] == {}
    assert manifest["fidelity"]["bf16"]["devices"]["emulated"]["passes"]


def test_bf16_files_run_where_there_are_kernels_and_elsewhere_say_so(small):
    folder, _ = small
    with pytest.raises(DeviceError, match="ONNX Runtime has no bf16 convolutions; use --"):
        Engine.open(folder / "bundle", device="cpu", precision="bf16")
    pytest.importorskip("openvino")
    if "bf16" in open_backend("openvino").lacks:  # the processor decides, and the tests run on several
        with pytest.raises(DeviceError, match="OpenVINO cannot compute in bf16 on this processor; use --pre"):
            Engine.open(folder / "bundle", device="auto", precision="bf16")
        return
    with Engine.open(folder / "bundle", device="auto", precision="bf16") as engine:
        assert engine.describe()["device"] == "openvino"
        assert engine.map(str(SAMPLES[0]), "a seam").statistics()["std"] > 0


def test_bf16_needs_the_file_that_it_is_compared_with(tmp_path):
    clip = open_clip_model(str(models.native_clip(tmp_path)), "random")
    with pytest.raises(ExportError, match="bf16 is compared with fp32; give --precision fp32 too"):
        export_bundle(
            tmp_path / "bundle", BundleInfo("x"), [Dream(clip)], Photographs(SAMPLES), Variants(("bf16",))
        )


def test_fp16_without_photographs_says_what_it_wants_them_for(tmp_path):
    clip = open_clip_model(str(models.native_clip(tmp_path)), "random")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ExportError, match="empty: no image; fp16 is tried on photographs, give --calibration"
    ):
        export_bundle(
            tmp_path / "bundle",
            BundleInfo("x"),
            [Dream(clip)],
            Photographs(SAMPLES, tmp_path / "empty"),
            Variants(("fp16",)),
        )
