"""The exception that a user of the export can meet."""

from __future__ import annotations


class ExportError(Exception):
    """One line: what happened, where, what to do."""
