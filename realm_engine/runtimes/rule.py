"""How fast the ways to run a part are to each other where nobody measured: `auto` follows it until `tune` has run."""

from __future__ import annotations

from collections.abc import Mapping

from realm_engine.machine.processor import processor

# Without one of these, as `Processor.features` has them, an int8 file is slower than float32 or saturates (pmaddubsw).
# Of bf16 a runtime says itself whether it has it here.
UNITS: Mapping[str, frozenset[str]] = {
    "int8": frozenset(
        {
            "AVX-512 VNNI (int8)",
            "AVX-VNNI (int8)",
            "AMX int8",
            "dot product (int8)",
            "matrix multiply (int8)",
        }
    ),
}

# Times as fast as float32 on ONNX Runtime, the lowest seen over ViT-B/32, realm-tiny and ResNet-50 on processors that
# have the units (`python -m benchmarks dream core auto`). OpenVINO's float32 wins by less than what opening it costs
# (0.35 s and 60 MB), so that it stands behind.
SPEED: Mapping[tuple[str, str], float] = {
    ("cpu", "fp32"): 1.0,
    ("openvino", "fp32"): 0.95,
    ("openvino", "bf16"): 1.3,
    ("cpu", "int8"): 2.0,
    ("openvino", "int8"): 2.6,
}


def has_units(precision: str) -> bool:
    """Whether this processor multiplies fast in a precision; what `UNITS` does not name needs none."""
    return precision not in UNITS or bool(UNITS[precision] & set(processor().features))


def speed(device: str, precision: str) -> float:
    """Times as fast as float32 on ONNX Runtime; 1 for what was never measured."""
    return SPEED.get((device, precision), 1.0)
