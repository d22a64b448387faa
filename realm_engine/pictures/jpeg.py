"""A JPEG file before it is decoded: whether all of it is there, and how many scans it has, each of which is a pass over
the whole picture and may be empty.

Without its end marker a file is broken: decoders fill what is missing with grey, some of them and sometimes, by what
bytes happen to stand behind.
"""

from __future__ import annotations

import re
from typing import IO

from realm_engine.errors import ImageError

MOST_SCANS = 500
"""Encoders write ten or so, and there is no use for more than some hundreds."""
MOST_SCANNED_PX = 4_000_000_000
"""Scans times pixels, some seconds' work: twenty scans of the largest picture."""
MOST_SEGMENTS = 100_000
MOST_BETWEEN_BYTES = 1 << 20
"""Bytes between segments before the first scan: there are none but by mistake, and Pillow reads them one by one."""

_MOST_READ = 1 << 20
_START, _START_OF_SCAN, _END = b"\xff\xd8", 0xDA, 0xD9
# Markers without a length: TEM, RSTn, SOI.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
# In the data of a scan 0xff stands before a zero or a restart; all else is the next marker.
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")


def scans(file: IO[bytes], name: str) -> int:
    """How many passes a decoder makes over a picture: 1 of what is no JPEG or comes in one scan.

    Leaves the file at its beginning. Raises ImageError for what no encoder writes, and where the end marker is missing.
    """
    try:
        file.seek(0)
        return max(1, _count(file, name)) if file.read(2) == _START else 1
    finally:
        file.seek(0)


def _count(file: IO[bytes], name: str) -> int:
    place, found, pixels, components, several = len(_START), 0, 0, 0, False
    for _ in range(MOST_SEGMENTS):
        before = place
        marker, place = _next_marker(file, place)
        if found == 0 and place - before > MOST_BETWEEN_BYTES:
            raise ImageError(f"{name}: broken image (a megabyte and more lies between two of its segments)")
        if marker is None and found > 0:
            raise ImageError(f"{name}: broken or truncated image (the file ends early)")
        if marker is None or marker == _END:
            return found
        if marker in _BARE:
            continue
        file.seek(place)
        head = file.read(8)
        if marker in _FRAMES:
            several = marker in _PROGRESSIVE
            components = head[7] if len(head) == 8 else 0
            pixels = int.from_bytes(head[3:5], "big") * int.from_bytes(head[5:7], "big")
        elif marker == _START_OF_SCAN:
            several = several or head[2:3] < bytes([components])
            found += several or found == 0  # of one that holds everything a decoder reads no other
            if found > min(MOST_SCANS, max(1, MOST_SCANNED_PX // max(1, pixels))):
                raise ImageError(
                    f"{name}: more than {found - 1} scans of {pixels / 1e6:.1f} megapixels; save it anew as PNG or JPEG"
                )
        place += int.from_bytes(head[:2], "big")
    raise ImageError(f"{name}: more than {MOST_SEGMENTS} segments; save it anew as PNG or JPEG")


def _next_marker(file: IO[bytes], place: int) -> tuple[int | None, int]:
    """The next marker from a place on, None where there is none, and the place behind it."""
    size = 64
    while True:
        file.seek(place)
        content = file.read(size)
        match = _MARKER.search(content)
        if match is not None:
            return match[1][0], place + match.end()
        if len(content) < size:
            return None, place
        place += size - 1  # the last byte may be the first of a marker
        size = min(16 * size, _MOST_READ)
