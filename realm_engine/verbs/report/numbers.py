"""Numbers as people read them."""

from __future__ import annotations


def number(value: float | None, decimals: int) -> str:
    """A number as it is shown; a minus that is one; "–" where there is none."""
    if value is None:
        return "–"
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: float | None, decimals: int) -> str:
    """A difference, with its sign."""
    text = number(value, decimals)
    return f"+{text}" if value is not None and value > 0 and float(text) != 0 else text


def probability(p: float | None) -> str:
    """A p value: three digits after the point, the least one as a bound."""
    if p is None:
        return "–"
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def interval(low: float | None, high: float | None, decimals: int) -> str:
    """Both ends, "1.2 to 3.4"."""
    return "–" if low is None or high is None else f"{number(low, decimals)} to {number(high, decimals)}"
