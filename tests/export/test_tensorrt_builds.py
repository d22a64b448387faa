"""Exported towers become engines of TensorRT-RTX, ahead of time, for two architectures.

Small towers (a ViT of two layers, ResNet-18, a two-layer BERT) in every precision, proved by the export; and
ViT-B/32, ResNet-50 and BERT-base themselves with random weights, of which only the files are written: their proof
would take ten minutes, and `benchmarks` makes it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
import torch
from repository import ROOT

from export.bundle import Photographs, Variants, export_bundle
from export.files import Work, write_files
from export.graph.int8 import to_int8
from export.manifest import BundleInfo, read_manifest, write_manifest
from export.parts.core import Core
from export.parts.dream import Dream
from export.proof.calibration import calibration_pictures, windows_study
from export.towers.clip_model import open_clip_model
from export.towers.core_source import CoreSource, core_source
from realm_engine import Engine
from realm_engine.verbs.build import build_all, plan_builds
from realm_train.core.config import CoreConfig, CoreModelConfig
from realm_train.core.loaded import LoadedCore
from realm_train.core.model import build_core

SAMPLES = sorted((ROOT / "samples").glob("*.jpg"))
ARCHITECTURES = "sm_89,sm_120"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path))


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A bundle of small towers in both precisions."""
    folder = tmp_path_factory.mktemp("towers")
    text = models.text_tower(folder / "text")
    core = models.small_core(text, text_pooling="pooler", hidden=24)
    clip = open_clip_model(str(models.native_clip(folder)), "random")
    output = folder / "small"
    export_bundle(
        output,
        BundleInfo("small"),
        [Core(core), Dream(clip)],
        Photographs(SAMPLES[:1]),
        Variants(("fp32", "fp16")),
        report=lambda _: None,
    )
    return output


@pytest.fixture(scope="module")
def small_dream(tmp_path_factory) -> Path:
    """DREAM of small towers in bf16, and in int8 for TensorRT."""
    folder = tmp_path_factory.mktemp("dream")
    clip = open_clip_model(str(models.native_clip(folder)), "random")
    output = folder / "small-dream"
    export_bundle(
        output,
        BundleInfo("small-dream"),
        [Dream(clip)],
        Photographs(SAMPLES[:1], SAMPLES[0].parent),
        Variants(("fp32", "bf16", "int8"), int8_for="tensorrt"),
        report=lambda _: None,
    )
    return output


def build_everything(
    bundle: Path | str,
    precision: str,
    files: int,
    architectures: str = ARCHITECTURES,
    texts: str | None = None,
) -> None:
    """Build all files; `texts`: the precision of text towers where it is another."""
    work = plan_builds(str(bundle), "tensorrt-rtx", precision, architectures)
    assert len(work.recipes) == len(architectures.split(",")) * files
    results = list(build_all(work))
    assert [result.error for result in results] == [None] * len(results)
    assert all(result.new and result.size_bytes > 10_000 for result in results)
    built = {("text" in result.model, result.precision) for result in results}
    assert built == {(True, texts or precision), (False, precision)}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_small_towers_build(small, precision):
    build_everything(small, precision, files=4)


def test_a_convolution_in_bfloat16_builds(small_dream):
    build_everything(small_dream, "bf16", files=2)


def test_int8_around_zero_builds_and_the_other_kind_says_what_to_do(small_dream):
    work = plan_builds(str(small_dream), "tensorrt-rtx", "int8", ARCHITECTURES)
    results = {(built.model, built.arch): built.error for built in build_all(work)}
    assert set(results.values()) == {None} and len(results) == 4
    for_cpu = small_dream.parent / "for-cpu"
    shutil.copytree(small_dream, for_cpu)
    pictures = calibration_pictures(SAMPLES[0].parent)
    study = windows_study(pictures[:1], [64], 224, "bicubic", np.eye(2, 32, dtype=np.float32))
    master = onnx.shape_inference.infer_shapes(onnx.load(str(small_dream / "dream.onnx")), data_prop=True)
    made = to_int8(master, study, "dream", lambda _: None)
    onnx.save(made.model, str(for_cpu / "dream.int8.onnx"))
    write_manifest(for_cpu, read_manifest(for_cpu))
    work = plan_builds(str(for_cpu), "tensorrt-rtx", "int8", "sm_89")
    errors = [built.error for built in build_all(work) if built.error]
    assert (
        len(errors) == 1
        and "takes int8 around zero alone" in errors[0]
        and "--int8-for tensorrt" in errors[0]
    )


def full_size_core(folder: Path) -> CoreSource:
    """ResNet-50 and BERT-base as published, random weights."""
    config = CoreModelConfig(text_tower=str(models.bert_base(folder)))
    torch.manual_seed(0)
    model, tower = build_core(config, text_folder=config.text_tower)
    return core_source(LoadedCore(model, CoreConfig(model=config), tower.tokenizer, Path(config.text_tower)))


FULL_SIZE = [("dream", "fp32"), ("core", "fp16")]
if os.environ.get("REALM_FUZZ") == "long":  # each takes a minute
    FULL_SIZE += [("dream", "fp16"), ("core", "fp32")]


@pytest.mark.parametrize(("part", "precision"), FULL_SIZE)
def test_full_size_towers_build(part, precision, tmp_path):
    bundle = tmp_path / part
    bundle.mkdir()
    if part == "core":
        parts = [Core(full_size_core(tmp_path / "bert"))]
    else:
        parts = [Dream(open_clip_model("ViT-B-32-quickgelu", "random"))]
    work = Work(Variants(tuple(dict.fromkeys(("fp32", precision)))))
    manifest, _ = write_files(bundle, BundleInfo(part), parts, work, lambda _: None)
    write_manifest(bundle, manifest)
    del parts
    architecture = dict(zip(("fp32", "fp16"), ARCHITECTURES.split(","), strict=True))[precision]
    build_everything(bundle, precision, 2, architecture)


def test_the_embedded_default_builds_in_fp16():
    """Its files of half precision keep their weights in those of float32."""
    with (
        Engine.open(device="cpu", precision="fp16") as half,
        Engine.open(device="cpu", precision="fp32") as full,
    ):
        scores = [engine.score(SAMPLES[0], "a seam runs through the wall")[0].mos for engine in (half, full)]
    assert scores[0] == pytest.approx(scores[1], abs=0.01) and scores[0] != scores[1]
    build_everything("realm-tiny", "fp16", files=5, texts="fp32")
