"""Errors a user of realm-train can meet: one line that says what happened, where, and what to do."""

from realm_engine.errors import RealmError


class ConfigError(RealmError):
    """A setting is unknown, of the wrong type or outside its range."""


class DataError(RealmError):
    """Training data are missing, unreadable or contradict themselves."""


class TowerError(RealmError):
    """An image or text tower, or its weights, cannot be had."""


class RunError(RealmError):
    """A run folder is missing, occupied, or does not fit what is asked of it."""
