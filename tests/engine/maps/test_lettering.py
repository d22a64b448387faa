"""Words inside pictures: lines that fit, and letters that a font has."""

import random

import numpy as np
import pytest

from realm_engine.maps import lettering
from realm_engine.maps.lettering import Lettering
from realm_engine.maps.words import Words

TEXTS = [
    "Yes. The rim and front of the cup look melted and drip downwards like wax.",
    "a" * 300,
    "word " * 80,
    "ünïcödé Жуть 写真 مرحبا",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("width", [40, 120, 333])
@pytest.mark.parametrize("most", [1, 2, 50])
def test_lines_fit_and_hold_the_whole_text_or_say_that_they_do_not(text: str, width: int, most: int) -> None:
    given = Lettering(text, 12)
    lines = given.wrapped(width, most)
    assert 1 <= len(lines) <= most and all(given.width(line) <= width for line in lines)
    joined = "".join(lines).replace(" ", "")
    if lines[-1].endswith("..."):
        assert len(lines) == most and given.text.replace(" ", "").startswith(joined.removesuffix("..."))
    else:
        assert joined == given.text.replace(" ", "")


def test_a_name_keeps_both_ends() -> None:
    name = "a-very-long-folder/and-a-long-file-name-000123.png"
    shown = Lettering(name, 12).middle_left_out(150)
    assert (
        Lettering(shown, 12).width() <= 150
        and shown.endswith("123.png")
        and shown[0] == "a"
        and "..." in shown
    )
    assert Lettering(name, 12).middle_left_out(1000) == name
    assert Lettering("", 12).middle_left_out(10) == ""


@pytest.mark.parametrize("fonts", ["those of this machine", "none"])
def test_letters_that_no_font_has_are_written_out(fonts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lettering._readable.cache_clear()
    if fonts == "none":
        monkeypatch.setattr(lettering, "_fonts", lambda: ())
    shown = Lettering("café – 3×4 \U000e0041 \ud800.png", 12).text
    lettering._readable.cache_clear()
    assert shown == ("cafe - 3x4" if fonts == "none" else "café – 3×4") + " \\U000e0041 \\ud800.png"


def test_what_would_turn_or_break_a_line_is_written_out() -> None:
    assert Lettering("a\u202eb\nc\td\x1b[1m", 12).text == "a\\u202eb c d\\x1b[1m"


def test_any_text_is_drawn() -> None:
    """Letters of all planes, surrogates and none at all, in rows too narrow for any of them."""
    rng = random.Random(5)
    for width in (30, 200):
        words = Words(width, 1.0)
        for _ in range(60):
            words.text("".join(chr(rng.randrange(0x110000)) for _ in range(rng.randrange(9))), 2)
        words.title("n" * 99, "s" * 99)
        words.row(["0.123"] * 12, "mean realness")
        words.table(["0.123"] * 12, ["12 x 34 px at 5, 6"] * 12, "mean realness")
        picture = np.asarray(words.drawn())
        assert picture.shape == (words.height_px, width, 3) and (picture < 100).any()
    assert Words(100, 1.0).drawn().height == 0
