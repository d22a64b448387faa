"""Pillow's two-pass resampler and the gather of windows, as torch arithmetic that survives the export."""

from __future__ import annotations

import torch

HALF = 2048.0  # 2^11: half of the 22 bits of Pillow's coefficients


def round_to_byte(x: torch.Tensor) -> torch.Tensor:
    """Round half up and clip to 0..255, as Pillow stores an 8-bit intermediate; float32 in and out."""
    return torch.floor(x + 0.5).clamp(0.0, 255.0)


def resample(x: torch.Tensor, rows: torch.Tensor, cols: torch.Tensor) -> torch.Tensor:
    """Resize as Pillow does: the horizontal pass, rounded to bytes, then the vertical pass, rounded again.

    Args:
        x: float32 [..., h, w], values 0..255.
        rows: float32 [h_out, h], the vertical operator (`realm_engine.pictures.resample.resample_matrix`).
        cols: float32 [w_out, w], the horizontal operator.

    Returns:
        float32 [..., h_out, w_out], whole numbers 0..255.
    """
    horizontal = round_to_byte(torch.matmul(x, cols.transpose(0, 1)))
    return round_to_byte(torch.matmul(rows, horizontal))


def resample_exactly(x: torch.Tensor, rows: torch.Tensor, cols: torch.Tensor) -> torch.Tensor:
    """`resample`, but equal to Pillow in every pixel, in float32, for two products per pass instead of one.

    Pillow sums integers: pixels times coefficients in units of 2^-22, 30 bits, of which float32 holds 24.
    Coefficients are therefore split into a high and a low half of 11 bits, whose sums are exact in float32
    (for filters of up to 32 taps: windows beyond 1700 px are shrunk as exactly as by `resample`).
    """
    rows_high, rows_low = _halves(rows)
    cols_high, cols_low = _halves(cols)
    across = (torch.matmul(x, half.transpose(0, 1)) for half in (cols_high, cols_low))
    horizontal = _join(*across)
    return _join(torch.matmul(rows_high, horizontal), torch.matmul(rows_low, horizontal))


def _halves(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Coefficients c as whole numbers h and l with c = (h * 2^11 + l) / 2^22 and 0 <= l < 2^11."""
    units = torch.floor(matrix * (HALF * HALF) + 0.5)
    high = torch.floor(units / HALF)
    return high, units - high * HALF


def _join(high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """floor((high * 2^11 + low) / 2^22 + 1/2), clipped to 0..255; every step is exact in float32."""
    return torch.floor((high + torch.floor(low / HALF) + HALF / 2) / HALF).clamp(0.0, 255.0)


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
