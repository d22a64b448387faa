"""`python -m export --precision int8`: a small CLIP from configuration to maps, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import ROOT, SMALL_CLIP, run_export

from export.bundle import Photographs, Variants, export_bundle
from export.errors import ExportError
from export.manifest import BundleInfo
from export.parts.dream import Dream
from export.towers.clip_model import open_clip_model
from realm_engine import DreamConfig, Engine
from realm_engine.verbs import fidelity

SAMPLES = ROOT / "samples"


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.json"
    path.write_text(json.dumps(SMALL_CLIP), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def bundle(config, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("bundles") / "small"
    clip = ["--clip", config, "--clip-weights", "random", "--output", output]
    result = run_export(*clip, "--precision", "fp32", "--precision", "int8")
    assert result.returncode == 0, result.stderr
    assert "int8 on cpu against fp32: map Pearson 0.99" in result.stdout
    return output


def test_files_and_record(bundle):
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    assert manifest["graphs"]["dream"]["variants"] == {"fp32": "dream.onnx", "int8": "dream.int8.onnx"}
    assert manifest["graphs"]["clip_text"]["variants"] == {"fp32": "clip_text.onnx"}  # a small share: float32
    record = manifest["fidelity"]["int8"]
    assert record["gates"] == {"map_pearson": 0.99, "srocc_change": 0.005, "srocc": 0.995}
    cpu = record["devices"]["cpu"]
    assert cpu["passes"] and cpu["runtime"].startswith("ONNX Runtime") and "core" not in cpu
    assert cpu["dream"]["map_pearson_min"] >= 0.99
    assert cpu["dream"]["images"] == 4 and cpu["dream"]["windows"] >= 600 and cpu["dream"]["texts"] >= 6
    made = record["graphs"]["dream"]
    assert made["layers"] >= 4 and made["weight_bits"] in (7, 8) and made["multiplications"] >= 0.5
    for entry in manifest["fidelity"].values():  # every record of a device says whether it passes
        assert all(isinstance(device["passes"], bool) for device in entry.get("devices", {}).values())


def test_native_modes_are_recorded_where_the_machine_has_them(bundle):
    openvino = pytest.importorskip("openvino")
    fidelity = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["fidelity"]
    assert fidelity["int8"]["devices"]["openvino"]["dream"]["map_pearson_min"] > 0.98
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert "bf16" not in fidelity
        return
    assert fidelity["bf16"]["native"] is True
    assert fidelity["bf16"]["gates"]["map_pearson"] == 0.999
    assert fidelity["bf16"]["devices"]["openvino"]["dream"]["image_cosine_min"] > 0.99


def test_the_engine_maps_in_int8(bundle):
    image = SAMPLES / "flower.jpg"
    text, config = "The petals melt into the background.", DreamConfig((64,), 16)
    maps = {}
    for precision in ("fp32", "int8"):
        with Engine.open(bundle, device="cpu", precision=precision, threads=1) as engine:
            maps[precision] = engine.map(image, text, config).values
            assert engine.describe()["precision"] == precision
    covered = np.isfinite(maps["fp32"])
    ours, theirs = maps["int8"][covered], maps["fp32"][covered]
    assert 0 < np.abs(ours - theirs).max() < 0.05
    assert np.corrcoef(ours, theirs)[0, 1] >= 0.99


def test_the_file_says_what_it_is(bundle):
    model = onnx.load(bundle / "dream.int8.onnx")
    onnx.checker.check_model(model)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["realm.graph"] == "dream"
    before = onnx.load(bundle / "dream.onnx")
    assert [value.name for value in model.graph.input] == [value.name for value in before.graph.input]
    tensors = {tensor.name for tensor in model.graph.initializer}
    used = {name for node in model.graph.node for name in node.input}
    assert tensors <= used  # no float32 weights left over


def test_refusals(config, tmp_path):
    (tmp_path / "empty").mkdir()
    clip = ["--clip", config, "--clip-weights", "random", "--output", tmp_path / "b"]
    for arguments, expected in (
        (["--precision", "int8"], "give --precision fp32 too"),
        (["--precision", "fp32", "--precision", "int8", "--int8-part", "core"], "leave --int8-part out"),
        (
            ["--precision", "fp32", "--precision", "int8", "--calibration-images", tmp_path / "empty"],
            "--calibration-images",
        ),
    ):
        result = run_export(*clip, *arguments)
        lines = result.stderr.strip().splitlines()
        assert result.returncode == 2 and len(lines) == 1, result.stdout + result.stderr
        assert lines[0].startswith("error: ") and expected in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_missed_gate_leaves_no_bundle(config, tmp_path, monkeypatch):
    monkeypatch.setattr(fidelity, "INT8_GATES", dataclasses.replace(fidelity.INT8_GATES, map_pearson=1.0))
    clip = open_clip_model(str(config), "random")
    images = sorted(SAMPLES.glob("*.jpg"))[:1]
    with pytest.raises(ExportError, match=r"int8 on ONNX Runtime .*: dream: map Pearson") as error:
        export_bundle(
            tmp_path / "b",
            BundleInfo("b"),
            [Dream(clip)],
            Photographs(images, SAMPLES),
            Variants(("fp32", "int8")),
            report=lambda _: None,
        )
    assert "no bundle was written" in str(error.value) and "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
