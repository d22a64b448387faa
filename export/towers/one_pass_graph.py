"""DREAM in one pass as two graphs: `trunk` runs once over a picture, `windows` pools what it gives and compares.

Both are `realm_train.clip.one_pass` in a form that hosts can feed: boxes are matrices, as resizing is elsewhere, so a
host decides where windows are and the graphs hold no geometry.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn
from torch.nn import functional as F

from export.errors import ExportError
from export.graph.int8 import Feeds
from export.graph.model import Port
from export.graph.to_onnx import GraphExport
from export.towers.clip_model import ClipModel
from realm_engine.arrays import Array
from realm_engine.maps.windows import box_shares
from realm_train.clip.one_pass import COARSEST
from realm_train.clip.trunk import POOLED_STRIDES, WindowTrunk, spread_of

STRIDES = tuple(sorted(set(POOLED_STRIDES)))


class TrunkGraph(nn.Module):
    """A picture to the stages that windows are pooled from."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, trunk: WindowTrunk, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.trunk = with_plain_padding(trunk)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Pixels uint8 [H, W, 3] -> stages float32 [C, rows, columns], one for each pooled stage."""
        height, width = image.shape[:2]
        rows = torch.arange((height + COARSEST - 1) // COARSEST * COARSEST).clamp(max=height - 1)
        columns = torch.arange((width + COARSEST - 1) // COARSEST * COARSEST).clamp(max=width - 1)
        padded = image.to(torch.float32).index_select(0, rows).index_select(1, columns)
        pixels = (padded.permute(2, 0, 1)[None] / 255.0 - self.mean) / self.std
        return tuple(stage[0] for stage in self.trunk.stages(pixels, local=True))


class WindowsGraph(nn.Module):
    """Stages of a picture to the embeddings of a grid of windows, and their cosines with texts."""

    def __init__(self, trunk: WindowTrunk, head: nn.Module) -> None:
        super().__init__()
        self.norm = trunk.norm
        self.head = head

    def forward(
        self,
        stage_1: torch.Tensor,
        stage_2: torch.Tensor,
        stage_3: torch.Tensor,
        stage_4: torch.Tensor,
        down_4: torch.Tensor,
        down_8: torch.Tensor,
        down_16: torch.Tensor,
        across_4: torch.Tensor,
        across_8: torch.Tensor,
        across_16: torch.Tensor,
        text: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines float32 [R * C, K] and embeddings float32 [R * C, D], L2-normalised, row by row.

        `stage_1` to `stage_4`: what `TrunkGraph` gives. `down_4`: share of each window in each row of cells of 4
        px, float32 [R, rows of the stage]; `across_4`: the same across. `text`: float32 [K, D], L2-normalised.
        """
        boxes = {4: (down_4, across_4), 8: (down_8, across_8), 16: (down_16, across_16)}
        pooled = []
        for stage, stride in zip((stage_1, stage_2, stage_3, stage_4), POOLED_STRIDES, strict=True):
            down, across = boxes[stride]
            mean = torch.matmul(torch.matmul(down, stage), across.transpose(0, 1))
            squares = torch.matmul(torch.matmul(down, stage * stage), across.transpose(0, 1))
            pooled += [mean, spread_of(squares - mean * mean)]
        features = self.head(self.norm(torch.cat(pooled, 0).flatten(1).transpose(0, 1)))
        features = features / torch.linalg.vector_norm(features, dim=-1, keepdim=True).clamp_min(1e-12)
        return torch.matmul(features, text.transpose(0, 1)), features


@torch.no_grad()
def one_pass_feeds(
    clip: ClipModel, pictures: Sequence[Array], window_px: int, text: Array
) -> tuple[list[Feeds], list[Feeds]]:
    """Inputs of `trunk` and of `windows` for pictures uint8 [H, W, 3] and windows side by side."""
    visual: Any = clip.model.visual
    trunk = TrunkGraph(visual.trunk, clip.mean, clip.std).eval()
    feeds: list[Feeds] = []
    for picture in pictures:
        stages = {f"stage_{n}": stage.numpy() for n, stage in enumerate(trunk(torch.tensor(picture)), 1)}
        for axis, name in ((0, "down"), (1, "across")):
            length = picture.shape[axis]
            cells = -(-length // COARSEST) * COARSEST
            firsts = range(0, length - window_px + 1, window_px)
            stages |= {
                f"{name}_{px}": box_shares(np.array(firsts), window_px, cells // px, px) for px in STRIDES
            }
        feeds.append({**stages, "text": text})
    return [{"image": picture} for picture in pictures], feeds


def one_pass_exports(clip: ClipModel) -> tuple[GraphExport, GraphExport]:
    """The graphs `trunk` and `windows` of a CLIP. Raises ExportError for a tower that sees windows alone."""
    visual: Any = clip.model.visual
    trunk = getattr(visual, "trunk", None)
    if not isinstance(trunk, WindowTrunk):
        raise ExportError("one pass needs realm-tiny's convolutional tower; this CLIP sees windows alone")
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (70, 90, 3), dtype=torch.uint8, generator=generator)
    first = TrunkGraph(trunk, clip.mean, clip.std).eval()
    with torch.no_grad():
        stages = first(image)
    names = [f"stage_{number}" for number in range(1, len(stages) + 1)]
    ports = [
        Port(name, "float32", (stage.shape[0], f"rows_{stride}", f"columns_{stride}"))
        for name, stage, stride in zip(names, stages, POOLED_STRIDES, strict=True)
    ]
    trunk_graph = GraphExport(
        "trunk", first, (image,), (Port("image", "uint8", ("height", "width", 3)),), tuple(ports)
    )
    boxes = [
        tuple(
            torch.from_numpy(
                box_shares(np.array(firsts), 48, stages[POOLED_STRIDES.index(stride)].shape[axis], stride)
            )
            for stride in STRIDES
        )
        for axis, firsts in ((1, (0, 7)), (2, (0, 9, 20)))
    ]
    text = torch.nn.functional.normalize(torch.randn(2, clip.embed_dim, generator=generator), dim=-1)
    windows_graph = GraphExport(
        "windows",
        WindowsGraph(trunk, visual.head).eval(),
        (*stages, *boxes[0], *boxes[1], text),
        (
            *ports,
            *(Port(f"down_{stride}", "float32", ("rows", f"rows_{stride}")) for stride in STRIDES),
            *(Port(f"across_{stride}", "float32", ("columns", f"columns_{stride}")) for stride in STRIDES),
            Port("text", "float32", ("texts", clip.embed_dim)),
        ),
        (
            Port("similarity", "float32", ("windows", "texts")),
            Port("embedding", "float32", ("windows", clip.embed_dim)),
        ),
    )
    return trunk_graph, windows_graph


def with_plain_padding(trunk: WindowTrunk) -> WindowTrunk:
    """The trunk with TensorFlow's padding written out, for pictures of whole cells; a copy.

    It depends on the size of what is convolved, but for an even one a stride of 2 pads one pixel behind.
    """
    plain = copy.deepcopy(trunk)
    for module in list(plain.modules()):
        for name, child in module.named_children():
            if isinstance(child, Conv2dSame):
                setattr(module, name, _Padded(child))
    return plain


class _Padded(nn.Module):
    """A convolution of stride 2 and an odd kernel, padded for an even number of pixels."""

    def __init__(self, same: Any) -> None:
        super().__init__()
        kernel = same.kernel_size[0]
        if tuple(same.stride) != (2, 2) or tuple(same.kernel_size) != (kernel, kernel) or kernel % 2 == 0:
            raise ExportError(f"no padding is known for {same}")
        self.padding = ((kernel - 2) // 2, (kernel - 1) // 2) * 2
        self.convolution = nn.Conv2d(
            same.in_channels, same.out_channels, kernel, 2, groups=same.groups, bias=same.bias is not None
        )
        self.convolution.load_state_dict(same.state_dict())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        convolved: torch.Tensor = self.convolution(F.pad(x, self.padding))
        return convolved
