"""Threads that decode, which end by themselves once nobody waits for their pictures."""

from __future__ import annotations

import threading
import time

from realm_engine.pictures.pipeline import DECODING


def wait_until_no_thread_decodes(seconds: float = 10.0) -> None:
    """Fails where one is still there after so long."""
    deadline = time.monotonic() + seconds
    while left := [each.name for each in threading.enumerate() if each.name.startswith(DECODING)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
