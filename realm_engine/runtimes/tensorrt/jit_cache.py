"""What TensorRT-RTX compiles on the machine itself, kept between processes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger("realm_engine")


class JitCache:
    """What TensorRT-RTX compiles on the machine itself (its runtime cache), kept between processes."""

    def __init__(self, data: bytes, keep: Callable[[bytes], None]) -> None:
        self._data = data
        self._keep = keep
        self._cache: Any = None

    def attach(self, config: Any) -> None:
        """Let contexts made with this configuration use and fill the cache."""
        self._cache = config.create_runtime_cache()
        if self._data and not self._cache.deserialize(self._data):
            log.debug("the runtime cache is of another version, driver or GPU, and starts anew")
            self._data = b""
        config.set_runtime_cache(self._cache)

    def save(self) -> None:
        """Keep the cache if it grew."""
        found = self._cache.serialize() if self._cache is not None else None
        data = b"" if found is None else bytes(found)
        if data and data != self._data:
            self._keep(data)
