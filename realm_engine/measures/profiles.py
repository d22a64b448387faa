"""How a measure counts: correctly, or as its original does, whose defects are then its own."""

from __future__ import annotations

DEFAULT, PUBLISHED = "default", "published"
PROFILES = (DEFAULT, PUBLISHED)
