"""The wire format of protobuf, read without copying: what ONNX files are made of.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

Field: TypeAlias = tuple[int, int | memoryview]


def mapped(path: Path) -> memoryview:
    """The content of a file, which is not read before it is used. Raises ValueError for an empty one, and OSError."""
    if path.stat().st_size == 0:
        raise ValueError("the file is empty")
    with path.open("rb") as stream:
        # Not closed by hand: an error's traceback may still hold views of it, and closing would raise as well.
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def message(value: int | memoryview) -> memoryview:
    """The bytes of a field that holds a message. Raises ValueError where it holds a number."""
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value


def text(value: int | memoryview) -> str:
    """The text of a field. Raises ValueError where it holds a number."""
    return bytes(message(value)).decode("utf-8", "replace")


def fields(data: memoryview) -> Iterator[Field]:
    """Yield (field number, value) of a message: whole numbers, and the bytes of length-delimited fields.

    Raises ValueError where it is not well-formed.
    """
    at, end = 0, len(data)
    while at < end:
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(data, at)
            yield number, value
        elif wire == 2:
            size, at = varint(data, at)
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


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """A whole number at a place, and the place behind it. Raises ValueError."""
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
