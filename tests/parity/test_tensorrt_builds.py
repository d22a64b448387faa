"""Exported towers of the real architectures become engines of TensorRT-RTX, ahead of time, for two architectures.

CI builds a CLIP with a ViT of two layers, and a CORE with a ResNet-18 and a two-layer BERT: the same operators in the
same order as in ViT-B/32, ResNet-50 and BERT-base. These themselves, random weights, take ten minutes:

    REALM_FULL_SIZE=1 python -m pytest tests/parity/test_tensorrt_builds.py
"""

from __future__ import annotations

import os
from pathlib import Path

import models
import pytest
import torch

from export.bundle import export_bundle
from export.clip_model import open_clip_model
from export.core_source import core_source
from export.manifest import BundleInfo
from realm_engine.building import build_all, plan_builds
from realm_engine.bundle import Bundle
from realm_train.core.checkpoint import LoadedCore
from realm_train.core.config import CoreConfig, CoreModelConfig
from realm_train.core.model import build_core

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*.jpg"))
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
    config = CoreModelConfig(
        image_tower="resnet18",
        text_tower=str(text),
        image_height_px=96,
        image_width_px=128,
        max_tokens=40,
        text_pooling="pooler",
        hidden=24,
    )
    torch.manual_seed(3)
    model, tower = build_core(config, text_weights="pretrained", text_folder=str(text))
    core = core_source(LoadedCore(model, CoreConfig(model=config), tower.tokenizer, text))
    clip = open_clip_model(str(models.native_clip(folder)), "random")
    output = folder / "small"
    export_bundle(
        output, BundleInfo("small"), core, clip, SAMPLES[:1], ("fp32", "fp16"), report=lambda _: None
    )
    return output


def build_everything(bundle: Path | str, precision: str, files: int) -> None:
    work = plan_builds(str(bundle), "tensorrt-rtx", precision, ARCHITECTURES)
    assert len(work.recipes) == 2 * files
    results = list(build_all(work))
    assert [result.error for result in results] == [None] * len(results)
    assert all(result.new and result.size_bytes > 10_000 for result in results)
    assert {result.precision for result in results} == {precision}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_small_towers_build(small, precision):
    build_everything(small, precision, files=4)


@pytest.mark.skipif("REALM_FULL_SIZE" not in os.environ, reason="ten minutes; REALM_FULL_SIZE=1 runs it")
@pytest.mark.parametrize("model", ["vitb32", "resnet-bert"])
def test_full_size_towers_build(model, tmp_path_factory):
    from benchmarks.models import MODELS, export

    exported = export(MODELS[model], tmp_path_factory.mktemp("full"), say=print)
    for precision in Bundle.open(exported.bundle).precisions(MODELS[model].parts[0]):
        if precision in ("fp32", "fp16"):
            build_everything(exported.bundle, precision, files=2)
