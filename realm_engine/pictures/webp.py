"""The size of a WebP picture by its header: libwebp takes the memory for all of it when a file is opened, before
Pillow can say how large it is.

https://developers.google.com/speed/webp/docs/riff_container
"""

from __future__ import annotations

from typing import IO

_HEAD_BYTES = 30
_SIDE = 0x3FFF  # 14 bits


def size(file: IO[bytes]) -> tuple[int, int] | None:
    """Width and height that the first chunk announces; None of what is no WebP. Leaves the file at its beginning."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP" or len(head) < _HEAD_BYTES:
        return None
    kind, data = head[12:16], head[20:]
    if kind == b"VP8X":  # with alpha, a profile or an animation: the canvas
        return 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
    if kind == b"VP8L" and data[0] == 0x2F:
        bits = int.from_bytes(data[1:5], "little")
        return 1 + (bits & _SIDE), 1 + (bits >> 14 & _SIDE)
    if kind == b"VP8 " and data[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(data[6:8], "little") & _SIDE, int.from_bytes(data[8:10], "little") & _SIDE
    return None
