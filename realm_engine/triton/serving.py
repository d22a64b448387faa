"""The two Python models of the repository: an image and a text in one request -> MOS, or a map.

They are the engine itself, with Triton as its runtime: `TritonSession` sends every graph's inputs to the model
that serves it. Decoding, tokens, resize matrices, windows and the spread of their values are thus the very code
of `Engine.score` and `Engine.map`, and so are the answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from realm_engine.arrays import Array
from realm_engine.engine import Engine, Measured
from realm_engine.errors import (
    AnswerError,
    BundleError,
    DeviceError,
    ImageError,
    RealmError,
    TextError,
    UsageError,
)
from realm_engine.maps.files import colour_limits, map_record
from realm_engine.maps.realness_map import choose_config
from realm_engine.pictures.decode import load_image
from realm_engine.pictures.inputs import Entry
from realm_engine.triton.runtime import open_served


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
        code = (
            kind.INTERNAL if isinstance(error, (DeviceError, BundleError, AnswerError)) else kind.INVALID_ARG
        )
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
    """Requests of one or more images with a text each -> the columns of the bundle's first measure."""

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Measure the images of all requests together; a request with a bad image gets an error of its own."""
        read = [self._read(request) for request in requests]
        todo = [Entry(0, "image", *pair) for pairs in read if isinstance(pairs, list) for pair in pairs]
        numbered = [replace(entry, index=index) for index, entry in enumerate(todo)]
        # Gathered: a folder's first images go as they are decoded, but a server has joined these on purpose.
        rows = self._engine.measure(numbered, batch_size=self._max_batch, gather=True)
        return [
            self._error(pairs)
            if isinstance(pairs, RealmError)
            else self._measured(pairs, [next(rows) for _ in pairs])
            for pairs in read
        ]

    def _read(self, request: Any) -> list[tuple[bytes | Array, str | None]] | RealmError:
        try:
            images = self._images(request, batched=True)
            texts = _optional_texts(self._input(request, "text"), len(images))
        except RealmError as error:
            return error
        return list(zip(images, texts, strict=True))

    def _measured(self, pairs: Sequence[tuple[bytes | Array, str | None]], rows: Sequence[Measured]) -> Any:
        failed = next((row.error for row in rows if row.error is not None), None)
        if failed is not None:
            return self._error(_fault([image for image, _ in pairs]) or DeviceError(failed))
        return self._answer(
            {
                name: np.array([[row[name]] for row in rows], dtype=np.float32)
                for name in (rows[0].values if rows else ())
            }
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
        used = self._engine.describe(self._engine.map_part)
        facts = {name: used[name] for name in ("bundle", "weights", "runtime", "precision")}
        record = {**facts, **map_record(result, colour_limits(result))}
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


def _fault(images: Sequence[bytes | Array]) -> RealmError | None:
    """What is wrong with the first image that cannot be read; None where all can: then a graph has failed."""
    for image in images:
        try:
            load_image(image)
        except RealmError as error:
            return error
    return None


def _texts(values: Array) -> list[str]:
    try:
        return [bytes(value).decode("utf-8") for value in values.reshape(-1)]
    except UnicodeDecodeError as error:
        raise TextError(f"'text' is not UTF-8 (byte {error.start}); encode it so") from error


def _optional_texts(values: Array | None, count: int) -> list[str | None]:
    """One text per image; an empty one counts as missing."""
    if values is None:
        return [None] * count
    return [text or None for text in _texts(values)]
