"""Where a measure's values lie on a named set of pictures, so that measures of different units can be added up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from realm_engine.bundle.manifest import Section
from realm_engine.errors import BundleError


@dataclass(frozen=True)
class Scale:
    """The 5th and the 95th percentile, `p5` and `p95`, of a measure's first column over the pictures of `set`."""

    p5: float
    p95: float
    set: str

    @classmethod
    def parse(cls, section: Section) -> Scale:
        """The "scale" of a measure. Raises BundleError."""
        p5, p95 = section.number("p5"), section.number("p95")
        if not p5 < p95:
            raise BundleError(f"{section.where}: 'p5' must be below 'p95'; export the bundle again")
        return cls(p5, p95, section.text("set"))

    def place(self, value: float, better: Literal["high", "low"]) -> float:
        """Where a value lies, 0 to 1: 0 at the worse percentile and beyond it, 1 at the better one and beyond."""
        place = min(max((value - self.p5) / (self.p95 - self.p5), 0.0), 1.0)
        return place if better == "high" else 1.0 - place
