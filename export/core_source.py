"""Open a CORE for export: a run folder of `realm-train core`, its checkpoint, or an upstream `best_model.pth`."""

from __future__ import annotations

from export.core import CoreSource


def open_core(path: str) -> CoreSource:
    """Build CORE and load its weights without unpickling code."""
    raise NotImplementedError
