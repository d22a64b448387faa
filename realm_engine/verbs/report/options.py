"""What `realm-engine compare` and `report` are asked for alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from realm_engine.errors import UsageError
from realm_engine.verbs.asked import Asked


@dataclass(frozen=True)
class PageOptions:
    """How pictures are measured and put on a page; see the help.

    `asked`: by which measures. `headline`: what the page is about, None for the bundle's first measure. `maps`: of how
    many pictures of each kind, None for what the verb does by itself. `command`: as it stands on the page.
    """

    output: Path
    asked: Asked = field(default_factory=Asked)
    headline: str | None = None
    maps: int | None = None
    gallery: bool = True
    batch_size: int | None = None
    resume: str | None = None
    command: str | None = None

    def __post_init__(self) -> None:
        if not self.gallery and self.maps:
            raise UsageError("--maps contradicts --no-gallery; give one of them")

    def of_pictures_alone(self) -> dict[str, object]:
        """What has no sense for finished scores, by option; None where it is not given."""
        return {
            "--resume": self.resume,
            "--profile": None if self.asked.profile == Asked.profile else self.asked.profile,
            "--combine": self.asked.combine,
        }
