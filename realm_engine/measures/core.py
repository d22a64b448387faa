"""CORE: images and their descriptions -> mean opinion scores of realness."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from realm_engine.arrays import Array, Float32, UInt8
from realm_engine.bundle.manifest import CoreSpec
from realm_engine.pictures.resample import resample_matrix_float32
from realm_engine.runtimes import Session
from realm_engine.text import TextEncoder

log = logging.getLogger("realm_engine")


def is_missing(text: str | None) -> bool:
    """Whether a description counts as missing: None, or nothing but white space."""
    return text is None or not text.strip()


class Core:
    """Scores images of any size with one pair of graphs. Does not own its sessions."""

    def __init__(
        self,
        spec: CoreSpec,
        text_encoder: TextEncoder,
        text_width: int | None,
        session: Callable[[], Session],
    ) -> None:
        self.spec = spec
        self._text = text_encoder
        self._text_width = text_width
        self._session = session
        self._warned = False

    def score(self, images: Sequence[UInt8], texts: Sequence[str | None]) -> Float32:
        """Predict the MOS (z-score, higher = more real), float32 (N,), in the order of the images.

        `images` are uint8 RGB, H x W x 3, of any mixture of sizes; those of equal size share a call.
        `texts` are as many; None or blank means that there is no description. Raises DeviceError.
        """
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} images but {len(texts)} texts")
        spec, mos = self.spec, np.zeros(len(images), dtype=np.float32)
        features, has_text = self._text_features(texts)
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            groups.setdefault(image.shape, []).append(index)
        for (height, width, *_), indices in groups.items():
            feeds: dict[str, Array] = {
                "pixels": np.stack([images[index] for index in indices]),
                "resample_rows": resample_matrix_float32(height, spec.height_px, spec.interpolation),
                "resample_cols": resample_matrix_float32(width, spec.width_px, spec.interpolation),
                "text_features": features[indices],
                "has_text": has_text[indices],
            }
            mos[indices] = self._session().run(feeds, ["mos"])[0].reshape(-1)
        return mos

    def rating(self, mos: float) -> float:
        """The 0-100 rating behind a MOS, clipped to that range."""
        return float(np.clip(self.spec.rating_offset + self.spec.rating_slope * mos, 0.0, 100.0))

    def _text_features(self, texts: Sequence[str | None]) -> tuple[Float32, Float32]:
        """(features (N, F), has_text (N,)); rows without text are 0 and replaced inside the graph."""
        present = [text for text in texts if text is not None and not is_missing(text)]
        if len(present) < len(texts):
            self._warn_missing()
        if present:
            embedded = self._text.features(present)
            self._text_width = embedded.shape[1]
        elif self._text_width is None:  # a manifest that leaves the width free: the graph knows it
            self._text_width = self._text.features([""]).shape[1]
        features = np.zeros((len(texts), self._text_width or 0), dtype=np.float32)
        has_text = np.array([not is_missing(text) for text in texts], dtype=np.float32)
        if present:
            features[has_text == 1] = embedded
        return features, has_text

    def _warn_missing(self) -> None:
        if self.spec.missing_text == "empty-description" and not self._warned:
            self._warned = True
            log.warning(
                "this bundle was never trained without descriptions: where one is missing it is scored "
                "as if it were empty, which is less reliable (said once)"
            )
