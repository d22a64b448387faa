"""Names of devices and precisions."""

from __future__ import annotations

from enum import StrEnum


class Precision(StrEnum):
    """What a graph computes in. `bits`: the more, the closer to the reference, which is fp32."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"

    @property
    def bits(self) -> int:
        """Bits of a number."""
        return int("".join(filter(str.isdigit, self.value)))


class Device(StrEnum):
    """Where to compute; `auto` is the fastest that works by a rule that was measured."""

    AUTO = "auto"
    CUDA = "cuda"
    CPU = "cpu"
    OPENVINO = "openvino"
    TENSORRT = "tensorrt"
    TENSORRT_RTX = "tensorrt-rtx"
