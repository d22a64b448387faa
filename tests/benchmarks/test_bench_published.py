"""The benchmarks' published loop and batches against the reference of the tests, on a small seeded tower."""

from __future__ import annotations

import random

import numpy as np
import pytest
import reference
import torch
from bundles import _wordpiece
from PIL import Image

from benchmarks.cases import (
    GRIDS,
    HEIGHT,
    WIDTH,
    Descriptions,
    count,
    described_images,
    image_files,
    picture,
    thin,
)
from benchmarks.eager import TorchCore, TorchDream
from benchmarks.models import CoreModel, DreamModel, UnavailableError, load_folded
from benchmarks.peak import gflop
from benchmarks.published import Preprocess
from benchmarks.settings import CACHE, SAMPLES, Settings
from benchmarks.suites.dream import _call
from realm_engine.maps.realness_map import DreamConfig

SETTINGS = Settings((), (), (), (), True, CACHE, 1, 0, 1, SAMPLES, CACHE)
SIZE, MEAN, STD = 16, (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)


@pytest.fixture(scope="module")
def model() -> DreamModel:
    torch.manual_seed(5)
    tower = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 4, 4), torch.nn.GELU(), torch.nn.Flatten(), torch.nn.Linear(96, 8)
    )
    text = torch.nn.functional.normalize(torch.randn(8), dim=0)
    return DreamModel(tower.eval(), lambda _: text, Preprocess(SIZE, "bicubic", MEAN, STD), plain=True)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (50, 61, 3), dtype=np.uint8)


@pytest.mark.parametrize("batched", [False, True])
def test_maps(model, image, batched):
    runner = TorchDream(model, "text", "cpu", "fp32", batched)
    runner.tower.batch = 7
    encode, text = model.tower, model.embed("text")
    released = reference.released_map(encode, text, image, SIZE, MEAN, STD, 16, 9)
    ours = runner.map(image, DreamConfig((16,), 9))
    covered = released != 0
    assert np.abs(np.where(covered, 1 - released, 0) - ours).max() < 1e-5
    paper = reference.paper_map(encode, text, image, SIZE, MEAN, STD, (32, 16), 6)
    ours = runner.map(image, DreamConfig((32, 16), 6, "max"))
    covered = ours != 0  # the reference counts an uncovered pixel of a scale as 0, which never wins here
    assert np.abs(paper - ours)[covered].max() < 1e-5
    assert covered.mean() > 0.9


def test_a_sample_is_windows_of_the_grid(model, image):
    runner = TorchDream(model, "text", "cpu", "fp32", batched=False)
    config = DreamConfig((32, 16), 6)
    every = {
        round(value, 5)
        for window in config.windows_px
        for value in reference.window_similarities(
            model.tower, model.embed("text"), image, window, 6, SIZE, MEAN, STD
        ).values()
    }
    found = runner.sample(image, config, 12, np.random.default_rng(0))
    assert len(found) == 12
    assert {round(value, 5) for value in found} <= every


def test_half_precision_by_cast_and_by_autocast(model, image):
    full = TorchDream(model, "text", "cpu", "fp32", True).map(image, DreamConfig((16,), 9))
    for plain in (True, False):
        half = DreamModel(model.tower, model.embed, model.preprocess, plain)
        values = TorchDream(half, "text", "cpu", "bf16", True).map(image, DreamConfig((16,), 9))
        assert 0 < np.abs(values - full).max() < 0.05
    assert next(model.tower.parameters()).dtype == torch.float32  # the original is never cast


def test_tuning_chooses_a_batch(model):
    runner = TorchDream(model, "text", "cpu", "fp32", True)
    runner.tune(quick=True, convolutional=True)
    assert runner.tower.batch == 33
    assert f"batches of {runner.tower.batch}" in runner.how


