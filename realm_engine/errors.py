"""The exceptions a user can meet. Each message is one line: what happened, where, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher, get_close_matches

_LONGEST = 6000  # characters of a message: a path of 4096 bytes, and what is said of it


def printable(text: str) -> str:
    """A text as one line that no terminal takes for a command: control characters and line ends as \\x1b, \\n..."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """The end of an error: "; did you mean X?", or X or Y, of what is spelt alike; "" where nothing is."""
    alike = get_close_matches(given, list(known), n=2)
    if len(alike) == 2:
        first, second = (SequenceMatcher(None, given, each).ratio() for each in alike)
        alike = alike[: 1 if first - second > 0.05 else 2]
    return f"; did you mean {' or '.join(alike)}?" if alike else ""


class RealmError(Exception):
    """Anything a user can cause or cure; every other exception that escapes is a bug."""

    exit_code = 2

    def __str__(self) -> str:
        """The message as `printable`, cut in its middle where it is long: names of files and of what bundles hold
        stand in it."""
        text = printable(super().__str__())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 3 :]}"


class BundleError(RealmError):
    """A bundle that is missing, damaged, unsafe or of a newer major format version."""


class DeviceError(RealmError):
    """A device, runtime or precision that cannot be had, or that failed while running."""


class ClosedError(DeviceError):
    """An engine that nothing can be run on: it was closed, or opened in a process that this one was forked from."""


class DeviceMemoryError(DeviceError):
    """A call for which a device has no memory; a smaller one may do."""


class AnswerError(RealmError):
    """A graph that answered NaN or infinity: neither a score nor a map can be made of it."""


class ImageError(RealmError):
    """An image that is missing, unreadable or of an unsupported kind."""


class ImageTypeError(ImageError, TypeError):
    """What was given as an image is of a type that no image has: a mistake of the program, and never a row."""


class ImageValueError(ImageError, ValueError):
    """An array or a tensor whose type or shape is no image's: a mistake of the program, and never a row."""


class TextError(RealmError):
    """A description, or a file of descriptions, that cannot be used."""


class WindowError(RealmError):
    """A window or stride that does not suit the image."""


class OutputError(RealmError):
    """An output that cannot be written."""


class OfflineError(RealmError):
    """Something would have to be fetched, and this process must stay offline."""


class DownloadError(RealmError):
    """Something that cannot be fetched, or that is not what was announced."""


class UsageError(RealmError):
    """A call or a command line that contradicts itself."""


def raise_interrupt(error: BaseException) -> None:
    """Raise the Ctrl-C that an error was made of: one that strikes while a native module is imported comes out as an
    ImportError, for instance."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            raise seen
        seen = seen.__cause__ or seen.__context__


@contextmanager
def heeding_interrupts() -> Iterator[None]:
    """Whatever a Ctrl-C became on its way through native code leaves the block as KeyboardInterrupt."""
    try:
        yield
    except Exception as error:
        raise_interrupt(error)
        raise
