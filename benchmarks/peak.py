"""What the machine can do at most, measured in the same run, and how much arithmetic a model has."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
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

    On a CPU int8 is also tried as ONNX Runtime's MatMulInteger, and the better of the two counts: torch's
    product of int8 matrices is slower than bf16 on some processors, which would make a poor ceiling.

    Returns:
        {"fp32": best of all shapes, half: ..., "int8": ..., "shapes": {shape: {precision: value}}};
        a precision in which torch has no product here is absent.
    """
    shapes: dict[str, dict[str, float]] = {}
    best: dict[str, Any] = {}
    for name, (m, k, n) in SHAPES.items():
        found = shapes.setdefault(name, {})
        products: list[tuple[str, Callable[[int, int, int], Callable[[], object]]]] = [
            (precision, partial(_product, precision, device)) for precision in ("fp32", half, "int8")
        ]
        if device == "cpu":
            products.append(("int8", _onnx_int8))
        for precision, build in products:
            try:
                rate = _rate(build(m, k, n), 2 * m * k * n / 1e9, device, seconds)
            except Exception:  # no such product in this build or on this device
                continue
            found[precision] = max(found.get(precision, 0.0), rate)
            best[precision] = max(best.get(precision, 0.0), rate)
    return {**best, "shapes": shapes}


def _onnx_int8(m: int, k: int, n: int) -> Callable[[], object]:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(0)
    weight = numpy_helper.from_array(draw.integers(-127, 127, (k, n), dtype=np.int8), "weight")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["rows", "weight"], ["product"])],
        "peak",
        [helper.make_tensor_value_info("rows", TensorProto.UINT8, [m, k])],
        [helper.make_tensor_value_info("product", TensorProto.INT32, [m, n])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rows = {"rows": draw.integers(0, 255, (m, k), dtype=np.uint8)}
    return lambda: session.run(None, rows)


def _product(precision: str, device: str, m: int, k: int, n: int) -> Callable[[], object]:
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
