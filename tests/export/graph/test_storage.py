"""Stored weights and float16 variants: what is in the files, and how far they are off."""

from __future__ import annotations

import hashlib

import models
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from export.graph.half import to_half
from export.graph.model import count_nodes, serialize
from export.graph.shared import DIGEST, sharing
from export.graph.to_onnx import GraphExport, tidy, to_onnx
from export.graph.weights import STORAGES, quantise, store
from export.parts.dream import dream_export
from export.towers.clip_model import open_clip_model
from export.towers.clip_text import clip_text_export
from realm_engine.bundle.onnx_file import external_locations, read_interface

FLOAT, HALF, INT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return open_clip_model(str(models.native_clip(tmp_path_factory.mktemp("clip"))), "random")


@pytest.fixture(scope="module")
def graphs(clip) -> dict[str, tuple[GraphExport, ir.Model]]:
    exports = [clip_text_export(clip), dream_export(clip)]
    return {export.name: (export, tidy(to_onnx(export))) for export in exports}


def copy(model: ir.Model) -> ir.Model:
    return ir.from_proto(ir.to_proto(model))


def run(export: GraphExport, model: ir.Model, optimise: bool = True) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(serialize(model, {}), options, providers=["CPUExecutionProvider"])
    feeds = {port.name: tensor.numpy() for port, tensor in zip(export.inputs, export.example, strict=True)}
    return session.run(None, feeds)[0]


@torch.no_grad()
def eager(export: GraphExport) -> np.ndarray:
    answer = export.module(*export.example)
    return (answer[0] if isinstance(answer, tuple) else answer).numpy()


@pytest.mark.parametrize("name", ["clip_text", "dream"])
def test_graph_equals_the_module(graphs, name):
    export, model = graphs[name]
    np.testing.assert_allclose(run(export, model), eager(export), atol=2e-6)


@pytest.mark.parametrize(("name", "norms"), [("clip_text", 5), ("dream", 6)])
def test_norms_and_softmax_are_single_nodes(graphs, name, norms):
    model = graphs[name][1]
    assert count_nodes(model, "LayerNormalization") == norms  # two per layer, and one after; ViT: also before
    assert count_nodes(model, "Softmax") == 2
    assert count_nodes(model, "GatherND") == (1 if name == "clip_text" else 0)  # the end token's features
    for op in ("Erf", "ReduceMean", "IsNaN", "ScatterND", "If", "Loop"):
        assert count_nodes(model, op) == 0
    assert model.opset_imports[""] == 20


def test_gelu_is_a_single_node(tmp_path):
    clip = open_clip_model(str(models.native_clip(tmp_path, size=64, quick_gelu=False)), "random")
    model = tidy(to_onnx(dream_export(clip)))
    assert count_nodes(model, "Gelu") == 2
    assert count_nodes(model, "Sigmoid") == 0


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", ["clip_text", "dream"])
def test_masks_are_finite(graphs, name, precision):
    model = graphs[name][1]
    model = to_half(copy(model)).model if precision == "fp16" else model
    for value in model.graph.initializers.values():
        array = value.const_value.numpy()
        assert array.dtype.kind != "f" or (np.isfinite(array).all() and array.min() >= -1e4)


def test_files_hold_no_trace_of_this_machine(graphs):
    for _, model in graphs.values():
        data = serialize(model, {"realm.graph": "x"})
        assert b"site-packages" not in data and b".py" not in data
        assert data == serialize(copy(model), {"realm.graph": "x"})


@pytest.mark.parametrize("storage", [s for s in STORAGES if s != "fp32"])
@pytest.mark.parametrize("name", ["clip_text", "dream"])
def test_stored_weights(graphs, name, storage):
    export, master = graphs[name]
    model = copy(master)
    counts = store(model, storage, name)
    data = serialize(model, {})
    assert len(data) < 0.56 * len(serialize(master, {}))
    text = name == "clip_text"
    assert counts["int8_rows"] == (1 if text and storage != "fp16" else 0)
    assert (counts["int8_channels"] > 8) == (text and storage == "int8-text")
    cosine = (run(export, model) * eager(export)).sum(axis=1) if text else None
    if cosine is not None:
        assert cosine.min() > (0.9999 if storage == "fp16" else 0.999)
    else:
        assert np.abs(run(export, model) - eager(export)).max() < 5e-4
    # Folding weights at load must not change an answer.
    np.testing.assert_allclose(run(export, model), run(export, model, optimise=False), atol=5e-6)


