"""The opened graphs of a bundle: each file once, in the precision and on the device of its part."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from realm_engine.bundle.bundle import Bundle, Part
from realm_engine.bundle.manifest import GraphSpec
from realm_engine.errors import BundleError, ClosedError
from realm_engine.runtimes.base import Backend, CheckedSession, Session
from realm_engine.runtimes.choose import PartPlan
from realm_engine.runtimes.devices import open_backend
from realm_engine.runtimes.padding import ROW_SIZES, PaddedSession, SessionPerShape, convolves_pictures


class Sessions:
    """Opens the session of a graph on first use; two graphs of one file share it. Threads may share it too.

    A process that is forked has none of the threads of the runtimes: there nothing runs, and nothing is freed.
    """

    def __init__(
        self,
        bundle: Bundle,
        parts: Sequence[Part],
        plans: Mapping[str, PartPlan],
        fixed_shapes: bool | Literal["auto"] = "auto",
    ) -> None:
        """`fixed_shapes`: calls are filled up to a few sizes; "auto": where a backend is slow at one that is new."""
        self._fixed_shapes = fixed_shapes
        self.bundle = bundle
        self.plans = dict(plans)
        self._parts = {part.name: part for part in parts}
        self._opened: dict[tuple[str, str, str], Session] = {}
        self._cpu: Backend | None = None
        self._closed = False
        self._process = os.getpid()
        self._lock = threading.RLock()
        _open_here.add(self)

    def check_open(self) -> None:
        """Raise ClosedError where nothing can be run: closed, or this process was forked since."""
        if os.getpid() != self._process:
            raise ClosedError(
                "the engine was opened before this process was forked and cannot be used in it; open one here, "
                "or start processes by spawn"
            )
        if self._closed:
            raise ClosedError("the engine is closed; open it again")

    @property
    def is_open(self) -> bool:
        """Whether graphs can be run here: not closed, nor opened in a process that this one was forked from."""
        return not self._closed and os.getpid() == self._process

    def session(self, graph: str) -> Session:
        """The session of a graph; one that belongs to no part (a head) runs on the CPU in float32.

        The text towers are a small share of the work: where one has no variant in the part's precision, its
        fp32 file is used. Raises DeviceError, and BundleError for a part that is not there in the precision.
        """
        self.check_open()
        with self._lock:
            return CheckedSession(self._session(graph), self.bundle.graphs[graph])

    def texts_together(self, graph: str) -> bool:
        """Whether texts share the calls of a graph (`Backend.texts_together`). Raises BundleError as `session`."""
        return self._runs_on(graph)[0].texts_together

    def _session(self, graph: str) -> Session:
        backend, precision = self._runs_on(graph)
        files = self.bundle.graphs[graph].variants
        # Without a file of its own a precision is the runtime's own arithmetic on the fp32 file.
        computed = precision if precision in (*files, *backend.native) else "fp32"
        file = self.bundle.graph_file(graph, computed if computed in files else "fp32", backend.device)
        key = (file, backend.device, computed)
        if key not in self._opened:
            self._opened[key] = self._load(backend, file, computed, self.bundle.graphs[graph])
        return self._opened[key]

    def _runs_on(self, graph: str) -> tuple[Backend, str]:
        """The backend of a graph, and the precision of its part."""
        part = next((part for part in self._parts.values() if graph in part.graphs), None)
        if part is None:
            return self._head_backend(), "fp32"
        plan = self.plan(part.name)
        return plan.backend, plan.precision

    def plan(self, part: str) -> PartPlan:
        """How a part runs. Raises BundleError where it is not there in the precision that was asked for."""
        if part not in self.plans:
            has = ", ".join(self.bundle.precisions(self._parts[part]))
            other = next(iter(self.plans.values())).precision
            raise BundleError(f"{self.bundle.name}: {part} is not there in {other}, only in {has}")
        return self.plans[part]

    def describe(self, part: str | None = None) -> dict[str, Any]:
        """Device, runtime, precision and threads of a part, or of all whose precision is a choice, joined."""
        plans = {name: plan for name, plan in self.plans.items() if part in (None, name)}
        choices = {name: plan for name, plan in plans.items() if not self._parts[name].float32_alone}
        plans = choices or plans
        return {
            "device": _joined({name: plan.backend.device for name, plan in plans.items()}),
            "runtime": _joined({name: plan.backend.runtime for name, plan in plans.items()}),
            "precision": _joined({name: plan.precision for name, plan in plans.items()}),
            "threads": _joined({name: plan.backend.threads for name, plan in plans.items()}),
            "tuned": any(plan.tuned for plan in plans.values()),
            "why": _joined({name: plan.why for name, plan in plans.items()}),
            "bundle": self.bundle.name,
            "bundle_path": str(self.bundle.root),
            "weights": str(self.bundle.manifest.get("weights", "unknown")),
        }

    def close(self) -> None:
        """Free the runtimes' sessions, but not those of the process that this one was forked from."""
        self._closed = True
        if os.getpid() != self._process:
            return
        with self._lock:
            for session in self._opened.values():
                session.close()
            self._opened.clear()

    def _load(self, backend: Backend, file: str, precision: str, graph: GraphSpec) -> Session:
        path = self.bundle.file(file)

        def load() -> Session:
            self.bundle.files.check_again(file)
            session = backend.load(path, precision)
            self.bundle.files.check_again(file)
            return session

        sizes = backend.row_sizes
        if self._fixed_shapes == "auto":
            # Text towers have no convolutions, whose plans are what another size costs.
            sizes = {} if any("tokens" in tensor.shape for tensor in graph.inputs) else sizes
        else:
            sizes = (sizes or ROW_SIZES) if self._fixed_shapes else {}
        if not sizes:
            return load()
        if convolves_pictures(graph):
            return SessionPerShape(load, graph.name)
        return PaddedSession(load, graph, sizes)

    def _head_backend(self) -> Backend:
        if self._cpu is None:
            here = [plan.backend for plan in self.plans.values() if not plan.backend.resident]
            self._cpu = here[0] if here else open_backend("cpu")
        return self._cpu


def _joined(values: Mapping[str, Any]) -> Any:
    """The one value that all parts have, else each with its part's name."""
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return ", ".join(f"{part} {value}" for part, value in values.items())


_open_here: weakref.WeakSet[Sessions] = weakref.WeakSet()


def _leave_to_the_parent() -> None:
    """Keep what the parent has opened for ever, in a child: freeing it waits for threads that only the parent has."""
    for sessions in list(_open_here):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(sessions))


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_leave_to_the_parent)
