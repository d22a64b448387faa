"""What untouched photographs give for a text, as a graph: mean and standard deviation of similarity. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.graph.model import OPSET, Port
from realm_engine.arrays import Array, Float32

TINY = 1e-12  # under the root: a text that all windows are equally like has a deviation all the same
IR_VERSION = 10


@dataclass(frozen=True)
class PhotographsGraph:
    """The graph `photographs`.

    Attributes:
        mean: Mean embedding of the windows of each size, float32 (S, D).
        factor: L of their covariance L L^T, float32 (S, D, R); stored as float16.
    """

    mean: Float32
    factor: Float32

    name = "photographs"
    float32_alone = True

    @property
    def inputs(self) -> tuple[Port, ...]:
        """Text embeddings."""
        return (Port("text", "float32", ("texts", self.mean.shape[1])),)

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Mean and standard deviation for each window size."""
        return tuple(Port(name, "float32", ("texts", self.mean.shape[0])) for name in ("mean", "std"))

    def model(self) -> onnx.ModelProto:
        """mean = t . mu; std = sqrt(|L^T t|^2 + tiny), for every text and window size."""
        sizes, width, rank = self.factor.shape
        # One product of matrices: OpenVINO 2026.4 fails at one of stacks with a free size.
        side_by_side = self.factor.transpose(1, 0, 2).reshape(width, sizes * rank)
        constants: dict[str, Array] = {
            "mean_windows": self.mean.T,
            "factor_fp16": side_by_side.astype(np.float16),
            "tiny": np.array(TINY, np.float32),
            "by_window": np.array([0, sizes, rank], np.int64),  # 0: as many texts as there are
            "last": np.array([2], np.int64),
        }
        nodes = [
            helper.make_node("MatMul", ["text", "mean_windows"], ["mean"]),
            helper.make_node("Cast", ["factor_fp16"], ["factor"], to=onnx.TensorProto.FLOAT),
            helper.make_node("MatMul", ["text", "factor"], ["side_by_side"]),
            helper.make_node("Reshape", ["side_by_side", "by_window"], ["along"]),
            helper.make_node("ReduceSumSquare", ["along", "last"], ["variance"], keepdims=0),
            helper.make_node("Add", ["variance", "tiny"], ["above_zero"]),
            helper.make_node("Sqrt", ["above_zero"], ["std"]),
        ]
        for node in nodes:
            node.name = f"{node.op_type}_{node.output[0]}"
        graph = helper.make_graph(
            nodes,
            self.name,
            [_value(port) for port in self.inputs],
            [_value(port) for port in self.outputs],
            [numpy_helper.from_array(np.ascontiguousarray(v), name) for name, v in constants.items()],
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="realm",
        )


def _value(port: Port) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(port.name, onnx.TensorProto.FLOAT, port.shape)
