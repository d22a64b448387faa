"""Writing a graph node by node, with `onnx` alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.graph.model import OPSET, Port
from realm_engine.arrays import Array

DTYPES = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
IR_VERSION = 10  # as torch writes opset 20


class Nodes:
    """Nodes in the order in which they run, and their constants; the names of both begin with `prefix`."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node with one output, whose name is returned."""
        name = f"{self.prefix}{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, label: str, value: Array | np.generic) -> str:
        """The name of a constant, which is written once for each label."""
        name = self.prefix + label
        if name not in {tensor.name for tensor in self.constants}:
            self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        """The name of a constant int64 [len(values)], as shapes and axes are given."""
        return self.constant(
            "int64_" + "_".join(str(value).replace("-", "minus") for value in values),
            np.array(values, dtype=np.int64),
        )

    def number(self, value: float) -> str:
        """The name of a constant float32 scalar."""
        return self.constant(f"float_{float(value)!r}".replace("-", "minus"), np.float32(value))

    def model(self, name: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> onnx.ModelProto:
        """The nodes as a model; an output that no node has by its name is refused by ONNX's checker."""
        graph = helper.make_graph(
            self.nodes,
            name,
            [value_info(port) for port in inputs],
            [value_info(port) for port in outputs],
            self.constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="realm",
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def output(self, value: str, port: Port) -> None:
        """Give a value as an output of the graph."""
        self.nodes.append(
            helper.make_node("Identity", [value], [port.name], name=f"{self.prefix}{port.name}")
        )


def value_info(port: Port) -> onnx.ValueInfoProto:
    """A port as ONNX writes it."""
    return helper.make_tensor_value_info(port.name, DTYPES[port.dtype], list(port.shape))
