"""A block of words in a picture: lines under each other, numbers with the badges that their frames have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from realm_engine.maps.lettering import Font, Lettering
from realm_engine.maps.render import BADGE, INK, PAPER, badge

LETTERS, TITLE = 12, 15
"""Heights of letters, in units."""
_GREY = (90, 90, 90)
_MARGIN = 8
_LINE = 1.35  # height of a line, in letters
_BETWEEN = 14  # numbers in a row


@dataclass(frozen=True)
class _Piece:
    x: float
    y: float
    text: str
    font: Font
    fill: tuple[int, int, int]


class Words:
    """Words of one block, from above; they are drawn at the end, when it is known how high it is."""

    def __init__(self, width_px: int, unit: float) -> None:
        """`width_px`: of the block; `unit`: pixels that a line is wide."""
        self.width_px = width_px
        self._unit = unit
        self._margin = _MARGIN * unit
        self._inner = width_px - 2 * self._margin
        self._pieces: list[_Piece] = []
        self._badges: list[tuple[float, float, int]] = []
        self._y = 0.0

    @property
    def height_px(self) -> int:
        """Of what is written so far, with margins; 0 where that is nothing."""
        return round(self._y + 2 * self._margin) if self._pieces else 0

    def title(self, name: str, aside: str) -> None:
        """A name, and words at the right of it, or below where there is no room."""
        if not (name or aside):
            return
        right = Lettering(aside, LETTERS * self._unit)
        room = self._inner - right.width() - 2 * self._margin
        big = Lettering(name, TITLE * self._unit)
        if not aside or big.width() > room:
            self.text(big.middle_left_out(self._inner), 1, TITLE)
            self.text(aside, 2)
            return
        line = self._line(TITLE)
        self._add(0.0, line, big.text, big.font)
        self._add(self._inner - right.width(), line, right.text, right.font)
        self._y += line

    def name(self, name: str) -> None:
        """A name in one line; of a long one the ends stay."""
        shown = Lettering(name, LETTERS * self._unit)
        self._add(0.0, self._line(LETTERS), shown.middle_left_out(self._inner), shown.font)
        self._y += self._line(LETTERS)

    def text(self, text: str, most_lines: int, letters: int = LETTERS) -> None:
        """A text in at most so many lines; what is cut ends in an ellipsis."""
        lettering = Lettering(text, letters * self._unit)
        line = self._line(letters)
        for each in lettering.wrapped(self._inner, most_lines):
            self._add(0.0, line, each, lettering.font)
            self._y += line

    def lines_within(self, height_px: float, most: int) -> int:
        """How many lines of a text fit before the block is so high, two at least."""
        left = height_px - self._y - 2 * self._margin
        return max(2, min(most, int(left / self._line(LETTERS))))

    def row(self, values: Sequence[str], meaning: str) -> None:
        """Numbered values side by side, and what they are."""
        if not values:
            return
        wide, between = (BADGE + 4) * self._unit, _BETWEEN * self._unit
        line, x = self._line(LETTERS) * 1.2, 0.0
        for number, value in enumerate(values, start=1):
            shown = Lettering(value, LETTERS * self._unit)
            needs = wide + shown.width()
            if x and x + needs > self._inner:
                x, self._y = 0.0, self._y + line
            self._badge(x, line, number)
            self._add(x + wide, line, shown.text, shown.font)
            x += needs + between
        about = Lettering(meaning, LETTERS * self._unit)
        if x + about.width() > self._inner:
            x, self._y = 0.0, self._y + line
        self._add(x, line, about.middle_left_out(self._inner), about.font, _GREY)
        self._y += line

    def table(self, values: Sequence[str], places: Sequence[str], meaning: str) -> None:
        """Numbered values under each other, each with its place, and what they are."""
        if not values:
            return
        self._y += self._margin / 2
        line, unit = self._line(LETTERS) * 1.2, self._unit
        about = Lettering(meaning, LETTERS * unit)
        self._add(0.0, line, about.middle_left_out(self._inner), about.font, _GREY)
        self._y += line
        shown = [Lettering(value, LETTERS * unit) for value in values]
        left = (BADGE + 4) * unit
        second = left + max(each.width() for each in shown) + 10 * unit
        for number, (value, place) in enumerate(zip(shown, places, strict=True), start=1):
            self._badge(0.0, line, number)
            self._add(left, line, value.text, value.font)
            where = Lettering(place, LETTERS * unit)
            self._add(second, line, where.middle_left_out(self._inner - second), where.font, _GREY)
            self._y += line

    def drawn(self) -> Image.Image:
        """The block, `width_px` x `height_px`."""
        canvas = Image.new("RGB", (self.width_px, self.height_px), PAPER)
        draw = ImageDraw.Draw(canvas)
        for piece in self._pieces:
            x, y = self._margin + piece.x, self._margin + piece.y
            draw.text((x, y), piece.text, fill=piece.fill, font=piece.font, anchor="lm")
        for x, y, number in self._badges:
            badge(draw, (self._margin + x, self._margin + y), number, self._unit)
        return canvas

    def _line(self, letters: int) -> float:
        return _LINE * letters * self._unit

    def _add(self, x: float, line: float, text: str, font: Font, fill: tuple[int, int, int] = INK) -> None:
        self._pieces.append(_Piece(x, self._y + line / 2, text, font, fill))

    def _badge(self, x: float, line: float, number: int) -> None:
        self._badges.append((x + BADGE * self._unit / 2, self._y + line / 2, number))
