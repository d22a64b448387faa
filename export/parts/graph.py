"""A network that somebody brings as a measure: pixels in, one number a picture out. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
from PIL import Image

from export.errors import ExportError
from export.graph.model import Port
from export.graph.wrap import OUTPUT, Brought, open_brought, session_of, wrap, wrapped_inputs
from export.measures import Measure, View, check_name
from export.parts.part import MeasureAlone
from export.proof.limits import Tier, gate
from realm_engine.arrays import Array
from realm_engine.bundle.columns import Column
from realm_engine.pictures.resample import resample_matrix_float32
from realm_engine.verbs.fidelity import two_digits

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
DEFAULT_RANGE = (0.0, 1.0)
# Of the largest value: the pixels are the same, so only the last bits of sums may differ.
LIMIT = 1e-4


@dataclass(frozen=True)
class OwnGraph(MeasureAlone):
    """A measure of the kind "graph".

    Attributes:
        path: ONNX file: input float32 [N, 3, H, W], output float32 [N] or [N, 1].
        measure: The measure's name.
        better: Which end of its range is better.
        view: How it looks at a picture.
        mean: Per channel, of pixels in 0..1.
        std: Likewise.
        range: Usual range; None for 0 to 1, which the photographs must then keep.
        meaning: One line.
    """

    path: Path
    measure: str
    better: Literal["high", "low"]
    view: View
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    range: tuple[float, float] | None = None
    meaning: str = ""

    weights = "brought by its user"

    def __post_init__(self) -> None:
        check_name(self.measure)
        if not all(np.isfinite(self.mean)) or not all(np.isfinite(value) and value > 0 for value in self.std):
            raise ExportError("--mean and --std are three numbers each, and --std is above 0")
        if self.range is not None and not -np.inf < self.range[0] < self.range[1] < np.inf:
            raise ExportError(f"--range {self.range[0]:g} {self.range[1]:g}: give the lower number first")

    @property
    def name(self) -> str:
        """Its key in "fidelity", where other words are keys as well."""
        return f"measures.{self.measure}"

    @property
    def column(self) -> str:
        """Name of its column, and of its graph."""
        return self.measure.replace("-", "_")

    @cached_property
    def brought(self) -> Brought:
        """The network, checked."""
        return open_brought(self.path, self.view)

    def graphs(self) -> Sequence[WrappedGraph]:
        """The network behind our preprocessing."""
        return (WrappedGraph(self.column, wrapped_inputs(self.view), (OUTPUT,), self),)

    def measures(self) -> Mapping[str, Measure]:
        """Itself."""
        low, high = self.range or DEFAULT_RANGE
        meaning = self.meaning or f"what {self.path.name} gives"
        column = Column(self.column, OUTPUT.name, low, high, self.better, meaning)
        inside = {"graph": self.column, "view": self.view.manifest()}
        return {self.measure: Measure("graph", meaning, (column,), inside)}

    def expected(self, pictures: Sequence[Array]) -> Array:
        """Values float64 [pictures], by Pillow's resize, NumPy and the network as it was brought.

        Raises:
            ExportError: the network does not run on a picture, or gives no finite number, or one beyond the range
                that nobody gave.
        """
        session = session_of(self.path, str(self.path))
        values = np.array([self._reference(session, picture) for picture in pictures])
        if not np.isfinite(values).all():
            worst = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ExportError(
                f"{self.path}: gives {values[worst]} on photograph {worst + 1} of {len(values)}; "
                "look at --mean, --std and --view"
            )
        low, high = values.min(), values.max()
        if self.range is None and not DEFAULT_RANGE[0] <= low <= high <= DEFAULT_RANGE[1]:
            raise ExportError(
                f"{self.path}: gives {low:.4g} to {high:.4g} on the photographs; "
                "give its usual range, --range LOW HIGH"
            )
        return values

    def compare(
        self, folder: Path, precision: str, pictures: Sequence[Array], expected: Array, tier: Tier
    ) -> dict[str, float]:
        """Largest difference of the written graph from `expected`, and of a batch from its pictures alone."""
        session = session_of(folder / f"{self.column}.onnx", str(self.path))
        alone = np.array([self._run(session, picture[None])[0] for picture in pictures], dtype=np.float64)
        limit = LIMIT * max(1.0, float(np.abs(expected).max()))
        wrapped = float(np.abs(alone - expected).max())
        gate(f"{self.measure} differs from Pillow, NumPy and {self.path.name}", wrapped, limit)
        batched = 0.0
        for picture in pictures[:2]:
            batch = np.stack([picture, picture[:, ::-1], 255 - picture])
            singles = np.concatenate([self._run(session, one[None]) for one in batch])
            batched = max(batched, float(np.abs(self._run(session, batch) - singles).max()))
        gate(f"{self.measure} of a picture changes with the others of its batch", batched, limit)
        return {"value_max_abs_diff": two_digits(wrapped), "batch_max_abs_diff": two_digits(batched)}

    def _reference(self, session: onnxruntime.InferenceSession, picture: Array) -> float:
        image = Image.fromarray(picture)
        if self.view.kind == "whole":
            # One axis after the other: which one Pillow takes first is not the same in all of its versions.
            filter = RESAMPLING[self.view.interpolation]
            image = image.resize((self.view.width_px, image.height), filter)
            image = image.resize((self.view.width_px, self.view.height_px), filter)
        pixels: Array = np.asarray(image, dtype=np.float32) / np.float32(255)
        mean, std = (np.array(numbers, dtype=np.float32) for numbers in (self.mean, self.std))
        pixels = (pixels - mean) / std
        feeds = {self.brought.input: np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])}
        return float(self._answer(session, feeds, 1)[0])

    def _run(self, session: onnxruntime.InferenceSession, pixels: Array) -> Array:
        """Values float32 [N] of the written graph for pictures of one size, uint8 [N, H, W, 3]."""
        feeds = {"pixels": pixels}
        if self.view.kind == "whole":
            height, width, filter = self.view.height_px, self.view.width_px, self.view.interpolation
            feeds["resample_rows"] = resample_matrix_float32(pixels.shape[1], height, filter)[None, None]
            feeds["resample_cols"] = resample_matrix_float32(pixels.shape[2], width, filter)[None, None]
        return self._answer(session, feeds, len(pixels))

    def _answer(
        self, session: onnxruntime.InferenceSession, feeds: Mapping[str, Array], pictures: int
    ) -> Array:
        what = (
            "a picture"
            if pictures == 1
            else f"{pictures} pictures at once; export it with a dynamic batch axis"
        )
        try:
            (values,) = session.run(None, dict(feeds))
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise ExportError(f"{self.path}: does not run on {what} ({reason})") from None
        if values.size != pictures:
            raise ExportError(f"{self.path}: gives {values.size} numbers for {what}")
        return np.asarray(values).reshape(pictures)


@dataclass(frozen=True)
class WrappedGraph:
    """The graph of an `OwnGraph`."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    part: OwnGraph

    float32_alone = False

    def model(self) -> onnx.ModelProto:
        """See `export.graph.wrap.wrap`."""
        part = self.part
        return wrap(part.brought, part.view, part.mean, part.std, self.name)
