"""Which shared libraries a library needs, read from its ELF header without loading it."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

# Of the ELF specification: kinds of segments, and tags in the dynamic one.
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRING_TABLE = 1, 5
_MAGIC_64_LITTLE = b"\x7fELF\x02\x01"


def needed_libraries(path: Path) -> tuple[str, ...]:
    """Names of the libraries a 64-bit little-endian ELF file asks for, as `readelf -d` lists them (NEEDED).

    Empty where the file is missing, damaged or of another format.
    """
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _needed(data) if data[:6] == _MAGIC_64_LITTLE else ()
    except (OSError, ValueError, OverflowError, struct.error):
        return ()


def _needed(data: mmap.mmap) -> tuple[str, ...]:
    segments = _segments(data)
    (start, size), *_ = [(offset, size) for kind, offset, _, size in segments if kind == _DYNAMIC]
    entries = [struct.unpack_from("<qQ", data, at) for at in range(start, start + size, 16)]
    address = next(value for tag, value in entries if tag == _STRING_TABLE)
    # The table is named by its address in memory; the segment that is loaded there says where in the file.
    table = next(
        address - memory + offset
        for kind, offset, memory, length in segments
        if kind == _LOAD and memory <= address < memory + length
    )
    names = []
    for tag, value in entries:
        if tag == _NEEDED:
            end = data.find(b"\0", table + value)
            names.append(data[table + value : end].decode("ascii", "replace"))
    return tuple(names)


def _segments(data: mmap.mmap) -> list[tuple[int, int, int, int]]:
    """(kind, offset in the file, address in memory, size in the file) of every segment."""
    (first,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    found = []
    for index in range(count):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", data, first + index * size)
        found.append((kind, offset, address, length))
    return found
