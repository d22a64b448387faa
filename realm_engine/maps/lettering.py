"""Words inside pictures: a font that has their letters, and lines that fit.

Pillow's own font has ASCII and little more; it draws what it can, so that pictures are alike everywhere. For other
letters a font of the machine is looked for, and what none has is written with its plain letter (e for é) or as
\\u5199: a name stays readable, or at least unique.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from realm_engine.errors import printable

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

ELLIPSIS = "..."
MOST_LETTERS = 1000  # of a text: more than any picture has room for
# Fonts of Linux, macOS and Windows, those that know most scripts first.
_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "Arial Unicode.ttf",
    "segoeui.ttf",
    "arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKjp-Regular.otf",
    "wqy-microhei.ttc",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "msyh.ttc",
    "msgothic.ttc",
    "malgun.ttf",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "Nirmala.ttf",
)
_TRIED_PX = 16  # whether a font has a letter does not depend on the size
_NO_LETTER = "\U0010fffe"
_PLAIN = str.maketrans({"–": "-", "—": "-", "−": "-", "×": "x", "’": "'", "‘": "'", "“": '"', "”": '"'})


class Lettering:
    """A text as it is drawn: one line, in a font that has its letters."""

    def __init__(self, text: str, size_px: float) -> None:
        """`text`: any, also names that are no Unicode; `size_px`: of the letters."""
        line = unicodedata.normalize("NFC", " ".join(text[:MOST_LETTERS].split()))
        line = printable(line)  # what no font can draw, and what would turn the line around
        path, self.text = _readable(line)
        self.font = _font(path, max(1.0, size_px))

    def width(self, text: str | None = None) -> float:
        """Of a part of the text, or of all of it, in pixels."""
        return float(self.font.getlength(self.text if text is None else text))

    def wrapped(self, width_px: float, most_lines: int) -> list[str]:
        """Lines that are no wider, broken between words where that is possible; an ellipsis ends what is cut."""
        if most_lines < 1 or not self.text:
            return []
        lines = list(self._lines(width_px))
        if len(lines) <= most_lines:
            return lines
        return [*lines[: most_lines - 1], self._cut(lines[most_lines - 1] + ELLIPSIS, width_px)]

    def middle_left_out(self, width_px: float) -> str:
        """One line that is no wider: of a name that is too long the ends stay, they tell it from others."""
        if self.width() <= width_px:
            return self.text
        low, high = 0, len(self.text)
        while low < high:
            kept = (low + high + 1) // 2
            low, high = (kept, high) if self.width(self._ends(kept)) <= width_px else (low, kept - 1)
        return self._ends(low)

    def _ends(self, kept: int) -> str:
        tail = kept - kept // 3
        return self.text[: kept // 3] + ELLIPSIS + (self.text[-tail:] if tail else "")

    def _cut(self, line: str, width_px: float) -> str:
        kept = line.removesuffix(ELLIPSIS)
        while kept and self.width(kept.rstrip(" ,;.") + ELLIPSIS) > width_px:
            kept = kept[:-1]
        return kept.rstrip(" ,;.") + ELLIPSIS

    def _lines(self, width_px: float) -> Iterator[str]:
        line = ""
        for word in self.text.split(" "):
            longer = f"{line} {word}" if line else word
            if self.width(longer) <= width_px:
                line = longer
                continue
            if line:
                yield line
            line = word
            while self.width(line) > width_px and len(line) > 1:
                kept = max(1, self._most(line, width_px))
                yield line[:kept]
                line = line[kept:]
        if line:
            yield line

    def _most(self, text: str, width_px: float) -> int:
        """How many letters of a text are no wider."""
        low, high = 0, len(text)
        while low < high:
            kept = (low + high + 1) // 2
            low, high = (kept, high) if self.width(text[:kept]) <= width_px else (low, kept - 1)
        return low


@lru_cache(maxsize=256)
def _readable(text: str) -> tuple[str | None, str]:
    """A font (None: Pillow's own), and the text in letters that it has."""
    letters = set(text)
    if all(_has(None, letter) for letter in letters):
        return None, text
    best, most = None, sum(_has(None, letter) for letter in letters)
    for path in _fonts():
        known = sum(_has(path, letter) for letter in letters)
        if known == len(letters):
            return path, text
        if known > most:
            best, most = path, known
    return best, "".join(letter if _has(best, letter) else _plain(letter, best) for letter in text)


def _plain(letter: str, font: str | None) -> str:
    """A letter that a font lacks in letters that it has."""
    decomposed = unicodedata.normalize("NFKD", letter.translate(_PLAIN))
    plain = "".join(each for each in decomposed if not unicodedata.combining(each))
    if plain and all(_has(font, each) for each in plain):
        return plain
    return letter.encode("unicode_escape").decode("ascii")


@lru_cache(maxsize=4096)
def _has(path: str | None, letter: str) -> bool:
    """Whether a font has a letter: it looks unlike the sign for letters that are missing."""
    if letter == " ":
        return True
    font = _font(path, _TRIED_PX)
    drawn, missing = (font.getmask(each) for each in (letter, _NO_LETTER))
    return (drawn.size, bytes(drawn)) != (missing.size, bytes(missing))


@lru_cache(maxsize=1)
def _fonts() -> tuple[str, ...]:
    """Those of `_FONTS` that are here, and the one that comes with Matplotlib where that is installed."""
    matplotlib = importlib.util.find_spec("matplotlib")
    own = [] if matplotlib is None or matplotlib.origin is None else [Path(matplotlib.origin)]
    found = [
        str(path)
        for path in (origin.parent / "mpl-data" / "fonts" / "ttf" / _FONTS[0] for origin in own)
        if path.is_file()
    ]
    for name in _FONTS:
        try:
            found.append(str(ImageFont.truetype(name, _TRIED_PX).path))
        except OSError:
            continue
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=64)
def _font(path: str | None, size_px: float) -> Font:
    return ImageFont.load_default(size_px) if path is None else ImageFont.truetype(path, size_px)
