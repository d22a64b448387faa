"""Triton as a runtime of the engine: a graph is a model of the server that asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from realm_engine.arrays import Array
from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.manifest import GraphSpec
from realm_engine.engine import Engine
from realm_engine.errors import DeviceError
from realm_engine.opened import Contents
from realm_engine.runtimes.base import contiguous
from realm_engine.runtimes.choose import PartPlan
from realm_engine.runtimes.devices import default_threads
from realm_engine.triton.config import is_batched, model_name


class TritonSession:
    """Runs the graphs of a file in the server; which one follows from the output that is asked for."""

    def __init__(self, bundle: Bundle, graphs: Sequence[GraphSpec], utils: Any, max_batch: int) -> None:
        self._bundle = bundle
        self._utils = utils
        self._max_batch = max_batch
        self._graphs = {output.name: graph for graph in graphs for output in graph.outputs}

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """See `Session.run`. More rows than the server takes in one call go in several."""
        graph = self._graphs[outputs[0]]
        model = model_name(self._bundle.name, graph.name)
        rows = len(next(iter(inputs.values())))
        if not is_batched(graph) or rows <= self._max_batch:
            return self._call(model, inputs, outputs)
        parts = [
            self._call(
                model,
                {name: array[start : start + self._max_batch] for name, array in inputs.items()},
                outputs,
            )
            for start in range(0, rows, self._max_batch)
        ]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _call(self, model: str, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        utils = self._utils
        request = utils.InferenceRequest(
            model_name=model,
            requested_output_names=list(outputs),
            inputs=[utils.Tensor(name, contiguous(array)) for name, array in inputs.items()],
            # Without this an answer of a model on a GPU stays in the GPU's memory.
            preferred_memory=utils.PreferredMemory(utils.TRITONSERVER_MEMORY_CPU, 0),
        )
        response = request.exec()
        if response.has_error():
            raise DeviceError(f"{model}: {' '.join(str(response.error().message()).split())}")
        tensors = [utils.get_output_tensor_by_name(response, name) for name in outputs]
        return [np.asarray(tensor.as_numpy()) for tensor in tensors]

    def close(self) -> None:
        """See `Session.close`; the server holds the models."""


class TritonBackend:
    """Triton as a runtime of the engine: the graphs are models of the same server."""

    name = "triton"
    device = "triton"
    runtime = "Triton Inference Server"
    fast_fp16 = False
    native: tuple[str, ...] = ()
    lacks: Mapping[str, str] = MappingProxyType({})
    resident = False
    texts_together = True
    row_sizes: Mapping[str, tuple[int, ...]] = MappingProxyType({})

    def __init__(self, bundle: Bundle, utils: Any, max_batch: int, window_batch: int) -> None:
        self.threads = default_threads()
        self.window_batch = window_batch
        self.image_batch = max_batch
        self._bundle = bundle
        self._utils = utils

    def upload(self, array: Array) -> Any:
        """See `Backend.upload`."""
        return array

    def load(self, path: Path, precision: str) -> TritonSession:
        """See `Backend.load`. The file is the server's; its name says which graphs it holds."""
        bundle = self._bundle
        graphs = [
            graph
            for graph in bundle.graphs.values()
            if path in (bundle.root / file for file in graph.variants.values())
        ]
        return TritonSession(bundle, graphs, self._utils, self.image_batch)


def open_served(folder: Path, settings: Mapping[str, str], utils: Any) -> Engine:
    """The engine over graphs that a server runs.

    `folder` holds the manifest and what is read here (tokenizers, phrases), not the graphs. `settings` are the
    model's parameters of that name. `utils` is Triton's `triton_python_backend_utils`. Raises BundleError.
    """
    bundle = Bundle.read(folder)
    contents = Contents(bundle)
    backend = TritonBackend(bundle, utils, int(settings["max_batch"]), int(settings["window_batch"]))
    plans = {
        part.name: PartPlan(backend, settings["precision"])
        for part in contents.parts
        if settings["precision"] in bundle.precisions(part)
    }
    return Engine.of_parts(contents, plans)
