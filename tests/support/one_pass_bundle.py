"""The small bundle of tests with graphs of one pass as well, and what they compute in plain numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from bundles import EMBEDDING, build_bundle, interface, onnx_model, read_manifest, write_manifest

CELLS_PX = (4, 8)
HALO_PX = 8  # a cell of 8 px sees one of 4 px beyond itself
CHANNELS = (6, 7)

_TRUNK = """
trunk (uint8[height, width, 3] image) => (float[6, rows_4, columns_4] stage_1, float[7, rows_8, columns_8] stage_2) {
  height = Shape<start = 0, end = 1>(image)
  width = Shape<start = 1, end = 2>(image)
  more_rows = Add(height, seven)
  more_columns = Add(width, seven)
  cell_rows = Div(more_rows, eight)
  cell_columns = Div(more_columns, eight)
  full_rows = Mul(cell_rows, eight)
  full_columns = Mul(cell_columns, eight)
  rows_end = Squeeze(full_rows)
  columns_end = Squeeze(full_columns)
  all_rows = Range(zero_i, rows_end, one_i)
  all_columns = Range(zero_i, columns_end, one_i)
  last_row = Sub(height, one_1)
  last_column = Sub(width, one_1)
  rows = Min(all_rows, last_row)
  columns = Min(all_columns, last_column)
  levels = Cast<to = 1>(image)
  tall = Gather<axis = 0>(levels, rows)
  full = Gather<axis = 1>(tall, columns)
  batch = Unsqueeze(full, first)
  planes = Transpose<perm = [0, 3, 1, 2]>(batch)
  unit = Div(planes, top_level)
  fine_raw = Conv<strides = [4, 4]>(unit, pass_fine)
  fine = Relu(fine_raw)
  coarse_raw = Conv<strides = [2, 2], pads = [0, 0, 1, 1]>(fine, pass_coarse)
  coarse = Relu(coarse_raw)
  stage_1 = Squeeze(fine, first)
  stage_2 = Squeeze(coarse, first)
}"""
_POOL = """
  across_t_{n} = Transpose<perm = [1, 0]>(across_{px})
  half_{n} = MatMul(down_{px}, stage_{n})
  mean_{n} = MatMul(half_{n}, across_t_{n})
  square_{n} = Mul(stage_{n}, stage_{n})
  half_square_{n} = MatMul(down_{px}, square_{n})
  mean_square_{n} = MatMul(half_square_{n}, across_t_{n})
  squared_mean_{n} = Mul(mean_{n}, mean_{n})
  raw_variance_{n} = Sub(mean_square_{n}, squared_mean_{n})
  variance_{n} = Max(raw_variance_{n}, zero)
  safe_{n} = Add(variance_{n}, tiny)
  spread_{n} = Sqrt(safe_{n})
"""
_WINDOWS = f"""
windows (float[6, rows_4, columns_4] stage_1, float[7, rows_8, columns_8] stage_2, float[rows, rows_4] down_4,
         float[rows, rows_8] down_8, float[columns, columns_4] across_4, float[columns, columns_8] across_8,
         float[texts, {EMBEDDING}] text)
    => (float[windows, texts] similarity, float[windows, {EMBEDDING}] embedding) {{
  {_POOL.format(n=1, px=4)}
  {_POOL.format(n=2, px=8)}
  stacked = Concat<axis = 0>(mean_1, spread_1, mean_2, spread_2)
  flat = Reshape(stacked, features_by_windows)
  features = Transpose<perm = [1, 0]>(flat)
  embedded = MatMul(features, pass_head)
  norm = ReduceL2<axes = [1]>(embedded)
  embedding = Div(embedded, norm)
  text_t = Transpose<perm = [1, 0]>(text)
  similarity = MatMul(embedding, text_t)
}}"""


def _weights(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng((seed, 1))
    fine, coarse = CHANNELS
    return {
        "pass_fine": rng.normal(size=(fine, 3, 4, 4)).astype(np.float32) / 7,
        "pass_coarse": rng.normal(size=(coarse, fine, 3, 3)).astype(np.float32) / 7,
        "pass_head": rng.normal(size=(2 * (fine + coarse), EMBEDDING)).astype(np.float32),
    }


def build_one_pass_bundle(
    folder: Path, *, recommended: str = "one-pass", each_window: bool = True, seed: int = 0, **options: Any
) -> Path:
    """`build_bundle` with the graphs `trunk` and `windows`; presets but "paper" use `recommended`."""
    build_bundle(folder, seed=seed, **options)
    weights, manifest = _weights(seed), read_manifest(folder)
    section = manifest["dream"]
    section["one_pass"] = {"cells_px": list(CELLS_PX), "halo_px": HALO_PX}
    for name, preset in section["presets"].items():
        preset["encoder"] = "each-window" if name == "paper" and each_window else recommended
    constants: dict[str, Any] = {
        "first": [0],
        "seven": [7],
        "eight": [8],
        "one_1": [1],
        "zero_i": 0,
        "one_i": 1,
    }
    constants |= {"tiny": 1e-5, "features_by_windows": [2 * sum(CHANNELS), -1]}
    for graph, text, used in (
        ("trunk", _TRUNK, ("pass_fine", "pass_coarse")),
        ("windows", _WINDOWS, ("pass_head",)),
    ):
        model = onnx_model(text, {name: weights[name] for name in used}, constants, False)
        onnx.helper.set_model_props(model, {"realm.graph": graph, "realm.bundle": manifest["name"]})
        onnx.save(model, str(folder / f"{graph}.onnx"))
        manifest["graphs"][graph] = {
            "variants": {"fp32": f"{graph}.onnx"},
            "inputs": interface(model.graph.input),
            "outputs": interface(model.graph.output),
        }
    if not each_window:
        del manifest["graphs"]["dream"]
        for file in folder.glob("dream*.onnx"):
            file.unlink()
    write_manifest(folder, manifest)
    return folder


def stages(image: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    """The trunk in float64 loops: (rows, columns, channels) for each size of cells."""
    weights = {name: value.astype(np.float64) for name, value in _weights(seed).items()}
    height, width = (-(-length // 8) * 8 for length in image.shape[:2])
    full = np.pad(
        image / 255.0, ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)), mode="edge"
    )
    fine = np.zeros((height // 4, width // 4, CHANNELS[0]))
    for row, column in np.ndindex(*fine.shape[:2]):
        patch = full[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        fine[row, column] = np.maximum(np.einsum("yxk,okyx->o", patch, weights["pass_fine"]), 0)
    padded = np.pad(fine, ((0, 1), (0, 1), (0, 0)))
    coarse = np.zeros((height // 8, width // 8, CHANNELS[1]))
    for row, column in np.ndindex(*coarse.shape[:2]):
        patch = padded[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        coarse[row, column] = np.maximum(np.einsum("yxk,okyx->o", patch, weights["pass_coarse"]), 0)
    return [fine, coarse]


def embedding(found: list[np.ndarray], top: int, left: int, window: int, seed: int = 0) -> np.ndarray:
    """One window of `stages`, pixel by pixel, float64 (D,), L2-normalised."""
    pooled = []
    for stage, px in zip(found, CELLS_PX, strict=True):
        pixels = stage.repeat(px, axis=0).repeat(px, axis=1)[top : top + window, left : left + window]
        flat = pixels.reshape(-1, pixels.shape[-1])
        pooled += [flat.mean(axis=0), np.sqrt(flat.var(axis=0) + 1e-5)]
    embedded = np.concatenate(pooled) @ _weights(seed)["pass_head"].astype(np.float64)
    return embedded / np.linalg.norm(embedded)
