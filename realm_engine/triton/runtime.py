"""Triton as a runtime of the engine: a graph is a model of the server that asks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from realm_engine.arrays import Array
from realm_engine.bundle.bundle import MANIFEST, PARTS, Bundle
from realm_engine.bundle.manifest import (
    Section,
    check_name,
    check_version,
    parse_core,
    parse_dream,
    parse_graphs,
)
from realm_engine.engine import Engine
from realm_engine.errors import BundleError, DeviceError
from realm_engine.machine.memory import MemoryLimit
from realm_engine.machine.processor import default_threads
from realm_engine.measures.core import Core
from realm_engine.runtimes.base import contiguous
from realm_engine.runtimes.choose import PartPlan
from realm_engine.text import TextEncoder, Tokenizer
from realm_engine.triton.config import GRAPH_OF_OUTPUT, is_batched, model_name

# The graphs run in the server: what they take is not held by this process, and not for it to bound.
_UNBOUNDED = MemoryLimit(1 << 62)


class TritonSession:
    """Runs graphs of a bundle in the server; which one follows from the output that is asked for."""

    def __init__(self, bundle: Bundle, utils: Any, max_batch: int) -> None:
        self._bundle = bundle
        self._utils = utils
        self._max_batch = max_batch

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Array]:
        """See `Session.run`. More rows than the server takes in one call go in several."""
        graph = self._bundle.graphs[GRAPH_OF_OUTPUT[outputs[0]]]
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

    def __init__(self, bundle: Bundle, utils: Any, max_batch: int, window_batch: int) -> None:
        self.threads = default_threads()
        self.window_batch = window_batch
        self.image_batch = max_batch
        self._session = TritonSession(bundle, utils, max_batch)

    def upload(self, array: Array) -> Any:
        """See `Backend.upload`."""
        return array

    def load(self, path: Path, precision: str) -> TritonSession:
        """See `Backend.load`. The file is the server's; whichever it is, one session reaches all graphs."""
        return self._session


def open_served(folder: Path, settings: Mapping[str, str], utils: Any) -> Engine:
    """The engine over graphs that a server runs.

    `folder` holds the manifest and what is read here (tokenizers, phrases), not the graphs. `settings` are the
    model's parameters of that name. `utils` is Triton's `triton_python_backend_utils`. Raises BundleError.
    """
    bundle = read_served(folder)
    backend = TritonBackend(bundle, utils, int(settings["max_batch"]), int(settings["window_batch"]))
    plans = {
        part: PartPlan(backend, settings["precision"])
        for part in PARTS
        if settings["precision"] in bundle.precisions(part)
    }
    return Engine(bundle, plans, _UNBOUNDED)


def open_core(bundle: Bundle, session: TritonSession) -> Core:
    """CORE over a server's graphs. It gets whole batches: `Engine.score` would start with what is decoded first,
    which suits a folder of files, and here would tear requests apart that the server has joined."""
    if bundle.core is None:
        raise BundleError(f"{bundle.name}: this bundle has no CORE and cannot score; use another")
    graph = bundle.graphs["core_text"]
    tokenizer = Tokenizer(bundle.file(bundle.core.text.tokenizer), bundle.core.text)
    encoder = TextEncoder(tokenizer, lambda: session, graph.input_names, "text_features")
    output = graph.output("text_features")
    width = output.shape[-1] if output is not None else None
    return Core(bundle.core, encoder, width if isinstance(width, int) else None, lambda: session)


def read_served(folder: Path) -> Bundle:
    """A bundle without its graphs' files. Raises BundleError."""
    path = folder / MANIFEST
    try:
        manifest = Section(json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); export the repository again") from error
    check_version(manifest)
    check_name(manifest)
    graphs = parse_graphs(manifest.section("graphs"))
    has = {part: all(graph in graphs for graph in needed) for part, needed in PARTS.items()}
    return Bundle(
        root=folder,
        manifest=manifest.data,
        graphs=graphs,
        core=parse_core(manifest.section("core")) if has["core"] else None,
        dream=parse_dream(manifest.section("dream")) if has["dream"] else None,
    )
