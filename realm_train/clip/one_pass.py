"""DREAM in one pass: the trunk runs once over a picture, and every window is pooled from what it gives.

A window tower that is convolutional and ends in mean and spread of its stages needs no window cut out: both are box
filters over the stages of the whole picture, as Fast R-CNN is to R-CNN (Girshick 2015). A cell of a stage counts by
the share of it that the window covers, so windows may have any size and begin anywhere.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from realm_engine.arrays import Float32, UInt8
from realm_engine.maps.windows import WindowGrid, box_shares, origins, spread_mean
from realm_train.clip.config import ONE_PASS
from realm_train.clip.judge import Mapper, window_maps
from realm_train.clip.model import Clip
from realm_train.clip.trunk import (
    POOLED_STRIDES,
    SQUEEZED_CELLS,
    LocalSqueezeExcite,
    WindowTrunk,
    spread_of,
)
from realm_train.errors import TowerError

COARSEST = max(POOLED_STRIDES)


class OnePass:
    """The image tower of a CLIP, a `WindowTrunk`, run over whole pictures."""

    def __init__(self, visual: nn.Module, normalise: Callable[[Tensor], Tensor]) -> None:
        """`normalise`: uint8 [B, H, W, 3] to what the tower takes. Raises TowerError where it sees windows alone."""
        trunk = getattr(visual, "trunk", None)
        if not isinstance(trunk, WindowTrunk):
            raise TowerError(
                "one pass over a picture needs realm-tiny's convolutional tower; this one sees windows alone"
            )
        self.trunk = trunk
        self.head: nn.Module = visual.head  # type: ignore[assignment]
        self._normalise = normalise

    def pool(self, pictures: Tensor, tops: Sequence[int], lefts: Sequence[int], window_px: int) -> Tensor:
        """Mean and spread of every window of a grid: uint8 [B, H, W, 3] -> float32 [B, rows, columns, features]."""
        pixels = self._normalise(pictures)
        height, width = pixels.shape[2:]
        pixels = F.pad(pixels, (0, -width % COARSEST, 0, -height % COARSEST), mode="replicate")
        pooled = []
        for stage, stride in zip(self.trunk.stages(pixels, local=True), POOLED_STRIDES, strict=True):
            rows, columns = (
                torch.from_numpy(box_shares(np.array(firsts), window_px, cells, stride)).to(stage.device)
                for firsts, cells in zip((tops, lefts), stage.shape[2:], strict=True)
            )
            wide = stage.float()
            mean, squares = (rows @ (each @ columns.T) for each in (wide, wide.square()))
            pooled += [mean, spread_of(squares - mean.square())]
        return torch.cat(pooled, 1).permute(0, 2, 3, 1)

    def embed(self, pooled: Tensor) -> Tensor:
        """Pooled windows float32 [..., features] -> L2-normalised embeddings float32 [..., D]."""
        embedding: Tensor = F.normalize(self.head(self.trunk.norm(pooled)).float(), dim=-1)
        return embedding


def picture_maps(clip: Clip, windows_px: Sequence[int] = (64,), stride_px: int = 8) -> Mapper:
    """Maps of similarity in one pass, as `judge.window_maps` makes them window by window."""
    tower = OnePass(clip.model.visual, clip.normalise)

    @torch.no_grad()
    def mapper(image: UInt8, texts: Sequence[str]) -> list[Float32]:
        text = clip.encode_texts(texts)
        total = np.zeros((len(texts), *image.shape[:2]))
        for side in windows_px:
            grid = WindowGrid(image.shape[0], image.shape[1], side, stride_px)
            tops, lefts = (origins(length, side, stride_px).tolist() for length in image.shape[:2])
            pooled = tower.pool(torch.tensor(image)[None], tops, lefts, side)[0]
            values = (tower.embed(pooled) @ text.T).double().cpu().numpy()
            for k in range(len(texts)):
                total[k] += spread_mean(values[..., k], grid)
        return [np.asarray(values / len(windows_px), np.float32) for values in total]

    return mapper


def maps_of(clip: Clip, windows_px: Sequence[int] = (64,), stride_px: int = 8) -> Mapper:
    """Maps of similarity by PyTorch, by the encoder that the CLIP was trained as."""
    return (picture_maps if clip.encoder == ONE_PASS else window_maps)(clip, windows_px, stride_px)


def halo_px(trunk: WindowTrunk) -> int:
    """How far beyond itself a cell of the last stage sees at most, in pixels, rounded up to whole cells."""
    reach, step = 0.0, 1
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size[0] > 1:
            beyond = (module.kernel_size[0] - 1) * step
            # TensorFlow pads a stride of 2 behind alone.
            reach += beyond if module.stride[0] > 1 else beyond / 2
            step *= module.stride[0]
        elif isinstance(module, LocalSqueezeExcite):
            reach += (SQUEEZED_CELLS - 1) / 2 * step
    return -(-int(reach) // COARSEST) * COARSEST
