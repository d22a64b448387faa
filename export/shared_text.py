"""One text file for CORE and CLIP where both use the same transformer."""

from __future__ import annotations

from export.clip_model import ClipModel
from export.core import CoreSource
from export.graph import GraphExport


def shared_text_export(core: CoreSource, clip: ClipModel) -> GraphExport | None:
    """The graph with both outputs, or None where transformers or tokenizers differ."""
    return None
