"""Messages are one line that no terminal takes for a command."""

from __future__ import annotations

import gc
import weakref

import pytest

from realm_engine import Engine
from realm_engine.errors import BundleError, ImageError, RealmError, heeding_interrupts, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a.png: no image", "a.png: no image"),
        ("café “ä” 猫 🙂", "café “ä” 猫 🙂"),
        ("red\x1b[31m", r"red\x1b[31m"),
        ("two\nlines\r", r"two\nlines\r"),
        ("caf\udce9", r"caf\udce9"),
        ("right\u202eto left", r"right\u202eto left"),
        ("bell\a \x9b31m", r"bell\x07 \x9b31m"),
    ],
)
def test_what_a_terminal_would_obey_is_spelled(text, shown):
    assert printable(text) == shown == str(RealmError(text)) == str(ImageError(text))
    assert len(str(BundleError(text)).splitlines()) == 1


def test_an_engine_that_is_dropped_is_freed_at_once(bundle_path, photo):
    """Without waiting for the collector of circles: sixty of them held a gigabyte."""
    gc.disable()
    try:
        engine = Engine.open(bundle_path, device="cpu", threads=1)
        engine.score([photo()], ["a seam"])
        engine.map(photo(90, 99), "a seam")
        engine.map(photo(70, 84))
        watched = [weakref.ref(engine._main), weakref.ref(engine._main.sessions)]
        del engine
        assert [each() for each in watched] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("chained", ["from error", ""])
def test_an_interrupt_that_became_another_error_is_one_again(chained):
    code = "try:\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt as error:\n"
    with pytest.raises(KeyboardInterrupt), heeding_interrupts():
        exec(code + f"    raise ImportError('initialization failed') {chained}")
    with pytest.raises(ImportError, match="no such"), heeding_interrupts():
        raise ImportError("no such module")
