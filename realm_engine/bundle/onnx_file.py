"""What an ONNX file says of itself, without the `onnx` package or a runtime: its interface, and files it asks for.

Field numbers are those of onnx.proto3. Weights are skipped, not read: a file of a gigabyte takes as long as one of a
kilobyte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from realm_engine.bundle.manifest import TensorSpec
from realm_engine.bundle.onnx_work import refuse_work
from realm_engine.bundle.protobuf import fields, mapped, message, text

_DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    16: "bfloat16",
}
_GRAPH, _METADATA = 7, 14
_INITIALISER, _INPUT, _OUTPUT = 5, 11, 12
_NODE, _FUNCTION = 1, 25

STANDARD = ("", "ai.onnx")
_CONTROL = frozenset({"Loop", "Scan", "If", "SequenceMap"})
# Domains of operators, and those of each that a bundle may use; None: all of them. What ONNX Runtime brings beyond the
# standard reads files and runs loops as well (EPContext, BeamSearch), so only what the export fuses is let in.
DOMAINS: Mapping[str, frozenset[str] | None] = MappingProxyType(
    {
        **dict.fromkeys(STANDARD),
        "com.microsoft": frozenset(
            {
                "Attention",
                "BiasGelu",
                "FastGelu",
                "FusedMatMul",
                "Gelu",
                "LayerNormalization",
                "MultiHeadAttention",
                "QuickGelu",
                "SimplifiedLayerNormalization",
                "SkipLayerNormalization",
                "SkipSimplifiedLayerNormalization",
                "DequantizeLinear",
                "QuantizeLinear",
            }
        ),
    }
)
MOST_NODES = 1 << 16

_LEAF = "entry"
# The only ways to a TensorProto that may keep its data outside: message -> {field number: message inside it}
_PATHS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: _LEAF},
}
_MAX_DEPTH = 64


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs of a graph, and the file's `metadata_props`."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: dict[str, str]


def read_interface(path: Path) -> Interface:
    """Read the interface of an ONNX file; weights are skipped, not read.

    Raises:
        ValueError: the file is not well-formed protobuf, or its interface holds other things than tensors.
        OSError: it cannot be read.
    """
    model = list(fields(mapped(path)))
    graphs = [value for number, value in model if number == _GRAPH]
    if len(graphs) != 1:
        raise ValueError(f"it holds {len(graphs)} graphs")
    weights: set[str] = set()
    tensors: dict[int, list[TensorSpec]] = {_INPUT: [], _OUTPUT: []}
    for number, value in fields(message(graphs[0])):
        if number == _INITIALISER:
            weights.update(text(name) for field, name in fields(message(value)) if field == 8)
        elif number in tensors:
            tensors[number].append(_tensor(message(value)))
    metadata = {}
    for number, value in model:
        if number == _METADATA:
            entry = dict(fields(message(value)))
            metadata[text(entry.get(1, memoryview(b"")))] = text(entry.get(2, memoryview(b"")))
    # Old files list their weights among the inputs.
    inputs = tuple(tensor for tensor in tensors[_INPUT] if tensor.name not in weights)
    return Interface(inputs, tuple(tensors[_OUTPUT]), metadata)


def external_locations(path: Path) -> set[str]:
    """The `location` of every tensor kept outside the file; empty for a self-contained model.

    Raises:
        ValueError: the file is not well-formed protobuf.
        OSError: it cannot be read.
    """
    return set(_walk(mapped(path), "model", 0))


def refuse_operators(path: Path) -> None:
    """Refuse a file whose graph could run without end, or run what the runtime did not bring.

    Raises:
        ValueError: names the operator: a graph inside a node (Loop, If, Scan...), which no export of ours writes and
            which bounds neither time nor memory; functions of the file's own; a domain other than those of `DOMAINS`;
            more nodes than `MOST_NODES`; or constants that are more work than `onnx_work.MOST`. Also for a file that is
            not well-formed protobuf.
        OSError: it cannot be read.
    """
    model = list(fields(mapped(path)))
    if any(number == _FUNCTION for number, _ in model):
        raise ValueError("it brings functions of its own; inline them")
    graphs = (fields(message(value)) for number, value in model if number == _GRAPH)
    for graph in graphs:
        parts = [(number, message(value)) for number, value in graph if number in (_NODE, _INITIALISER)]
        nodes = [value for number, value in parts if number == _NODE]
        if len(nodes) > MOST_NODES:
            raise ValueError(f"it has more than {MOST_NODES} nodes")
        for node in nodes:
            _check_node(node)
        refuse_work(nodes, [value for number, value in parts if number == _INITIALISER])


def _check_node(node: memoryview) -> None:
    kind, domain, holds_graph = "", "", False
    for field, value in fields(node):
        if field == 4:
            kind = text(value)
        elif field == 7:
            domain = text(value)
        elif field == 5:
            holds_graph |= any(number in (6, 11) for number, _ in fields(message(value)))
    if holds_graph or (domain in STANDARD and kind in _CONTROL):
        raise ValueError(f"the operator {kind[:80]!r} holds a graph of its own, which no bundle needs")
    if domain not in DOMAINS or kind not in (DOMAINS[domain] or (kind,)):
        name = f"{domain}.{kind}" if domain else kind
        raise ValueError(f"the operator {name[:160]!r} is none of those that bundles may use")


def _walk(data: memoryview, kind: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise ValueError("graphs are nested too deep")
    for number, value in fields(data):
        inner = _PATHS[kind].get(number)
        if inner == _LEAF:
            entry = {key: bytes(each) for key, each in fields(message(value)) if not isinstance(each, int)}
            if entry.get(1) == b"location":
                yield entry.get(2, b"").decode("utf-8", "replace")
        elif inner is not None:
            yield from _walk(message(value), inner, depth + 1)


def _tensor(value_info: memoryview) -> TensorSpec:
    own = dict(fields(value_info))
    name = text(own.get(1, memoryview(b"")))
    tensor_type = dict(fields(message(own.get(2, memoryview(b""))))).get(1)
    if tensor_type is None:
        raise ValueError(f"{name} is not a tensor")
    described = dict(fields(message(tensor_type)))
    element = described.get(1, 0)
    shape = tuple(
        _dimension(message(dim))
        for number, dim in fields(message(described.get(2, memoryview(b""))))
        if number == 1
    )
    return TensorSpec(
        name, _DTYPES.get(element, f"type {element}") if isinstance(element, int) else "unknown", shape
    )


def _dimension(data: memoryview) -> int | str:
    own = dict(fields(data))
    if isinstance(size := own.get(1), int):
        return size
    return text(own.get(2, memoryview(b"")))
