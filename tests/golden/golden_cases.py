"""What the golden vectors are made of: texts, pictures, windows and maps, chosen to catch a wrong port.

Every array is made without random generators, so that each machine makes the same ones: crops of the lossless
samples (see `samples/PROVENANCE.md`) and synthetic pictures from integers and SHAKE-256.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLES = REPOSITORY / "samples"

UInt8 = npt.NDArray[np.uint8]

# ---------------------------------------------------------------------- texts

LONG = "supercalifragilisticexpialidocious " * 30
TEXTS = (
    "",
    "   ",
    "Yes, the edge of the face melts into the background.",
    "café naïve ÅÉ Ünïcödé ß İstanbul ı",
    "e\u0301toile, o\u0308l, a\u0301\u0323",  # accents as combining characters, also in the wrong order
    "日本語のテキスト 漢字 हिन्दी ไทย العربية кириллица ЁЖ",
    "\u3400\U00020000 가각 사진",  # rare ideographs, one of them beyond 16 bits; Hangul, which NFD takes apart
    "emoji 😀👩‍👩‍👧 🇩🇪 👍🏽",
    "a\U0001fae0b x\U0001f600",  # an emoji of 2021: old Unicode tables do not know it
    "it's I'LL don't've 'd'll s's l'été",
    "don’t “quoted” ‘x’ ʼn",
    "AT&amp;T &lt;b&gt; &quot;q&quot; &#39;s &amp;lt; &nbsp; x",
    "tabs\t\tand\n\nnewlines \u00a0nbsp\u2003em\u2028line",
    "ﬁne ﬂow ﬃ",
    "ＦＵＬＬ　width１２３！ ｶﾞ ﾊﾟ",
    "12345 1st 2.5% x²½ ①",
    "a_b-c--d!!??... …— – ‐ ™®©",
    "$5^2=`~| ¿Qué? <html>",  # BERT counts ASCII symbols as punctuation
    "\u200bzero\u200dwidth\ufeff so\u00adft",
    "<start_of_text> literal <end_of_text>",
    "[CLS] literal [MASK] [sep]",
    "control\x00\x07chars\x1b[31mred \ufffd \ue000private",
    "ǆ Ǆ ĳ",
    "x" * 100,
    "x" * 101,  # WordPiece gives up on words of more than 100 characters
    "a" * 300,
    "one two three four five six seven " * 4 + "eight nine",  # 32 tokens: a bucket that is exactly full
    "one two three four five six seven " * 4 + "eight nine ten",  # 33: the next bucket
    "the lazy dog " * 25,  # 77 tokens: CLIP's limit, nothing is cut
    "the lazy dog " * 25 + "again",  # 78 tokens
    "the lazy dog " * 42,  # 128 tokens: WordPiece's limit here
    "the lazy dog " * 42 + "again",  # 129 tokens
    LONG,
    "x\U00020000y",  # code points decide what stands apart: in UTF-16 this ideograph is two units
)
# The published tokenizers (Python's lower) make a final capital sigma "ς". Ours lower each character by itself.
FILE_ONLY = ("ΣΑΣ ΟΔΟΣ Σ",)

DOUBLED = "Yes. The cat has a second eye below the left one, a doubled, overlapping copy of the same part."
MELTED = "The rim and front of the cup look melted and drip downwards like wax."
FINE = "No, there is nothing unrealistic in this image."
SHORT = "blurry"
LONG_TEXT = "the lines in the stone are warped and do not meet, " * 14
EMBEDDED_TEXTS = (DOUBLED, MELTED, FINE, SHORT, "", "日本語 café 😀", LONG_TEXT, TEXTS[26], TEXTS[27])

# ------------------------------------------------------------------- pictures


def _sample(name: str) -> UInt8:
    with Image.open(SAMPLES / name) as image:
        return np.array(image.convert("RGB"))


def _noise(height: int, width: int, seed: str) -> UInt8:
    """Uniform noise: the hardest case for rounding."""
    content = hashlib.shake_256(seed.encode()).digest(height * width * 3)
    return np.frombuffer(content, dtype=np.uint8).reshape(height, width, 3).copy()


def _grid(height: int, width: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    y, x = np.indices((height, width), dtype=np.int64)
    return y, x


def _ramps(height: int, width: int) -> UInt8:
    """Ramps of three slopes that fold at 0 and 255."""
    y, x = _grid(height, width)
    planes = [x * 5 // 3 + y, y * 7 // 4, x + 2 * y]
    return np.stack([np.abs(plane % 511 - 255) for plane in planes], axis=-1).astype(np.uint8)


def _stripes(height: int, width: int) -> UInt8:
    """Black and white in steps of one, two and three pixels: bicubic overshoots 0..255, halves abound."""
    y, x = _grid(height, width)
    planes = [(x + y) % 2, (x // 2) % 2, (y // 3 + x // 3) % 2]
    return (np.stack(planes, axis=-1) * 255).astype(np.uint8)


def pictures() -> dict[str, UInt8]:
    """Pictures by name, uint8 RGB (H, W, 3)."""
    cat, coffee, temple = (
        _sample(name) for name in ("cat-doubled.png", "coffee-melted.png", "temple-repeated.png")
    )
    return {
        "cat": cat[60:192, 110:270],  # 132 x 160: no stride of 8 or 12 divides what 64 or 128 leave
        "square": coffee[100:164, 200:264],  # 64 x 64: the window is the image
        "plus-one": coffee[150:215, 120:184],  # 65 x 64
        "cup": coffee[180:276, 0:96],  # the probe calls it fake
        "tall": np.ascontiguousarray(coffee[200:248, 10:355].transpose(1, 0, 2)),  # 345 x 48
        "wide": temple[150:190, 20:480],  # 40 x 460
        "tiny": cat[80:113, 150:185],  # 33 x 35: enlarged in both axes, for CORE and in DREAM's windows
        "large": (coffee & 0xF0).astype(
            np.uint8
        ),  # 341 x 512: just above CORE's size in both axes; few colours, small file
        "ramps": _ramps(701, 900),  # far above CORE's size
        "noise": _noise(97, 101, "noise"),
        "stripes": _stripes(70, 90),
    }


# ---------------------------------------------------------------------- cases


@dataclass(frozen=True)
class Resize:
    """A rectangle of a picture, in pixels, and the size that Pillow resizes it to."""

    picture: str
    top: int
    left: int
    height: int
    width: int
    out_height: int
    out_width: int
    interpolation: str


def _window(picture: str, top: int, left: int, size: int) -> Resize:
    """A square window as DREAM of realm-tiny takes it."""
    return Resize(picture, top, left, size, size, 64, 64, "bicubic")


RESIZES = (
    _window("cat", 0, 0, 128),
    _window("cat", 4, 32, 128),
    _window("cat", 68, 96, 64),  # the size is right already: nothing may change
    _window("cat", 33, 71, 32),
    _window("wide", 5, 401, 32),
    _window("square", 0, 0, 64),
    _window("noise", 0, 4, 97),
    _window("noise", 31, 17, 33),
    _window("stripes", 3, 5, 48),
    _window("stripes", 0, 20, 70),
    _window("tiny", 0, 1, 33),
    Resize("tiny", 0, 0, 33, 35, 336, 448, "bilinear"),  # up, up
    Resize("tall", 0, 0, 345, 48, 84, 112, "bilinear"),  # down, up
    Resize("wide", 0, 0, 40, 460, 84, 112, "bilinear"),  # up, down
    Resize("ramps", 0, 0, 701, 900, 84, 112, "bilinear"),  # down, down
    Resize("noise", 0, 0, 97, 101, 96, 128, "bilinear"),
)


@dataclass(frozen=True)
class Windows:
    """Windows of one size on a picture, for several texts."""

    picture: str
    texts: tuple[str, ...]
    window_px: int
    top: tuple[int, ...]
    left: tuple[int, ...]


SIMILARITIES = (
    Windows("cat", (DOUBLED, FINE, SHORT), 64, (0, 0, 17, 68, 68, 40), (0, 96, 51, 96, 3, 40)),
    Windows("cat", (DOUBLED, LONG_TEXT), 128, (0, 4, 0, 3), (0, 32, 32, 11)),
    Windows("cat", (DOUBLED,), 32, (100, 0, 55, 99), (128, 0, 77, 1)),
    Windows("square", (MELTED, FINE), 64, (0,), (0,)),
    Windows("wide", (MELTED,), 40, (0, 0), (0, 420)),
    Windows("tall", (MELTED, FINE), 48, (0, 297, 150), (0, 0, 0)),
    Windows("tiny", (SHORT,), 32, (0, 1), (3, 0)),
    Windows("noise", (DOUBLED, MELTED), 97, (0, 0), (0, 4)),
    Windows("noise", (DOUBLED, MELTED), 33, (64, 0, 7), (68, 0, 9)),
    Windows("stripes", (SHORT, FINE), 48, (0, 22, 9), (42, 0, 13)),
)

# Blank texts count as none; the pictures have many sizes, for hosts that score several at once.
SCORES: tuple[tuple[str, str | None], ...] = (
    ("cat", DOUBLED),
    ("cat", FINE),
    ("cat", None),
    ("cat", ""),
    ("cat", " \t\n"),
    ("cat", LONG),
    ("square", MELTED),
    ("square", None),
    ("tall", FINE),
    ("wide", FINE),
    ("wide", None),
    ("tiny", SHORT),
    ("large", MELTED),
    ("large", None),
    ("ramps", "日本語 café 😀"),
    ("noise", FINE),
    ("stripes", None),
)


# Every verdict, none near where another begins; "square", "noise", "ramps" and "stripes" are too unlike for one.
PROBED = ("cat", "square", "cup", "tall", "wide", "tiny", "large", "ramps", "noise", "stripes")


@dataclass(frozen=True)
class Map:
    """How a map is made; see docs/bundle.md."""

    picture: str
    texts: tuple[str, ...]
    windows_px: tuple[int, ...]
    stride_px: int
    aggregate: str
    quantity: str
    encoder: str = "each-window"


MAPS = (
    Map("square", (MELTED,), (64,), 8, "mean", "realness"),  # one window
    Map("plus-one", (MELTED,), (64,), 1, "max", "realness"),  # two windows
    Map("cat", (DOUBLED,), (64,), 8, "mean", "realness"),  # the preset "released"; bottom strip uncovered
    # Several texts: the mean of their similarities per window comes before the maximum over window sizes.
    Map("cat", (DOUBLED, FINE, SHORT), (128, 64, 32), 12, "max", "similarity"),
    Map("cat", (DOUBLED, SHORT), (64, 128), 20, "mean", "similarity"),
    Map("tall", (FINE,), (32,), 40, "mean", "realness"),  # the stride exceeds the window: gaps are 0
    Map("wide", (MELTED, FINE), (40, 33), 7, "max", "realness"),
    Map("noise", (DOUBLED,), (97, 33), 5, "mean", "realness"),
    Map("stripes", (SHORT,), (48,), 11, "max", "similarity"),
    Map("tiny", (SHORT, MELTED), (32,), 1, "mean", "realness"),
    Map("cat", (DOUBLED,), (64,), 8, "mean", "realness", "one-pass"),  # the preset "released"
    Map("square", (MELTED,), (64,), 8, "mean", "realness", "one-pass"),  # one window, whole cells
    Map("wide", (MELTED, FINE), (40, 33), 7, "max", "realness", "one-pass"),  # windows that share cells
    Map("tall", (FINE,), (32,), 40, "mean", "similarity", "one-pass"),
)
