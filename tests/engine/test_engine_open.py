"""Opening a bundle: what is chosen, what is said of it, and what is shared."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from bundles import build_bundle, read_manifest, write_manifest

from realm_engine import DreamConfig, Engine
from realm_engine.errors import BundleError, DeviceError


def test_describe_and_the_log_line_name_what_answers(bundle_path, caplog):
    with (
        caplog.at_level(logging.INFO, "realm_engine"),
        Engine.open(bundle_path, device="cpu", threads=1) as engine,
    ):
        described = engine.describe()
    assert described["device"] == "cpu"
    assert described["runtime"].startswith("ONNX Runtime 1.")
    assert described["precision"] == "fp32"
    assert described["bundle"] == "test-bundle"
    assert described["weights"] == "random (seed 0)"
    json.dumps(described)
    (line,) = [record.getMessage() for record in caplog.records]
    for word in ("cpu", "ONNX Runtime", "fp32", "test-bundle"):
        assert word in line


def test_an_explicit_precision_runs_its_own_file(bundle_path, engine, photo):
    with Engine.open(bundle_path, device="cpu", precision="fp16", threads=1) as half:
        assert half.describe()["precision"] == "fp16"
        # the fp16 files of the test bundle hold the same weights
        assert half.score([photo()])[0].mos == pytest.approx(engine.score([photo()])[0].mos, abs=1e-5)
        assert {file for file, *_ in half._main.sessions._opened} == {"core.fp16.onnx"}


def test_a_precision_the_bundle_lacks_names_those_it_has(bundle_path):
    with pytest.raises(BundleError, match="test-bundle: no int8 variant; this bundle has fp32, fp16"):
        Engine.open(bundle_path, device="cpu", precision="int8")


def test_prefer_fp16_says_what_was_chosen(bundle_path, caplog):
    with Engine.open(bundle_path, device="cpu", precision="prefer-fp16", threads=1) as engine:
        assert engine.describe()["precision"] == "fp32"
    assert "device cpu has no fast fp16 path: running core in fp32, dream in fp32" in caplog.text


def test_the_manifest_may_recommend_a_precision_for_a_device(tmp_path):
    path = build_bundle(tmp_path / "b", fp16=True)
    write_manifest(path, read_manifest(path) | {"recommended_precision": {"cpu": "fp16"}})
    with Engine.open(path, device="cpu", threads=1) as engine:
        assert engine.describe()["precision"] == "fp16"


def test_a_part_without_the_precision_asked_for_says_so_when_used(tmp_path, photo):
    path = build_bundle(tmp_path / "b", fp16=True)
    manifest = read_manifest(path)
    del manifest["graphs"]["dream"]["variants"]["fp16"]
    del manifest["graphs"]["core_text"]["variants"]["fp16"]  # a text tower may stay in fp32
    write_manifest(path, manifest)
    with Engine.open(path, device="cpu", precision="fp16", threads=1) as engine:
        assert engine.score([photo()], ["yes"])[0].error is None
        with pytest.raises(BundleError, match="dream is not there in fp16, only in fp32"):
            engine.map(photo(), "x")


def test_graphs_that_name_one_file_share_a_session(tmp_path, photo):
    path = build_bundle(tmp_path / "b")
    import onnx
    from onnx import compose

    towers = [onnx.load(path / f"{name}.onnx") for name in ("core_text", "clip_text")]
    for tower in towers:
        del tower.metadata_props[:]
    both = compose.merge_models(
        compose.add_prefix(towers[0], "core/"), compose.add_prefix(towers[1], "clip/"), io_map=[]
    )
    rename = {
        "core/input_ids": "input_ids",
        "clip/input_ids": "input_ids",
        "core/attention_mask": "attention_mask",
    }
    rename |= {"core/text_features": "text_features", "clip/text_embedding": "text_embedding"}
    for node in both.graph.node:
        node.input[:] = [rename.get(name, name) for name in node.input]
        node.output[:] = [rename.get(name, name) for name in node.output]
    values = [*both.graph.input, *both.graph.output]
    for value in values:
        value.name = rename.get(value.name, value.name)
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = dim.dim_param.split("/")[-1]
    del both.graph.input[2:]
    onnx.save(both, path / "text.onnx")
    for name in ("core_text", "clip_text"):
        (path / f"{name}.onnx").unlink()
    manifest = read_manifest(path)
    for name in ("core_text", "clip_text"):
        manifest["graphs"][name]["variants"] = {"fp32": "text.onnx"}
        manifest["graphs"][name]["inputs"] = manifest["graphs"]["core_text"]["inputs"]
    write_manifest(path, manifest)
    apart = build_bundle(tmp_path / "apart")
    with (
        Engine.open(path, device="cpu", threads=1) as shared,
        Engine.open(apart, device="cpu", threads=1) as separate,
    ):
        assert shared.score([photo()], ["yes"]) == separate.score([photo()], ["yes"])
        config = DreamConfig((16,), 8)
        np.testing.assert_array_equal(
            shared.map(photo(), "a", config).values, separate.map(photo(), "a", config).values
        )
        assert sorted(file for file, *_ in shared._main.sessions._opened) == [
            "core.onnx",
            "dream.onnx",
            "text.onnx",
        ]


def test_a_closed_engine_says_so(bundle_path, photo):
    engine = Engine.open(bundle_path, device="cpu", threads=1)
    engine.map(photo(), "x", DreamConfig((16,), 8))
    engine.close()
    with pytest.raises(DeviceError, match="the engine is closed"):
        engine.map(photo(), "x", DreamConfig((16,), 8))
    with pytest.raises(DeviceError, match="the engine is closed"):
        engine.score([photo()])


def test_an_unknown_bundle(tmp_path: Path):
    with pytest.raises(BundleError, match="not found"):
        Engine.open("no-such-bundle")
