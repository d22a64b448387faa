"""The exception that a user of the export can meet."""

from __future__ import annotations

from realm_engine.errors import RealmError


class ExportError(RealmError):
    """One line: what happened, where, what to do."""
