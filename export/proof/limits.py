"""How exact a file must be, what happens to one that is not, and its numbers in words. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from export.errors import ExportError

# Numbers of "fidelity" that the export tells while it works, in this order.
WORDS = {
    "mos_max_abs_diff": "MOS within",
    "similarity_max_abs_diff": "similarity within",
    "map_pearson_min": "map Pearson",
    "value_max_abs_diff": "value within",
    "p_max_abs_diff": "p within",
    "map_left_over": "of its map left over",
    "srocc": "SROCC",
    "srocc_mos": "SROCC against MOS",
    "srocc_mos_fp32": "in fp32",
}


class Tier(StrEnum):
    """What a file may differ from PyTorch by."""

    EXACT = "exact"  # float32 throughout
    STORED = "stored"  # weights stored in fewer bits are a slightly different model
    HALF = "half"  # float16 arithmetic


def tier_of(precision: str, storage: str) -> Tier:
    """The tier of a variant that is compared with PyTorch."""
    if precision != "fp32":
        return Tier.HALF
    return Tier.EXACT if storage == "fp32" else Tier.STORED


def gate(what: str, value: float, limit: float, at_least: bool = False) -> None:
    """Refuse a bundle whose number is beyond its limit; NaN is.

    Raises:
        ExportError: with the number and the limit.
    """
    passed = value >= limit if at_least else value <= limit
    if not passed:
        raise ExportError(
            f"{what}: {value:.6g}, the gate is {'at least' if at_least else 'at most'} {limit:g}; "
            "no bundle was written"
        )


def summary(record: Mapping[str, Any], without: str = "") -> str:
    """The numbers of all parts of a "fidelity" record in words, but for `without`."""
    told = {name: words for name, words in WORDS.items() if name != without}
    parts = [part for part in record.values() if isinstance(part, Mapping)]
    return ", ".join(
        f"{words} {part[name]:g}" for part in parts for name, words in told.items() if name in part
    )
