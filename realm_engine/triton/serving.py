"""The two Python models of the repository: an image and a text in one request -> MOS, or a map.

They are the engine itself, with Triton as its runtime: `TritonBackend` sends every graph's inputs to the model
that serves it. Decoding, tokens, resize matrices, windows and the spread of their values are thus the very code
of `Engine.score` and `Engine.map`, and so are the answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from realm_engine.backends.base import Array, contiguous, default_threads
from realm_engine.bundle import MANIFEST, PARTS, Bundle
from realm_engine.engine import Engine, Score
from realm_engine.errors import BundleError, DeviceError, ImageError, RealmError, TextError, UsageError
from realm_engine.manifest import Section, check_version, parse_core, parse_dream, parse_graphs
from realm_engine.map_files import map_record
from realm_engine.mapping import choose_config
from realm_engine.memory import MemoryLimit
from realm_engine.plan import PartPlan
from realm_engine.render import colour_limits
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


def read_served(folder: Path) -> Bundle:
    """A bundle without its graphs' files. Raises BundleError."""
    path = folder / MANIFEST
    try:
        manifest = Section(json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); export the repository again") from error
    check_version(manifest)
    graphs = parse_graphs(manifest.section("graphs"))
    has = {part: all(graph in graphs for graph in needed) for part, needed in PARTS.items()}
    return Bundle(
        root=folder,
        manifest=manifest.data,
        graphs=graphs,
        core=parse_core(manifest.section("core")) if has["core"] else None,
        dream=parse_dream(manifest.section("dream")) if has["dream"] else None,
    )


class _Model:
    """What Triton calls: `initialize` once, `execute` per batch of requests, `finalize` at the end."""

    _utils: Any
    _engine: Engine

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the engine on the bundle beside the model."""
        # There is such a module inside a server's Python processes only.
        import triton_python_backend_utils as utils  # type: ignore[import-not-found]

        self._utils = utils
        parameters = json.loads(args["model_config"])["parameters"]
        settings = {name: value["string_value"] for name, value in parameters.items()}
        folder = Path(args["model_repository"], args["model_version"], "bundle")
        self._engine = open_served(folder, settings, utils)

    def finalize(self) -> None:
        """Close the engine."""
        self._engine.close()

    def _input(self, request: Any, name: str) -> Array | None:
        tensor = self._utils.get_input_tensor_by_name(request, name)
        return None if tensor is None else np.asarray(tensor.as_numpy())

    def _answer(self, tensors: Mapping[str, Array]) -> Any:
        return self._utils.InferenceResponse([self._utils.Tensor(*pair) for pair in tensors.items()])

    def _error(self, error: RealmError) -> Any:
        return self._utils.InferenceResponse([], self._utils.TritonError(str(error)))

    def _images(self, request: Any, batched: bool) -> list[bytes | Array]:
        encoded, pixels = self._input(request, "image"), self._input(request, "pixels")
        if (encoded is None) == (pixels is None):
            raise ImageError("give either 'image' (an encoded file) or 'pixels' (uint8 RGB H x W x 3)")
        if encoded is not None:
            return [bytes(value) for value in encoded.reshape(-1)]
        assert pixels is not None
        return list(pixels) if batched else [pixels]


class ScoreModel(_Model):
    """Requests of one or more images with a text each -> `mos` and `realness`."""

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Score the images of all requests together; a request with a bad image gets an error of its own."""
        images: list[bytes | Array] = []
        texts: list[str | None] = []
        places: list[slice | RealmError] = []
        for request in requests:
            try:
                own = self._images(request, batched=True)
                own_texts = _optional_texts(self._input(request, "text"), len(own))
            except RealmError as error:
                places.append(error)
                continue
            places.append(slice(len(images), len(images) + len(own)))
            images += own
            texts += own_texts
        try:
            names = [f"image {index}" for index in range(len(images))]
            scores = self._engine.score(images, texts, names=names) if images else []
        except RealmError as error:
            return [self._error(place if isinstance(place, RealmError) else error) for place in places]
        return [
            self._error(place) if isinstance(place, RealmError) else self._scored(scores[place])
            for place in places
        ]

    def _scored(self, scores: Sequence[Score]) -> Any:
        failed = next((score.error for score in scores if score.error is not None), None)
        if failed is not None:
            return self._error(ImageError(failed))
        columns = {
            "mos": [score.mos for score in scores],
            "realness": [score.realness for score in scores],
        }
        return self._answer(
            {name: np.array(values, dtype=np.float32).reshape(-1, 1) for name, values in columns.items()}
        )


class MapModel(_Model):
    """A request of one image -> its `map`, float32 (H, W), and a `record`, JSON, that says what it holds."""

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Map the image of every request."""
        return [self._map(request) for request in requests]

    def _map(self, request: Any) -> Any:
        try:
            (image,) = self._images(request, batched=False)
            given = self._input(request, "text")
            texts = None if given is None else _texts(given)
            windows, stride = self._input(request, "windows_px"), self._input(request, "stride_px")
            config = choose_config(
                self._engine.presets(),
                self._word(request, "preset"),
                () if windows is None else [int(size) for size in windows.reshape(-1)],
                None if stride is None else int(stride.reshape(-1)[0]),
                self._word(request, "aggregate"),
                self._word(request, "quantity") or "realness",
            )
            result = self._engine.map(image, texts, config)
        except RealmError as error:
            return self._error(error)
        used = self._engine.describe("dream")
        facts = {name: used[name] for name in ("bundle", "weights", "runtime", "precision")}
        record = {**facts, **map_record(result, colour_limits(result.values, result.covered))}
        text = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace")
        return self._answer({"map": result.values, "record": np.array([text], dtype=np.object_)})

    def _word(self, request: Any, name: str) -> str | None:
        value = self._input(request, name)
        if value is None:
            return None
        words = _texts(value)
        if len(words) != 1:
            raise UsageError(f"'{name}' must be one word")
        return words[0]


def _texts(values: Array) -> list[str]:
    try:
        return [bytes(value).decode("utf-8") for value in values.reshape(-1)]
    except UnicodeDecodeError as error:
        raise TextError(f"'text' is not UTF-8 (byte {error.start}); encode it so") from error


def _optional_texts(values: Array | None, count: int) -> list[str | None]:
    """One text per image; an empty one counts as none."""
    if values is None:
        return [None] * count
    return [text or None for text in _texts(values)]
