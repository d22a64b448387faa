"""The mean realness of generated pictures as a torchmetrics metric, for training loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from realm_engine import Engine, EngineOptions
from realm_engine.errors import AnswerError, ImageValueError, UsageError
from realm_engine.machine.packages import needs

with needs("realm_train.mean_realness", "torchmetrics"):
    from torchmetrics import Metric

PREFERRED = "realness"  # 0 to 100, where a bundle has it; else its first column


class MeanRealness(Metric):
    """The mean of one column of an engine's scores over all pictures of all processes.

    It says how real pictures look, without others to compare them with as FID needs, and has no gradient. It is
    updated, computed, reset and synchronised as every metric. The engine runs beside the model, by default on the
    processor; each process opens its own at the first update, and no checkpoint or copy holds it: its options are.

    ```python
    metric = MeanRealness()
    metric.update(images)  # uint8 [N, 3, H, W]
    metric.compute()  # float32 []
    ```
    """

    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(
        self,
        options: EngineOptions | None = None,
        column: str | None = None,
        metrics: str | Sequence[str] | None = None,
        normalize: bool = False,
        **kwargs: Any,
    ) -> None:
        """Remember how to open the engine.

        Args:
            options: Bundle, device, precision and threads; by default the embedded bundle on the processor.
            column: The column to average; by default "realness" where there is one, else the first.
            metrics: Measures to run (`Engine.score`), by default the bundle's first.
            normalize: Pictures are floats in [0, 1], as torchmetrics calls that, not uint8.
            kwargs: torchmetrics' own, as `dist_sync_on_step` and `sync_on_compute`.
        """
        super().__init__(**kwargs)
        self.options = options or EngineOptions(device="cpu")
        self.column = column
        self.metrics = metrics
        self.normalize = normalize
        self._engine: Engine | None = None
        self._better: str | None = None
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, images: Tensor, descriptions: Sequence[str | None] | None = None) -> None:
        """Add pictures.

        Args:
            images: RGB, [N, 3, H, W] on any device: uint8, or with `normalize` floats in [0, 1], rounded to uint8.
            descriptions: What looks unreal, one per picture; None: pixels alone.

        Raises:
            ImageValueError: another shape or dtype, or floats outside of [0, 1].
            UsageError: a column that the measures do not have, or another number of descriptions.
            AnswerError: a picture that has no number.
            BundleError, DeviceError: the engine cannot be opened.
        """
        engine = self.engine()
        pictures = _bytes_of(images) if self.normalize else images
        column = self._column(engine)
        for row in engine.iter_scores(pictures, descriptions, metrics=self.metrics, layout="NCHW"):
            value = row.values[column]
            if value is None:
                raise AnswerError(f"{row.name}: no {column} ({row.error or 'the measure has no answer'})")
            self.total += value
            self.count += 1

    def compute(self) -> Tensor:
        """The mean, float32 []; NaN where there was no picture."""
        return (self.total / self.count).to(torch.float32)

    def engine(self) -> Engine:
        """The engine of this process, opened at first use. Raises BundleError, DeviceError or UsageError."""
        if self._engine is None:
            self._engine = self.options.open()
        return self._engine

    def close(self) -> None:
        """Free the engine; the next update opens another."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]  # set by the class there
        """Which way the column counts; None before the first update, which reads it in the bundle."""
        return None if self._better is None else self._better == "high"

    def _column(self, engine: Engine) -> str:
        numbers = {column.name: column for column in engine.chosen(self.metrics).columns if not column.words}
        wanted = self.column or (PREFERRED if PREFERRED in numbers else next(iter(numbers), PREFERRED))
        if wanted not in numbers:
            raise UsageError(
                f"there is no column {wanted!r} to average, only {', '.join(numbers) or 'words'}"
            )
        self._better = numbers[wanted].better
        return wanted

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: everything but the engine, whose runtime lives in this process."""
        return {**super().__getstate__(), "_engine": None}


def _bytes_of(images: Tensor) -> Tensor:
    """Floats in [0, 1] as uint8, rounded. Raises ImageValueError."""
    if not images.is_floating_point():
        raise ImageValueError(f"tensor: dtype {images.dtype}, expected floats in [0, 1] (normalize=True)")
    low, high = (float(images.min()), float(images.max())) if images.numel() else (0.0, 0.0)
    if not (low >= 0.0 and high <= 1.0):
        raise ImageValueError(f"tensor: values {low:g} to {high:g}, expected 0 to 1 (normalize=True)")
    return (images.detach() * 255).round().to(torch.uint8)
