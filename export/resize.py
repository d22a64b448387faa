"""Pillow's two-pass resampler and the gather of windows, as torch arithmetic that survives the export."""

from __future__ import annotations

import torch


def round_to_byte(x: torch.Tensor) -> torch.Tensor:
    """Round half up and clip to 0..255, as Pillow stores an 8-bit intermediate; float32 in and out."""
    return torch.floor(x + 0.5).clamp(0.0, 255.0)


def resample(x: torch.Tensor, rows: torch.Tensor, cols: torch.Tensor) -> torch.Tensor:
    """Resize as Pillow does: the horizontal pass, rounded to bytes, then the vertical pass, rounded again.

    Args:
        x: float32 [..., h, w], values 0..255.
        rows: float32 [h_out, h], the vertical operator (`realm_engine.resample.resample_matrix`).
        cols: float32 [w_out, w], the horizontal operator.

    Returns:
        float32 [..., h_out, w_out], whole numbers 0..255.
    """
    horizontal = round_to_byte(torch.matmul(x, cols.transpose(0, 1)))
    return round_to_byte(torch.matmul(rows, horizontal))


def gather_windows(
    image: torch.Tensor, top: torch.Tensor, left: torch.Tensor, offsets: torch.Tensor
) -> torch.Tensor:
    """Cut square windows out of one image by index arithmetic.

    Args:
        image: float32 [H, W, 3].
        top: int64 [N], first row of every window.
        left: int64 [N], first column of every window.
        offsets: int64 [w], 0..w-1.

    Returns:
        float32 [N, 3, w, w].
    """
    rows = top.unsqueeze(1) + offsets  # [N, w]
    cols = left.unsqueeze(1) + offsets  # [N, w]
    index = rows.unsqueeze(2) * image.shape[1] + cols.unsqueeze(1)  # [N, w, w]
    # One axis of H*W pixels keeps this a plain Gather: GatherND would need twice the index memory.
    windows = torch.nn.functional.embedding(index, image.reshape(-1, 3))  # [N, w, w, 3]
    return windows.permute(0, 3, 1, 2)
