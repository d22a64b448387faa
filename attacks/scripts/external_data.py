"""Weights that a graph keeps in other files: outside, not listed, too few, too many."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from attacks.attack import Attack, Build, Must, refused
from attacks.victim import Victim


def weights_at(location: str, offset: int = 0, length: int | None = None, listed: bool = False) -> Build:
    """CORE's graph with its largest weight in a file."""

    def build(victim: Victim) -> None:
        model = victim.model("core")
        tensor = max(model.graph.initializer, key=lambda each: len(each.raw_data))
        size = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", offset), ("length", length or size)):
            tensor.external_data.append(onnx.StringStringEntryProto(key=key, value=str(value)))
        victim.write_model("core", model)
        if listed:
            victim.write(location, b"\0" * 100)

    return build


LEAVES = refused("leaves the bundle")
FAILS = Must((1, 2), "core.onnx: ONNX Runtime (refused|failed)")
ATTACKS = (
    Attack("weights up", weights_at("../secret"), LEAVES, LEAVES),
    Attack("weights absolute", weights_at("/etc/passwd"), LEAVES, LEAVES),
    Attack("weights not listed", weights_at("more.bin"), refused("does not list"), refused("does not list")),
    Attack("weights too short", weights_at("few.bin", listed=True), FAILS, FAILS),
    Attack("weights of 5 GB", weights_at("few.bin", 0, 5 << 30, listed=True), FAILS, FAILS),
    Attack("weights before the file", weights_at("few.bin", -8, listed=True), FAILS, FAILS),
)
