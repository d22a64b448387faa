"""What weights may be used for, and what they were trained on: each part of a bundle has its own terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from realm_engine.bundle.manifest import Section, safe_relative

NOT_STATED = "not stated"


@dataclass(frozen=True)
class Terms:
    """Terms of some weights.

    `licence`: its name, one line. `text`: the file of the bundle that holds it, None without one. `training_data`:
    one line.
    """

    licence: str
    commercial_use: bool
    training_data: str
    text: str | None = None

    @classmethod
    def parse(cls, section: Section, otherwise: Terms | None = None) -> Terms:
        """The "licence" and "training_data" of an object; what it leaves out is `otherwise`'s. Raises BundleError."""
        if otherwise is not None and "licence" not in section.data:
            licence, commercial_use, text = otherwise.licence, otherwise.commercial_use, otherwise.text
        else:
            stated = section.section("licence")
            licence, commercial_use = stated.get("weights", str), bool(stated.get("commercial_use", bool))
            text = safe_relative(stated.data["text"], stated.where) if "text" in stated.data else None
        if otherwise is not None and "training_data" not in section.data:
            return cls(licence, commercial_use, otherwise.training_data, text)
        return cls(licence, commercial_use, section.get("training_data", str), text)

    @classmethod
    def of_bundle(cls, manifest: Mapping[str, Any]) -> Terms:
        """Those of the bundle as a whole, of what states none of its own; what is missing or odd forbids."""
        stated, training_data = manifest.get("licence"), manifest.get("training_data", NOT_STATED)
        licence = stated if isinstance(stated, Mapping) else {}
        text = licence.get("text")
        return cls(
            licence=str(licence.get("weights", NOT_STATED)),
            commercial_use=licence.get("commercial_use") is True,
            training_data=str(training_data),
            text=text if isinstance(text, str) else None,
        )

    @property
    def line(self) -> str:
        """The licence in words: "Apache-2.0 (commercial use allowed)"."""
        licence = " ".join(self.licence.split())
        return f"{licence} (commercial use {'allowed' if self.commercial_use else 'not allowed'})"


def alike(terms: Mapping[str, Terms]) -> dict[Terms, list[str]]:
    """Names by their terms, in order: those of equal terms stand together."""
    found: dict[Terms, list[str]] = {}
    for name, each in terms.items():
        found.setdefault(each, []).append(name)
    return found
