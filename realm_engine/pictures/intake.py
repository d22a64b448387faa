"""How pictures come into an engine: decoded ahead of those who look at them, within a limit of memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from realm_engine.arrays import UInt8
from realm_engine.errors import AnswerError, ImageError
from realm_engine.machine.memory import MemoryLimit, format_bytes, resident_bytes
from realm_engine.pictures.decode import Admit, load_image
from realm_engine.pictures.inputs import Entry
from realm_engine.pictures.pipeline import BUDGET_BYTES, Pipeline, Watch
from realm_engine.pictures.sources import ImageSource

# An image that takes less to decode is never refused: what a call takes is bounded where calls are made.
SMALL_BYTES = 16 << 20
_MAX_DECODERS = 4
_MAX_DECODERS_ALONE = 16

T = TypeVar("T")


@dataclass(frozen=True)
class Intake:
    """Decodes pictures, one by one or ahead of those who look at them. `memory`: what the process may hold."""

    memory: MemoryLimit

    def load(self, source: ImageSource, admit: Admit | None = None) -> UInt8:
        """The image, unless a strict limit of memory would not hold it while it is decoded.

        `admit` is asked first, with the bytes that decoding takes. Raises ImageError.
        """

        def check(needs: int) -> None:
            if admit is not None:
                admit(needs)
            room = self.room() if self.memory.strict else needs
            if needs > max(room, SMALL_BYTES):
                name = os.fspath(source) if isinstance(source, str | os.PathLike) else "image"
                limit = self.memory.limit_bytes
                raise ImageError(
                    f"{name}: decoding it takes {format_bytes(needs)} beside the {format_bytes(limit - room)} that are "
                    f"held, and --max-memory is {format_bytes(limit)}; give more, or scale it down"
                )

        return load_image(source, check)

    def room(self) -> int:
        """Bytes that the process may still take."""
        return self.memory.limit_bytes - resident_bytes()

    def pipeline(
        self,
        run: Callable[[list[UInt8], list[Entry]], Sequence[T]],
        fail: Callable[[Entry, str], T],
        per_call: Callable[[UInt8], int],
        batch_size: int,
        threads: int,
        gather: bool = False,
        key: Callable[[UInt8], Hashable] | None = None,
        watch: Watch | None = None,
    ) -> Pipeline[T]:
        """A `Pipeline` for `run`, which looks at pictures on so many threads.

        `gather`: a device beside the processor looks at them, which then has nothing to do but decode.
        """
        waiting = min(BUDGET_BYTES, self.memory.limit_bytes // 8)
        decoders = min(_MAX_DECODERS_ALONE if gather else _MAX_DECODERS, threads)
        room = self.room if self.memory.strict else None
        return Pipeline(
            self.load, run, fail, batch_size, decoders, per_call, waiting, gather, key, room, watch
        )


def name_of(image: ImageSource) -> str:
    """The file's name, "" where there is no file."""
    return Path(image).name if isinstance(image, str | os.PathLike) else ""


@contextmanager
def answers_for(image: ImageSource) -> Iterator[None]:
    """Within the block an answer that is no number is an error that names the file."""
    try:
        yield
    except AnswerError as error:
        if isinstance(image, str | os.PathLike):
            raise AnswerError(f"{os.fspath(image)}: {error}") from error
        raise