def test_embedding_table_is_gathered_before_it_is_dequantised(graphs, tmp_path):
    model = copy(graphs["clip_text"][1])
    store(model, "int8-embeddings", "clip_text")
    file, optimised = tmp_path / "in.onnx", tmp_path / "out.onnx"
    file.write_bytes(serialize(model, {}))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(optimised)
    onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    tensors = {t.name: t for t in onnx.load(optimised).graph.initializer}
    tables = [t for t in tensors.values() if list(t.dims) == [49408, 64]]
    assert [t.data_type for t in tables] == [INT8]
    # Every linear weight was turned to float32 once, at load.
    assert all(t.data_type == FLOAT for t in tensors.values() if len(t.dims) == 2 and t.dims[0] == 64)


def test_quantise_is_within_half_a_step():
    weights = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    weights[3] = 0
    for axis in (0, 1):
        codes, scale = quantise(weights, axis)
        assert codes.dtype == np.int8
        assert np.abs(codes * scale - weights).max() <= (scale / 2 * 1.0001).max()
        assert (np.abs(codes * scale - weights) <= scale / 2 * 1.0001).all()


@pytest.mark.parametrize("name", ["clip_text", "dream"])
def test_half_variant(graphs, name):
    export, master = graphs[name]
    half = to_half(copy(master))
    model = half.model
    assert half.converted > 20
    assert np.abs(run(export, model) - eager(export)).max() < 2e-3
    proto = onnx.shape_inference.infer_shapes(ir.to_proto(model), strict_mode=True, data_prop=True)
    types = {v.name: v.type.tensor_type.elem_type for v in [*proto.graph.value_info, *proto.graph.input]}
    types |= {t.name: t.data_type for t in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type in ("LayerNormalization", "Softmax", "ReduceL2", "Floor"):
            assert types[node.input[0]] == FLOAT, node.op_type
    tensors = {t.name: t for t in proto.graph.initializer}
    weighted = [n for n in proto.graph.node if n.op_type in ("Conv", "Gemm", "MatMul", "Gather")]
    weights = [tensors[i] for n in weighted for i in n.input if i in tensors and len(tensors[i].dims) > 1]
    assert len(weights) >= 9 and all(t.data_type == HALF for t in weights)
    ports = [*proto.graph.input, *proto.graph.output]
    assert all(port.type.tensor_type.elem_type != HALF for port in ports)


def test_half_variant_resizes_in_float32(graphs):
    model = to_half(copy(graphs["dream"][1])).model
    before_encoder = True
    for node in model.graph:
        before_encoder = before_encoder and node.op_type != "Conv"
        if before_encoder and node.op_type in ("MatMul", "Mul", "Div", "Floor", "Clip"):
            assert all(value.dtype != ir.DataType.FLOAT16 for value in node.inputs), node
    assert not before_encoder


@pytest.mark.parametrize("name", ["clip_text", "dream"])
def test_a_half_variant_reads_its_weights_out_of_the_float32_file_that_stores_them(graphs, name, tmp_path):
    export, master = graphs[name]
    full = copy(master)
    store(full, "fp16", name)
    (tmp_path / "full.onnx").write_bytes(serialize(full, {}))
    alone = serialize(to_half(copy(master)).model, {})
    shared = sharing(alone, tmp_path / "full.onnx")
    assert len(shared) < 0.2 * len(alone)
    (tmp_path / "half.onnx").write_bytes(shared)
    feeds = {port.name: tensor.numpy() for port, tensor in zip(export.inputs, export.example, strict=True)}
    found, expected = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
        for model in (str(tmp_path / "half.onnx"), alone)
    )
    np.testing.assert_array_equal(found, expected)
    assert external_locations(tmp_path / "half.onnx") == {"full.onnx"}
    digest = hashlib.sha256((tmp_path / "full.onnx").read_bytes()).hexdigest()
    assert read_interface(tmp_path / "half.onnx").metadata == {DIGEST: digest}


def test_a_file_that_shares_little_stays_by_itself(graphs, tmp_path):
    (tmp_path / "full.onnx").write_bytes(serialize(graphs["dream"][1], {}))
    half = serialize(to_half(copy(graphs["dream"][1])).model, {})
    assert sharing(half, tmp_path / "full.onnx") == half
