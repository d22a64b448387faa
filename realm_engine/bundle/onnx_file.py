"""What an ONNX file says of itself, without the `onnx` package or a runtime: its interface, and files it asks for.

Field numbers are those of onnx.proto3, the wire format is https://protobuf.dev/programming-guides/encoding. Weights
are skipped, not read: a file of a gigabyte takes as long as one of a kilobyte.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from realm_engine.bundle.manifest import TensorSpec

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
_Field = tuple[int, int | memoryview]

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
    model = list(_fields(_mapped(path)))
    graphs = [value for number, value in model if number == _GRAPH]
    if len(graphs) != 1:
        raise ValueError(f"it holds {len(graphs)} graphs")
    weights: set[str] = set()
    tensors: dict[int, list[TensorSpec]] = {_INPUT: [], _OUTPUT: []}
    for number, value in _fields(_message(graphs[0])):
        if number == _INITIALISER:
            weights.update(_text(name) for field, name in _fields(_message(value)) if field == 8)
        elif number in tensors:
            tensors[number].append(_tensor(_message(value)))
    metadata = {}
    for number, value in model:
        if number == _METADATA:
            entry = dict(_fields(_message(value)))
            metadata[_text(entry.get(1, memoryview(b"")))] = _text(entry.get(2, memoryview(b"")))
    # Old files list their weights among the inputs.
    inputs = tuple(tensor for tensor in tensors[_INPUT] if tensor.name not in weights)
    return Interface(inputs, tuple(tensors[_OUTPUT]), metadata)


def external_locations(path: Path) -> set[str]:
    """The `location` of every tensor kept outside the file; empty for a self-contained model.

    Raises:
        ValueError: the file is not well-formed protobuf.
        OSError: it cannot be read.
    """
    return set(_walk(_mapped(path), "model", 0))


def refuse_operators(path: Path) -> None:
    """Refuse a file whose graph could run without end, or run what the runtime did not bring.

    Raises:
        ValueError: names the operator: a graph inside a node (Loop, If, Scan...), which no export of ours writes and
            which bounds neither time nor memory; functions of the file's own; a domain other than those of `DOMAINS`;
            or more nodes than `MOST_NODES`. Also for a file that is not well-formed protobuf.
        OSError: it cannot be read.
    """
    model = list(_fields(_mapped(path)))
    if any(number == _FUNCTION for number, _ in model):
        raise ValueError("it brings functions of its own; inline them")
    graphs = (_fields(_message(value)) for number, value in model if number == _GRAPH)
    nodes = (value for graph in graphs for number, value in graph if number == _NODE)
    for count, node in enumerate(nodes, start=1):
        if count > MOST_NODES:
            raise ValueError(f"it has more than {MOST_NODES} nodes")
        _check_node(_message(node))


def _check_node(node: memoryview) -> None:
    kind, domain, holds_graph = "", "", False
    for field, value in _fields(node):
        if field == 4:
            kind = _text(value)
        elif field == 7:
            domain = _text(value)
        elif field == 5:
            holds_graph |= any(number in (6, 11) for number, _ in _fields(_message(value)))
    if holds_graph or (domain in STANDARD and kind in _CONTROL):
        raise ValueError(f"the operator {kind[:80]!r} holds a graph of its own, which no bundle needs")
    if domain not in DOMAINS or kind not in (DOMAINS[domain] or (kind,)):
        name = f"{domain}.{kind}" if domain else kind
        raise ValueError(f"the operator {name[:160]!r} is none of those that bundles may use")


def _mapped(path: Path) -> memoryview:
    if path.stat().st_size == 0:
        raise ValueError("the file is empty")
    with path.open("rb") as stream:
        # Not closed by hand: an error's traceback may still hold views of it, and closing would raise as well.
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def _walk(data: memoryview, message: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise ValueError("graphs are nested too deep")
    for number, value in _fields(data):
        inner = _PATHS[message].get(number)
        if inner == _LEAF:
            entry = {key: bytes(each) for key, each in _fields(_message(value)) if not isinstance(each, int)}
            if entry.get(1) == b"location":
                yield entry.get(2, b"").decode("utf-8", "replace")
        elif inner is not None:
            yield from _walk(_message(value), inner, depth + 1)


def _tensor(value_info: memoryview) -> TensorSpec:
    fields = dict(_fields(value_info))
    name = _text(fields.get(1, memoryview(b"")))
    tensor_type = dict(_fields(_message(fields.get(2, memoryview(b""))))).get(1)
    if tensor_type is None:
        raise ValueError(f"{name} is not a tensor")
    described = dict(_fields(_message(tensor_type)))
    element = described.get(1, 0)
    shape = tuple(
        _dimension(_message(dim))
        for number, dim in _fields(_message(described.get(2, memoryview(b""))))
        if number == 1
    )
    return TensorSpec(
        name, _DTYPES.get(element, f"type {element}") if isinstance(element, int) else "unknown", shape
    )


def _dimension(data: memoryview) -> int | str:
    fields = dict(_fields(data))
    if isinstance(size := fields.get(1), int):
        return size
    return _text(fields.get(2, memoryview(b"")))


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)).decode("utf-8", "replace")


def _fields(data: memoryview) -> Iterator[_Field]:
    """Yield (field number, value): whole numbers, and the bytes of length-delimited fields."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > end:
                raise ValueError(f"a field at byte {at} runs past its end")
            yield number, data[at : at + size]
            at += size
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError(f"unknown wire type {wire} at byte {at}")
    if at != end:
        raise ValueError("the file is truncated")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("the file is truncated")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f"a number at byte {at} is too long")
