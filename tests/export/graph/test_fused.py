"""Files of ONNX Runtime's own operators for a device: the same function, and the engine takes them there alone."""

from __future__ import annotations

import json

import models
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from export.bundle import Photographs, Variants, export_bundle
from export.errors import ExportError
from export.graph.emulate import emulate
from export.graph.fused import fuse
from export.graph.half import OWN_DOMAIN, to_half
from export.manifest import BundleInfo
from export.parts.core import Core
from export.parts.dream import Dream
from export.towers.clip_model import open_clip_model
from realm_engine import Engine
from realm_engine.bundle.bundle import MANIFEST, Bundle
from realm_engine.errors import BundleError
from realm_engine.pictures.find import find_images
from realm_engine.pictures.resample import resample_matrix_float32
from realm_engine.verbs.info import bundle_facts
from realm_engine.verbs.verify import verify_bundle

SAMPLES = find_images("samples")[:1]
FILE = "dream.fp16.cuda.onnx"


@pytest.fixture(scope="module", params=[False, True], ids=["gelu", "quick-gelu"])
def dream(request, tmp_path_factory) -> onnx.ModelProto:
    folder = tmp_path_factory.mktemp("clip")
    clip = open_clip_model(str(models.native_clip(folder, quick_gelu=request.param)), "random")
    return next(graph for graph in Dream(clip).graphs() if graph.name == "dream").model()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fused")
    clip = open_clip_model(str(models.native_clip(folder)), "random")
    core = models.small_core(models.text_tower(folder / "text"))
    manifest = export_bundle(
        folder / "bundle",
        BundleInfo("fused"),
        [Core(core), Dream(clip)],
        Photographs(SAMPLES),
        Variants(("fp32", "fp16"), fused_for=("cuda",)),
        report=lambda _: None,
    )
    return folder / "bundle", manifest


def embeddings(model: onnx.ModelProto) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    sizes = {entry.name: entry.shape for entry in session.get_inputs()}
    feeds = {
        "image": np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8),
        "top": np.array([0, 11, 26]),
        "left": np.array([3, 50, 7]),
        "resample": resample_matrix_float32(64, sizes["resample"][0], "bicubic"),
        "text": np.eye(2, sizes["text"][1], dtype=np.float32),
    }
    (found,) = session.run(["embedding"], feeds)
    return found


def test_every_block_is_fused_and_no_number_changes(dream):
    model, counts = fuse(dream)
    blocks = sum(node.op_type == "Softmax" for node in dream.graph.node)
    assert blocks > 1
    # The last block has one query alone, which is not what Attention computes.
    assert counts["Attention"] + counts["MultiHeadAttention"] == blocks and counts["MultiHeadAttention"] == 1
    assert counts["SkipLayerNormalization"] == 2 * blocks
    assert counts.get("BiasGelu", counts.get("QuickGelu")) == blocks
    assert not any(node.op_type == "Softmax" for node in model.graph.all_nodes())
    fused = ir.to_proto(model)
    onnx.checker.check_model(fused)
    np.testing.assert_allclose(embeddings(fused), embeddings(dream), atol=2e-6)


def test_it_is_half_throughout(dream):
    half = to_half(fuse(dream)[0], "fp16", norms=True)
    plain = to_half(ir.from_proto(dream), "fp16")
    casts = [sum(node.op_type == "Cast" for node in each.model.graph) for each in (half, plain)]
    assert casts[0] <= 4 < casts[1]
    assert set(half.reasons()) == {"preprocessing", "reduction", "L2 norm, cosine, head"}
    own = [node for node in half.model.graph if node.domain == OWN_DOMAIN]
    assert own and all(node.outputs[0].dtype == ir.DataType.FLOAT16 for node in own)
    emulated = embeddings(emulate(ir.to_proto(half.model), "fp16"))
    cosine = (emulated * embeddings(dream)).sum(axis=1)
    assert 0.999 < cosine.min() < 1.0001 and (emulated != embeddings(dream)).any()


def test_a_graph_of_convolutions_has_nothing_to_fuse(tmp_path):
    core = models.small_core(models.text_tower(tmp_path / "text"))
    assert fuse(Core(core).graphs()[0].model())[1] == {}


def test_the_bundle_has_a_file_for_the_device_and_the_engine_takes_it_there(exported):
    folder, manifest = exported
    assert manifest["graphs"]["dream"]["devices"] == {"cuda": {"fp16": FILE}}
    assert "devices" not in manifest["graphs"]["core"]  # convolutions
    bundle = Bundle.open(folder)
    assert bundle.path("dream", "fp16", "cuda") == folder / FILE
    for precision, device in (("fp16", "cpu"), ("fp32", "cuda"), ("fp16", None)):
        assert bundle.path("dream", precision, device) == folder / bundle.graphs["dream"].variants[precision]
    record = manifest["fidelity"]["fp16"]["devices"]
    assert record["emulated cuda"]["passes"] and record["cpu"]["passes"]
    assert record["emulated cuda"]["dream"] != record["cpu"]["dream"]  # another file was judged
    checks = {check.name: check for check in verify_bundle(folder, "cpu", 1)}
    assert checks["graph dream fp16 for cuda"].ok and all(check.ok for check in checks.values()), checks
    assert bundle_facts(folder)["graphs"]["dream"]["fp16 for cuda"]["file"] == FILE
    with Engine.open(folder, device="cpu", precision="fp16") as engine:  # the portable file
        assert engine.map(str(SAMPLES[0]), "a seam").statistics()["std"] > 0


def test_a_file_for_a_device_is_checked_like_any_other(exported, tmp_path):
    folder, manifest = exported
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))
    manifest["graphs"]["dream"]["devices"] = {"cuda": {"fp16": "../outside.onnx"}}
    (copy / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(BundleError, match="leaves the bundle"):
        Bundle.open(copy)
    manifest["graphs"]["dream"]["devices"] = {"cuda": {"fp16": "other.onnx"}}
    (copy / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(BundleError, match=r"does not list 'other\.onnx'"):
        Bundle.open(copy)


def test_it_is_compared_with_fp32_so_both_are_needed(tmp_path):
    with pytest.raises(ExportError, match=r"--fused-for cuda makes fp16 files, .* --precision fp16 too"):
        Variants(("fp32",), fused_for=("cuda",))
