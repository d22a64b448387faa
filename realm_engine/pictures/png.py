"""PNG files without the texts that programs leave in them: generators write their whole workflow, megabytes of it.

Pillow unpacks every text and refuses a file that has a long one, although nobody wants it here.
"""

from __future__ import annotations

import io
from typing import IO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# Texts that Pillow reads the orientation from.
_ORIENTATION = (b"Raw profile type exif\0", b"Raw profile type APP1\0", b"XML:com.adobe.xmp\0")
_LONGEST_WORD = max(map(len, _ORIENTATION))
_SHORT_BYTES = 1 << 16  # plain texts up to here are left alone
MOST_CHUNKS = 250_000
"""The largest picture in chunks of 8 KiB, as libpng writes them; readers take a while for each, be it empty."""


def without_texts(file: IO[bytes]) -> IO[bytes]:
    """A file of the same picture; the same file, at its beginning, where it has no such text or is no PNG.

    Raises ValueError where it has more than `MOST_CHUNKS`.
    """
    try:
        kept, dropped = _spans(file)
    finally:
        file.seek(0)
    if not dropped:
        return file
    shorter = io.BytesIO()
    for start, length in kept:
        file.seek(start)
        shorter.write(file.read(length))
    shorter.seek(0)
    return shorter


def _spans(file: IO[bytes]) -> tuple[list[tuple[int, int]], bool]:
    """What of a file to keep, as starts and lengths, and whether that is not all of it."""
    file.seek(0)
    if file.read(len(SIGNATURE)) != SIGNATURE:
        return [], False
    kept, dropped, place = [(0, len(SIGNATURE))], False, len(SIGNATURE)
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:  # the end, or a file that breaks off: Pillow says so
            kept.append((place, len(head)))
            return kept, dropped
        data, kind = int.from_bytes(head[:4], "big"), head[4:]
        length = 12 + data
        packed = kind != b"tEXt"
        if kind in _TEXTS and (packed or data > _SHORT_BYTES) and not _tells_orientation(file, data):
            dropped = True
        elif kept[-1][0] + kept[-1][1] == place:
            kept[-1] = (kept[-1][0], kept[-1][1] + length)
        else:
            kept.append((place, length))
        place += length
        file.seek(place)
    raise ValueError(f"more than {MOST_CHUNKS} chunks")


def _tells_orientation(file: IO[bytes], data: int) -> bool:
    return file.read(min(data, _LONGEST_WORD)).startswith(_ORIENTATION)
