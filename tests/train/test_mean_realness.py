"""The metric for training loops, with the real torchmetrics: its mean, its copies, and two processes that share it."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection

from realm_engine import Engine, EngineOptions
from realm_engine.errors import AnswerError, ImageTypeError, ImageValueError, UsageError
from realm_train.mean_realness import MeanRealness


@pytest.fixture
def images(photo) -> torch.Tensor:
    """uint8 [5, 3, 40, 56]."""
    return torch.from_numpy(np.stack([photo(40, 56, seed) for seed in range(5)])).permute(0, 3, 1, 2)


@pytest.fixture
def options(bundle_path) -> EngineOptions:
    return EngineOptions(bundle_path, device="cpu", threads=1)


@pytest.fixture
def scores(engine: Engine, images) -> list[float]:
    return [row.mos for row in engine.score([image.permute(1, 2, 0).numpy() for image in images])]


def test_the_mean_of_all_updates(options, images, scores):
    metric = MeanRealness(options, column="mos")
    assert metric.higher_is_better is None
    metric.update(images[:2])
    assert metric(images[2:]) == pytest.approx(np.mean(scores[2:]), abs=1e-6)  # forward: of this batch alone
    assert metric.compute() == pytest.approx(np.mean(scores), abs=1e-6)
    assert metric.compute().dtype == torch.float32 and metric.higher_is_better is True
    metric.reset()
    metric.update(images[:1])
    assert metric.compute() == pytest.approx(scores[0], abs=1e-6)
    metric.close()
    metric.update(images[1:2])
    assert metric.compute() == pytest.approx(np.mean(scores[:2]), abs=1e-6)


def test_descriptions_and_floats(options, engine, images):
    texts = ["melted", None, "a doubled hand", None, None]
    expected = np.mean([row.mos for row in engine.score(images, texts, layout="NCHW")])
    metric = MeanRealness(options, "mos", normalize=True)
    metric.update(images.float() / 255, texts)
    assert metric.compute() == pytest.approx(expected, abs=1e-6)


def test_the_column_is_the_realness_of_the_embedded_bundle(images):
    metric = MeanRealness()
    metric.update(images[:1])
    assert 0 <= float(metric.compute()) <= 100
    expected = metric.engine().score(images[:1], layout="NCHW")[0].realness
    assert metric.compute() == pytest.approx(expected, rel=1e-6)


def test_copies_keep_the_state_and_open_engines_of_their_own(options, images, scores):
    metric = MeanRealness(options, "mos")
    metric.update(images[:2])
    for copy in (metric.clone(), pickle.loads(pickle.dumps(metric))):
        copy.update(images[2:])
        assert copy.compute() == pytest.approx(np.mean(scores), abs=1e-6)
        assert copy.engine() is not metric.engine()
    together = MetricCollection({"realness": metric})
    together.update(images[2:])
    assert together.compute()["realness"] == pytest.approx(np.mean(scores), abs=1e-6)


def test_mistakes_are_named(options, images):
    metric = MeanRealness(options)
    with pytest.raises(ImageValueError, match="expected uint8"):
        metric.update(images.float())
    with pytest.raises(ImageValueError, match="does not fit layout NCHW"):
        metric.update(images[0])
    with pytest.raises(ImageTypeError):
        metric.update("a.png")
    with pytest.raises(ImageValueError, match="values 0 to 255, expected 0 to 1"):
        MeanRealness(options, normalize=True).update(torch.tensor([0.0, 255.0]).expand(1, 3, 8, 2))
    with pytest.raises(ImageValueError, match="expected floats"):
        MeanRealness(options, normalize=True).update(images)
    with pytest.raises(UsageError, match="no column 'niqe' to average, only mos"):
        MeanRealness(options, column="niqe").update(images)
    with pytest.raises(UsageError, match="descriptions"):
        metric.update(images, ["one"])
    assert torch.isnan(MeanRealness(options).compute())


def test_a_picture_without_a_number_is_an_error_and_counts_for_nothing(options, images):
    metric = MeanRealness(options)
    metric.update(images[:1])
    before = metric.compute()
    big = torch.zeros((1, 3, 1, 100_001), dtype=torch.uint8)
    with pytest.raises(AnswerError, match=r"no realness .*a side beyond"):
        metric.update(big)
    assert float(metric.total / metric.count) == pytest.approx(float(before), abs=1e-6)


@pytest.mark.slow
def test_two_processes_share_one_mean(options, images, scores, tmp_path):
    """torchrun's own launcher and gloo: each process sees another part, both compute the mean of all."""
    torch.save(images, tmp_path / "images.pt")
    (tmp_path / "part.py").write_text(
        textwrap.dedent("""
        import sys, torch, torch.distributed as dist
        from pathlib import Path
        from realm_engine import EngineOptions
        from realm_train.mean_realness import MeanRealness
        dist.init_process_group("gloo")
        rank = dist.get_rank()
        images = torch.load(sys.argv[2])
        metric = MeanRealness(EngineOptions(sys.argv[1], device="cpu", threads=1), column="mos")
        metric.update(images[:4] if rank == 0 else images[4:])
        Path(sys.argv[2]).with_name(f"rank{rank}").write_text(f"{float(metric.compute()):.9f} {int(metric.count)}")
        dist.destroy_process_group()
        """)
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(tmp_path / "part.py"), str(options.bundle), str(tmp_path / "images.pt")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    said = [(tmp_path / name).read_text().split() for name in ("rank0", "rank1")]
    assert all(float(mean) == pytest.approx(np.mean(scores), abs=1e-5) for mean, _ in said)
    assert [count for _, count in said] == ["4", "1"]  # its own again after the sync
