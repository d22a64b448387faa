"""The graphs of one pass against the tower that is trained, on pictures of any size and any grid of windows."""

from __future__ import annotations

import models
import numpy as np
import onnxruntime
import pytest
import torch

from export.errors import ExportError
from export.towers.clip_model import ClipModel, open_clip_model
from export.towers.one_pass_graph import STRIDES, one_pass_exports
from realm_engine.maps.windows import box_shares
from realm_train.clip.model import Clip
from realm_train.clip.one_pass import OnePass


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> tuple[Clip, ClipModel]:
    """realm-tiny's architecture with random weights and statistics: as trained, and as exported."""
    folder = tmp_path_factory.mktemp("one-pass")
    return models.window_clip(folder), open_clip_model(str(folder / "run"))


@pytest.fixture(scope="module")
def sessions(clips) -> tuple[onnxruntime.InferenceSession, onnxruntime.InferenceSession]:
    trunk, windows = (
        onnxruntime.InferenceSession(graph.model().SerializeToString(), providers=["CPUExecutionProvider"])
        for graph in one_pass_exports(clips[1])
    )
    return trunk, windows


@pytest.mark.parametrize(
    ("height", "width", "window", "stride"),
    [(100, 150, 64, 8), (64, 64, 64, 8), (33, 47, 24, 5), (128, 161, 128, 4), (96, 112, 32, 16)],
)
def test_windows_of_a_picture_are_those_of_the_tower(clips, sessions, height, width, window, stride):
    clip, _ = clips
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    tops, lefts = (range(0, length - window + 1, stride) for length in (height, width))
    text = torch.nn.functional.normalize(
        torch.randn(3, 16, generator=torch.Generator().manual_seed(1)), dim=1
    )
    with torch.no_grad():
        tower = OnePass(clip.model.visual, clip.normalise)
        expected = tower.embed(tower.pool(torch.from_numpy(image)[None], tops, lefts, window)).flatten(0, 2)

    trunk, windows = sessions
    stages = trunk.run(None, {"image": image})
    feeds = {output.name: stage for output, stage in zip(trunk.get_outputs(), stages, strict=True)}
    for stride_px in STRIDES:
        cells = [-(-length // 16) * 16 // stride_px for length in (height, width)]
        feeds[f"down_{stride_px}"] = box_shares(np.array(tops), window, cells[0], stride_px)
        feeds[f"across_{stride_px}"] = box_shares(np.array(lefts), window, cells[1], stride_px)
    similarity, embedding = windows.run(["similarity", "embedding"], {**feeds, "text": text.numpy()})
    np.testing.assert_allclose(embedding, expected, atol=2e-5)
    np.testing.assert_allclose(similarity, expected @ text.T, atol=2e-5)


def test_a_tower_of_windows_alone_is_refused(tmp_path):
    clip = open_clip_model(str(models.native_clip(tmp_path)), "random")
    with pytest.raises(ExportError, match="sees windows alone"):
        one_pass_exports(clip)
