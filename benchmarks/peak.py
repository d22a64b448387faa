"""What the machine can do at most, measured in the same run, and how much arithmetic a model has."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

# Rows x inner x columns of the largest products: 32 windows of 50 tokens through ViT-B's MLP, 16 texts of 128
# tokens through BERT's, a ResNet stage as the product that its 3 x 3 convolution is.
SHAPES = {
    "ViT-B MLP": (1600, 768, 3072),
    "BERT MLP": (2048, 768, 3072),
    "ResNet 3 x 3": (12288, 1152, 128),
}


def gflop(module: nn.Module, *inputs: Tensor) -> float:
    """GFLOP of one forward pass, a multiply-add counted as two, by torch's counter."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fused attention is one operator that is not counted
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            module(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return float(counter.get_total_flops()) / 1e9


def measure_peaks(device: str, half: str, seconds: float = 0.6) -> dict[str, Any]:
    """GFLOP/s (GOP/s for int8) of matrix products by torch, the best of a few tries for each shape.

    Returns:
        {"fp32": best of all shapes, half: ..., "int8": ..., "shapes": {shape: {precision: value}}};
        a precision in which torch has no product here is absent.
    """
    shapes: dict[str, dict[str, float]] = {}
    best: dict[str, Any] = {}
    for name, (m, k, n) in SHAPES.items():
        for precision in ("fp32", half, "int8"):
            try:
                rate = _rate(_product(m, k, n, precision, device), 2 * m * k * n / 1e9, device, seconds)
            except (RuntimeError, NotImplementedError, AttributeError):
                continue
            shapes.setdefault(name, {})[precision] = rate
            best[precision] = max(best.get(precision, 0.0), rate)
    return {**best, "shapes": shapes}


def _product(m: int, k: int, n: int, precision: str, device: str) -> Callable[[], object]:
    if precision == "int8":
        a = torch.randint(-127, 127, (m, k), dtype=torch.int8, device=device)
        b = torch.randint(-127, 127, (k, n), dtype=torch.int8, device=device)
        return lambda: torch._int_mm(a, b)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    x, weight = torch.randn(m, k, dtype=dtype, device=device), torch.randn(n, k, dtype=dtype, device=device)
    return lambda: nn.functional.linear(x, weight)


def _rate(call: Callable[[], object], work: float, device: str, seconds: float) -> float:
    fastest = float("inf")
    with torch.inference_mode():
        call()
        _synchronise(device)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            before = time.perf_counter()
            call()
            _synchronise(device)
            fastest = min(fastest, time.perf_counter() - before)
    return work / fastest


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
