"""The two Python models of the repository: an image and a text in one request -> MOS, or a map.

They are the engine itself, with Triton as its runtime: `TritonSession` sends every graph's inputs to the model
that serves it. Decoding, tokens, resize matrices, windows and the spread of their values are thus the very code
of `Engine.score` and `Engine.map`, and so are the answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realm_engine.arrays import Array
from realm_engine.engine import Engine
from realm_engine.errors import BundleError, DeviceError, ImageError, RealmError, TextError, UsageError
from realm_engine.machine.processor import default_threads
from realm_engine.maps.files import map_record
from realm_engine.maps.render import colour_limits
from realm_engine.measures.core import Core
from realm_engine.pictures.decode import load_image
from realm_engine.triton.runtime import TritonSession, open_core, open_served
from realm_engine.verbs.map import choose_config

_MAX_DECODERS = 4


@dataclass(frozen=True)
class _Rows:
    """A request to score: its images, encoded or decoded, and as many texts."""

    images: list[Any]
    texts: list[str | None]


class _Model:
    """What Triton calls: `initialize` once, `execute` per batch of requests, `finalize` at the end."""

    _utils: Any
    _engine: Engine
    _max_batch: int

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the engine on the bundle beside the model."""
        # There is such a module inside a server's Python processes only.
        import triton_python_backend_utils as utils  # type: ignore[import-not-found]

        self._utils = utils
        parameters = json.loads(args["model_config"])["parameters"]
        settings = {name: value["string_value"] for name, value in parameters.items()}
        self._max_batch = int(settings["max_batch"])
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
        """One line; what the request asked wrongly is its fault (HTTP 400), a graph that failed is not (500)."""
        kind = self._utils.TritonError
        code = kind.INTERNAL if isinstance(error, (DeviceError, BundleError)) else kind.INVALID_ARG
        return self._utils.InferenceResponse([], kind(str(error), code))

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

    _core: Core
    _decoders: ThreadPoolExecutor

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open CORE on the bundle beside the model."""
        super().initialize(args)
        bundle = self._engine.bundle
        self._core = open_core(bundle, TritonSession(bundle, self._utils, self._max_batch))
        self._decoders = ThreadPoolExecutor(min(_MAX_DECODERS, default_threads()))

    def finalize(self) -> None:
        """Close the engine and its threads."""
        super().finalize()
        self._decoders.shutdown()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Score the images of all requests together; a request with a bad image gets an error of its own."""
        read = self._decode([self._read(request) for request in requests])
        good = [rows for rows in read if isinstance(rows, _Rows)]
        try:
            answers = iter(self._score(good))
        except RealmError:  # one by one, so that only the request to blame has an error
            answers = iter([self._alone(rows) for rows in good])
        return [self._error(rows) if isinstance(rows, RealmError) else next(answers) for rows in read]

    def _read(self, request: Any) -> _Rows | RealmError:
        try:
            images = self._images(request, batched=True)
            return _Rows(images, _optional_texts(self._input(request, "text"), len(images)))
        except RealmError as error:
            return error

    def _decode(self, read: Sequence[_Rows | RealmError]) -> list[_Rows | RealmError]:
        """The images of all requests, decoded on threads: those of one size are to share a call."""
        waiting = [
            rows
            if isinstance(rows, RealmError)
            else [self._decoders.submit(load_image, image) for image in rows.images]
            for rows in read
        ]
        decoded: list[_Rows | RealmError] = []
        for rows, futures in zip(read, waiting, strict=True):
            try:
                if isinstance(rows, RealmError) or isinstance(futures, RealmError):
                    decoded.append(rows)
                else:
                    decoded.append(_Rows([future.result() for future in futures], rows.texts))
            except RealmError as error:
                decoded.append(error)
        return decoded

    def _score(self, read: Sequence[_Rows]) -> list[Any]:
        """Answers of requests that can be read. Raises DeviceError when a graph fails."""
        if not read:
            return []
        images = [image for rows in read for image in rows.images]
        mos = self._core.score(images, [text for rows in read for text in rows.texts])
        ends = np.cumsum([len(rows.images) for rows in read])
        return [self._scored(values) for values in np.split(mos, ends[:-1])]

    def _alone(self, rows: _Rows) -> Any:
        try:
            return self._score([rows])[0]
        except RealmError as error:
            return self._error(error)

    def _scored(self, mos: Array) -> Any:
        if not np.isfinite(mos).all():
            return self._error(DeviceError("the model's answer is not a number"))
        realness = np.array([self._core.rating(float(value)) for value in mos], dtype=np.float32)
        return self._answer({"mos": mos.reshape(-1, 1), "realness": realness.reshape(-1, 1)})


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
