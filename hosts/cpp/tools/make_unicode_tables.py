"""Write src/unicode_tables.inc: what the tokenizers need to know about every code point, in compact tables.

Python's unicodedata gives names and decompositions. What a code point *is* (a mark, punctuation, a letter...) is
asked of the `tokenizers` library itself, because its parts follow different versions of Unicode; the C++ host then
cuts text in the same places. Run it again, with that library installed, when a bundle's tokenizer changes.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from tokenizers import Regex, normalizers, pre_tokenizers

OUTPUT = Path(__file__).parents[1] / "src" / "unicode_tables.inc"
CODES = [code for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)
HIGHEST_CLASS = "\u0345"  # combining class 240: only a mark of a lower class moves in front of it


def _bert(**settings: bool) -> normalizers.BertNormalizer:
    off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    return normalizers.BertNormalizer(**off | settings)


def flags() -> dict[int, int]:
    """Code point -> bits; see unicode.hpp for their meaning."""
    clean, strip, chinese = (
        _bert(clean_text=True),
        _bert(strip_accents=True),
        _bert(handle_chinese_chars=True),
    )
    split = pre_tokenizers.BertPreTokenizer()
    classes = [normalizers.Replace(Regex(pattern), "") for pattern in (r"\p{L}", r"\p{N}", r"\s")]
    found = {}
    for code in CODES:
        char = chr(code)
        pieces = len(split.pre_tokenize_str(f"a{char}a"))
        letter, number, space = (not each.normalize_str(char) for each in classes)
        found[code] = (
            (clean.normalize_str(char) == "")
            | (pieces == 2) << 1
            | (strip.normalize_str(char) == "") << 2
            | (pieces == 3) << 3
            | (chinese.normalize_str(char) != char) << 4
            | letter << 5
            | number << 6
            | space << 7
        )
    return found


def combining_classes() -> dict[int, int]:
    """Code point -> canonical combining class, 0 where the library does not know the mark yet."""
    nfd = normalizers.NFD()
    return {
        code: unicodedata.combining(chr(code))
        if unicodedata.combining(chr(code)) == 240
        or nfd.normalize_str(f"{HIGHEST_CLASS}{chr(code)}")[0] == chr(code)
        else 0
        for code in CODES
    }


def decompositions() -> list[tuple[int, int, int, int]]:
    """(code point, first, second or 0, whether NFC puts it together again), one step of canonical decomposition."""
    nfd, nfc = normalizers.NFD(), normalizers.NFC()
    found = []
    for code in CODES:
        char = chr(code)
        steps = unicodedata.decomposition(char)
        if code in HANGUL or not steps or steps.startswith("<") or nfd.normalize_str(char) == char:
            continue
        first, second = (*(int(part, 16) for part in steps.split()), 0)[:2]
        found.append((code, first, second, int(second != 0 and nfc.normalize_str(char) == char)))
    return found


def lower_case() -> list[tuple[int, int]]:
    """(code point, lower case); U+0130 alone has two and is left to the code."""
    lower = normalizers.Lowercase()
    pairs = ((code, lower.normalize_str(chr(code))) for code in CODES)
    return [(code, ord(text)) for code, text in pairs if len(text) == 1 and text != chr(code)]


def runs(values: dict[int, int]) -> list[tuple[int, int]]:
    """(first code point, value) of every stretch of equal values; the surrogates continue what is before them."""
    return [
        (next(iter(group))[0], value) for value, group in groupby(values.items(), key=lambda item: item[1])
    ]


def table(name: str, kind: str, rows: Iterable[tuple[int, ...]]) -> str:
    """A C++ array, many entries to a line."""
    cells = [
        "{" + ",".join(f"{value:#x}" if value > 9 else str(value) for value in row) + "}" for row in rows
    ]
    lines, line = [], ""
    for cell in cells:
        if len(line) + len(cell) > 116:
            lines.append(line)
            line = ""
        line += cell + ","
    return f"constexpr {kind} {name}[] = {{\n" + "\n".join([*lines, line]) + "\n};\n"


def main() -> None:
    """Write the file."""
    text = (
        f"// Written by tools/make_unicode_tables.py: Unicode {unicodedata.unidata_version} of Python, "
        f"tokenizers {version('tokenizers')}.\n"
        + table("kFlagRuns", "Run", runs(flags()))
        + table("kCombiningRuns", "Run", runs(combining_classes()))
        + table("kDecompositions", "Decomposition", decompositions())
        + table("kLowerCase", "Lower", lower_case())
    )
    OUTPUT.write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
