"""A run that repeats, recorded as a CUDA graph and replayed: one launch instead of one per kernel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from realm_engine.runtimes.tensorrt.cuda import Cuda, CudaError

log = logging.getLogger("realm_engine")

# The first run of a lane settles what TensorRT put off; the second is recorded; from then on it is replayed.
_RUNS_BEFORE_CAPTURE = 1


class Recording:
    """The CUDA graph of the present shapes and addresses of one execution context.

    `where`: the graph's name for messages. `enabled` False never records.
    """

    def __init__(self, cuda: Cuda, where: str, enabled: bool) -> None:
        self._cuda = cuda
        self._where = where
        self._enabled = enabled
        self._graph: Any = None
        self._runs = 0

    def run(self, enqueue: Callable[[], bool], stream: Any) -> bool:
        """Run: as it is, recording it, or from the recording; whether that worked.

        `enqueue` puts the work of a run into the stream and says whether it could. Raises CudaError.
        """
        if self._graph is None and self._enabled and self._runs >= _RUNS_BEFORE_CAPTURE:
            self._capture(enqueue, stream)
        if self._graph is not None:
            self._cuda.call("cudaGraphLaunch", self._graph, stream)
        elif not enqueue():
            return False
        self._runs += 1
        return True

    def _capture(self, enqueue: Callable[[], bool], stream: Any) -> None:
        """Record one run; a graph that cannot be recorded simply runs without."""
        self._cuda.begin_capture(stream)
        try:
            recorded = enqueue()
        except Exception:
            self._cuda.abort_capture(stream)
            raise
        if not recorded:
            self._cuda.abort_capture(stream)
            self._enabled = False
            return
        try:
            self._graph = self._cuda.end_capture(stream)
        except CudaError as error:
            log.debug("%s: no CUDA graph: %s", self._where, error)
            self._cuda.module.cudaGetLastError()
            self._enabled = False

    def forget(self) -> None:
        """Drop the recording: shapes or addresses are about to change."""
        if self._graph is not None:
            self._cuda.call("cudaGraphExecDestroy", self._graph)
            self._graph = None
        self._runs = 0
