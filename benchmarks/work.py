"""What each measure is benchmarked on: its unit of work, and how far its answers are from the published loop's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """The work of one measure.

    Attributes:
        name: Of its suite, and of the part of a model that does it.
        unit: What is counted.
        question: Heading of its table.
        fidelity: Keys of an accuracy: the agreement with the published loop, and the largest difference from it.
        fidelity_title: The two in words.
    """

    name: str
    unit: str
    question: str
    fidelity: tuple[str, str]
    fidelity_title: str


MAPS = Work(
    "dream",
    "windows",
    "How fast is a map of a 512 x 384 picture?",
    ("pearson", "max_abs_diff"),
    "Pearson, largest difference",
)
SCORES = Work(
    "core",
    "images",
    "How fast are scores of 512 x 384 pictures with a text?",
    ("srocc", "mos_max_abs_diff"),
    "SROCC, largest difference of MOS",
)
WORKS = {work.name: work for work in (MAPS, SCORES)}
