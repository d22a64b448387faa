"""Finds the external-data files an ONNX model asks for, without the `onnx` package.

Walks the protobuf wire format (https://protobuf.dev/programming-guides/encoding) along the only fields
that can lead to a TensorProto; the numbers are those of onnx.proto3. Weights are skipped, not read.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

_LEAF = "entry"
# message -> {field number: message inside it}
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
_Buffer = bytes | mmap.mmap


def external_locations(path: Path) -> set[str]:
    """The `location` of every tensor kept outside the file; empty for a self-contained model.

    Raises ValueError when the file is not well-formed protobuf.
    """
    if path.stat().st_size == 0:
        raise ValueError("the file is empty")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return set(_walk(data, 0, len(data), "model", 0))


def _walk(data: _Buffer, start: int, end: int, message: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise ValueError("graphs are nested too deep")
    for field, first, last in _fields(data, start, end):
        inner = _PATHS[message].get(field)
        if inner == _LEAF:
            entry = {number: bytes(data[a:b]) for number, a, b in _fields(data, first, last)}
            if entry.get(1) == b"location":
                yield entry.get(2, b"").decode("utf-8", "replace")
        elif inner is not None:
            yield from _walk(data, first, last, inner, depth + 1)


def _fields(data: _Buffer, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (field number, first byte, end) of every length-delimited field; others are skipped."""
    at = start
    while at < end:
        key, at = _varint(data, at, end)
        wire = key & 7
        if wire == 0:
            _, at = _varint(data, at, end)
        elif wire == 2:
            length, at = _varint(data, at, end)
            if at + length > end:
                raise ValueError(f"a field at byte {at} runs past its end")
            yield key >> 3, at, at + length
            at += length
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError(f"unknown wire type {wire} at byte {at}")
    if at != end:
        raise ValueError("the file is truncated")


def _varint(data: _Buffer, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise ValueError("the file is truncated")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f"a number at byte {at} is too long")