class SmallCore(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cnn = torch.nn.Conv2d(3, 4, 8, 8)
        self.bert = torch.nn.Embedding(400, 4)

    def forward(self, pixels, ids, mask):
        words = (self.bert(ids) * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        return (self.cnn(pixels).mean((2, 3)) * words).sum(1)


def test_scores_in_batches_are_those_one_by_one(tmp_path):
    torch.manual_seed(0)
    model = CoreModel(SmallCore().eval(), _wordpiece(), 24, 32, "bilinear", 12, 0, plain=True)
    paths, texts = image_files(tmp_path, 5, 0), Descriptions(0)(5)
    single = TorchCore(model, "cpu", "fp32", batched=False).score(paths, texts)
    runner = TorchCore(model, "cpu", "fp32", batched=True)
    runner.tower.batch = 3
    assert runner.score(paths, texts) == pytest.approx(single, abs=1e-5)
    with Image.open(paths[0]) as file:
        pixels = reference.core_pixels(np.array(file), 24, 32) / 255
    ids = model.tokenizer.encode(texts[0]).ids
    ids = torch.tensor([ids if len(ids) <= 12 else [*ids[:11], ids[-1]]])
    with torch.no_grad():
        assert single[0] == pytest.approx(float(model.module(pixels, ids, torch.ones_like(ids))), abs=1e-5)


def test_folded_weights_come_back():
    torch.manual_seed(1)
    trained = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 2, 1)
    )
    torch.nn.init.normal_(trained[1].running_mean)
    trained[1].running_var.uniform_(0.5, 2)
    trained.eval()
    scale = trained[1].weight / (trained[1].running_var + trained[1].eps).sqrt()
    stored = {
        "x.0.weight": trained[0].weight * scale.view(-1, 1, 1, 1),
        "x.0.weight_bias": trained[1].bias - trained[1].running_mean * scale,
        "x.2.weight": trained[2].weight,
        "x.2.bias": trained[2].bias,
    }
    other = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 2, 1)
    )
    load_folded(other.eval(), stored, "x.")
    pixels = torch.rand(2, 3, 9, 9)
    with torch.no_grad():
        assert torch.allclose(other(pixels), trained(pixels), atol=1e-5)
    del stored["x.2.bias"]
    with pytest.raises(UnavailableError, match=r"x\.2\.bias"):
        load_folded(other, stored, "x.")


def test_flops_of_a_product_and_of_attention():
    linear = torch.nn.Linear(30, 20)
    assert gflop(linear, torch.rand(7, 30)) == pytest.approx(2 * 7 * 30 * 20 / 1e9)
    attention = torch.nn.MultiheadAttention(16, 2, batch_first=True).eval()

    class SelfAttention(torch.nn.Module):
        def forward(self, x):
            return attention(x, x, x, need_weights=False)[0]

    tokens, width = 10, 16
    products = 4 * tokens * width * width + 2 * tokens * tokens * width
    assert gflop(SelfAttention(), torch.rand(1, tokens, width)) == pytest.approx(2 * products / 1e9)


def test_grids_are_the_published_counts():
    for windows, config in GRIDS.items():
        assert count(config, HEIGHT, WIDTH) == windows
    image = picture()
    assert image.shape == (384, 512, 3)
    assert thin(GRIDS[2337], 3000) == GRIDS[2337]
    assert thin(GRIDS[2337], 165) == GRIDS[165]
    assert count(thin(GRIDS[26227], 500), HEIGHT, WIDTH) <= 500
    assert count(thin(GRIDS[26227], 1), HEIGHT, WIDTH) == 3  # one of each scale


def test_inputs_are_seeded_and_never_repeat(tmp_path):
    assert Descriptions(1)(50) == Descriptions(1)(50)
    descriptions = Descriptions(2)
    assert len({*descriptions(100), *descriptions(100)}) == 200
    first = [path.read_bytes() for path in image_files(tmp_path / "a", 10, 4)]
    random.seed(9)
    assert first == [path.read_bytes() for path in image_files(tmp_path / "b", 10, 4)]
    assert len(set(first)) == 10
    assert described_images(tmp_path) == []


@pytest.mark.parametrize("affordable", [1, 5, 11, 100])
def test_a_sample_is_never_more_than_there_is(model, image, affordable):
    """Seconds are scaled by all windows over measured ones, so a count that is too high makes a loop look fast."""
    runner = TorchDream(model, "text", "cpu", "fp32", batched=False)
    runner.tower.batch, seen = 4, []
    model.tower.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    config = DreamConfig((32,), 12)
    (grid,) = config.grids(*image.shape[:2])
    call, measured = _call(runner, image, config, affordable, False, SETTINGS)
    seen.clear()
    call()
    model.tower._forward_hooks.clear()
    assert measured == sum(seen) == min(grid.count, max(4, affordable // 4 * 4))
