"""Write src/engine/unicode-tables.ts: the character classes of the `tokenizers` library, as ranges.

    python hosts/web/tools/unicode_tables.py > hosts/web/src/engine/unicode-tables.ts

BERT's cleaning asks whether a character is a mark, a punctuation or a control character. The library answers
from tables of its own, frozen at Unicode 8; a browser's `\\p{Mn}` follows a newer Unicode, another one in every
browser. Each code point is put through the library here, so that the page asks what the library asks.
"""

from collections.abc import Callable

from tokenizers import normalizers, pre_tokenizers

CLEAN = normalizers.BertNormalizer(
    clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False
)
STRIP = normalizers.BertNormalizer(
    clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False
)
SPLIT = pre_tokenizers.BertPreTokenizer()


def ranges(test: Callable[[str], bool]) -> str:
    """Code points that pass, as "first-last" in hexadecimal, separated by blanks."""
    found: list[list[int]] = []
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000 or not test(chr(code)):
            continue
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return " ".join(f"{first:x}" if first == last else f"{first:x}-{last:x}" for first, last in found)


def table(name: str, comment: str, test: Callable[[str], bool]) -> None:
    """One exported constant."""
    print(f'\n/** {comment} */\nexport const {name} =\n  "{ranges(test)}";')


print("// Written by tools/unicode_tables.py; do not edit. Ranges of code points in hexadecimal.")
table("MARKS", "Dropped by strip_accents.", lambda char: STRIP.normalize_str(char) == "")
table("REMOVED", "Dropped by clean_text.", lambda char: CLEAN.normalize_str(char) == "")
table(
    "PUNCTUATION",
    "A word of its own for BertPreTokenizer.",
    lambda char: len(SPLIT.pre_tokenize_str(f"a{char}a")) == 3,
)
