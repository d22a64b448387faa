"""The exceptions a user can meet. Each message is one line: what happened, where, what to do."""

from __future__ import annotations


class RealmError(Exception):
    """Anything a user can cause or cure; every other exception that escapes is a bug."""

    exit_code = 2


class BundleError(RealmError):
    """A bundle that is missing, damaged, unsafe or of a newer major format version."""


class DeviceError(RealmError):
    """A device, runtime or precision that cannot be had, or that failed while running."""


class DeviceMemoryError(DeviceError):
    """A call for which a device has no memory; a smaller one may do."""


class AnswerError(RealmError):
    """A graph that answered NaN or infinity: neither a score nor a map can be made of it."""


class ImageError(RealmError):
    """An image that is missing, unreadable or of an unsupported kind."""


class TextError(RealmError):
    """A description, or a file of descriptions, that cannot be used."""


class WindowError(RealmError):
    """A window or stride that does not suit the image."""


class OutputError(RealmError):
    """An output that cannot be written."""


class UsageError(RealmError):
    """A call or a command line that contradicts itself."""
