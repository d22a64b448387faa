"""What a small bundle says of untouched photographs: the graph `photographs`, and the same in plain numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from bundles import EMBEDDING, Reference, interface, onnx_model, read_manifest, write_manifest

RANK = 3
_GRAPH = """
photographs (float[texts, {width}] text) => (float[texts, {sizes}] mean, float[texts, {sizes}] std) {{
  mean = MatMul(text, clean_mean)
  texts_3d = Unsqueeze(text, first)
  along = MatMul(texts_3d, clean_factor)
  variance = ReduceSumSquare<axes = [2], keepdims = 0>(along)
  safe = Add(variance, tiny)
  by_window = Sqrt(safe)
  std = Transpose<perm = [1, 0]>(by_window)
}}"""


def _constants(sizes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng((seed, 2))
    # All texts of the bundle are much alike, because of their padding: windows are more like any than photographs are.
    mean = rng.normal(size=(EMBEDDING, sizes)) / 16 - 0.8 * Reference().text_embedding("a")[:, None]
    return mean.astype(np.float32), (rng.normal(size=(sizes, EMBEDDING, RANK)) / 4).astype(np.float32)


def add_photographs(
    folder: Path,
    windows_px: Sequence[int],
    encoder: str,
    stands_out: Mapping[str, Mapping[str, float]] | None = None,
    seed: int = 0,
) -> Path:
    """Give a bundle the graph, and its presets what they reach: `stands_out` by preset."""
    manifest = read_manifest(folder)
    mean, factor = _constants(len(windows_px), seed)
    text = _GRAPH.format(width=EMBEDDING, sizes=len(windows_px))
    model = onnx_model(
        text, {"clean_mean": mean, "clean_factor": factor}, {"first": [0], "tiny": 1e-12}, False
    )
    onnx.helper.set_model_props(model, {"realm.graph": "photographs", "realm.bundle": manifest["name"]})
    onnx.save(model, str(folder / "photographs.onnx"))
    manifest["graphs"]["photographs"] = {
        "variants": {"fp32": "photographs.onnx"},
        "inputs": interface(model.graph.input),
        "outputs": interface(model.graph.output),
    }
    manifest["format_version"] = "1.2"
    manifest["dream"]["photographs"] = {"windows_px": list(windows_px), "encoder": encoder}
    for name, thresholds in (stands_out or {}).items():
        manifest["dream"]["presets"][name]["stands_out"] = dict(thresholds)
    write_manifest(folder, manifest)
    return folder


def scale(texts: np.ndarray, columns: Sequence[int], sizes: int, seed: int = 0) -> tuple[float, float]:
    """Mean and standard deviation of similarity in float64: over texts (K, D) and the window sizes of `columns`."""
    mean, factor = (each.astype(np.float64) for each in _constants(sizes, seed))
    means = [text @ mean[:, column] for text in texts for column in columns]
    stds = [np.sqrt(text @ factor[column] @ factor[column].T @ text) for text in texts for column in columns]
    return float(np.mean(means)), float(np.mean(stds))
