"""CORE over many images: what a stream of scores answers, image by image."""

from __future__ import annotations

from dataclasses import dataclass

from realm_engine.arrays import UInt8
from realm_engine.machine.memory import MemoryLimit
from realm_engine.measures.core import Core
from realm_engine.pictures.pipeline import Job


@dataclass(frozen=True)
class Score:
    """CORE's answer for one image. A failed image has `error` and neither `mos` nor `realness`.

    `mos`: mean opinion score as a z-score, higher = more real. `realness`: the 0-100 rating behind it.
    """

    name: str
    mos: float | None
    realness: float | None
    description: str | None = None
    error: str | None = None


class ScoreStream:
    """What a `Pipeline` asks of a stream of scores, at most `batch_size` images of one size a call.

    `memory` bounds what a call takes on the host; None: it takes that on a device with memory of its own.
    """

    def __init__(self, core: Core, batch_size: int, memory: MemoryLimit | None) -> None:
        self._core = core
        self._batch_size = batch_size
        self._memory = memory

    def run(self, decoded: list[UInt8], jobs: list[Job]) -> list[Score]:
        """Answer images of one size. Raises DeviceError, AnswerError and TextError."""
        values = self._core.score(decoded, [job.text for job in jobs])
        return [
            Score(job.name, float(mos), self._core.rating(float(mos)), job.text)
            for job, mos in zip(jobs, values, strict=True)
        ]

    def fail(self, job: Job, message: str) -> Score:
        """Answer an image that cannot be scored."""
        return Score(job.name, None, None, job.text, message)

    def per_call(self, image: UInt8) -> int:
        """How many images of this size share a call. Raises UsageError where the memory does not hold one."""
        if self._memory is None:
            return self._batch_size
        spec, own_px = self._core.spec, image.shape[0] * image.shape[1]
        return self._memory.inputs_per_call(spec.height_px, spec.width_px, self._batch_size, own_px=own_px)
