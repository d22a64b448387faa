"""A bundle whose measure `fakeness` is a linear probe on means and deviations of a small tower's stages, with its map.

`Reference` computes the same numbers in float64 with Pillow and PyTorch, and its map by loops over pixels.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from bundles import read_manifest, write_manifest
from measures import add_measures, column, measure
from PIL import Image

from export.graph.linear_map import VARIANCE_FLOOR, ContributionMap
from export.graph.model import Port
from export.graph.nodes import Nodes

SIZE = (24, 32)  # height, width
STAGES = ((4, 12, 16), (6, 6, 8), (3, 3, 4))
FEATURES = 2 * sum(channels for channels, _, _ in STAGES)
BIAS = 0.5
NAME, SPEAKS_FOR = "fakeness", "fake"
MAP = {
    "graph": "fakeness_map",
    "stages": [f"stage_{i}" for i in range(len(STAGES))],
    "speaks_for": SPEAKS_FOR,
}


def _weights() -> tuple[list[np.ndarray], np.ndarray]:
    """Kernels of the tower, [C, C before, 3, 3], and the weights of the probe, [F]."""
    rng, before, kernels = np.random.default_rng(7), 3, []
    for channels, _, _ in STAGES:
        kernels.append(rng.normal(size=(channels, before, 3, 3)).astype(np.float32) / np.sqrt(9 * before))
        before = channels
    return [kernel.astype(np.float32) for kernel in kernels], rng.normal(size=FEATURES).astype(np.float32)


KERNELS, WEIGHTS = _weights()
CENTRE = np.full(FEATURES, 0.25)
LEFT = BIAS + float(WEIGHTS.astype(np.float64) @ CENTRE)  # the logit of what contributions are counted from


def tower() -> tuple[tuple[Port, ...], tuple[Port, ...], onnx.ModelProto]:
    """Pixels resized as Pillow does -> the stages, each a convolution of stride 2 on the one before, and features."""
    height, width = SIZE
    inputs = (
        Port("pixels", "uint8", ("batch", "height", "width", 3)),
        Port("resample_rows", "float32", ("resizes", 1, height, "height")),
        Port("resample_cols", "float32", ("resizes", 1, width, "width")),
    )
    outputs = (
        *(Port(f"stage_{i}", "float32", ("batch", *shape)) for i, shape in enumerate(STAGES)),
        Port("features", "float32", ("batch", FEATURES)),
    )
    nodes = Nodes()

    def rounded(values: str) -> str:
        whole = nodes.add("Floor", [nodes.add("Add", [values, nodes.number(0.5)])])
        return nodes.add("Clip", [whole, nodes.number(0.0), nodes.number(255.0)])

    planes = nodes.add(
        "Transpose", [nodes.add("Cast", ["pixels"], to=onnx.TensorProto.FLOAT)], perm=[0, 3, 1, 2]
    )
    across = nodes.add("Transpose", ["resample_cols"], perm=[0, 1, 3, 2])
    wide = rounded(nodes.add("MatMul", [planes, across]))
    levels = rounded(nodes.add("MatMul", ["resample_rows", wide]))
    x, features = nodes.add("Mul", [levels, nodes.number(1 / 255)]), []
    for i, kernel in enumerate(KERNELS):
        convolved = nodes.add(
            "Conv", [x, nodes.constant(f"kernel_{i}", kernel)], strides=[2, 2], pads=[1, 1, 1, 1]
        )
        x = nodes.add("Relu", [convolved])
        nodes.output(x, outputs[i])
        flat = nodes.add("Reshape", [x, nodes.integers(0, 0, -1)])
        mean = nodes.add("ReduceMean", [flat, nodes.integers(2)])
        apart = nodes.add("Sub", [flat, mean])
        variance = nodes.add("ReduceMean", [nodes.add("Mul", [apart, apart]), nodes.integers(2)])
        deviation = nodes.add("Sqrt", [nodes.add("Add", [variance, nodes.number(VARIANCE_FLOOR)])])
        features += [nodes.add("Squeeze", [each, nodes.integers(2)]) for each in (mean, deviation)]
    nodes.output(nodes.add("Concat", features, axis=1), outputs[-1])
    return inputs, outputs, nodes.model("small_tower", inputs, outputs)


def head() -> tuple[tuple[Port, ...], tuple[Port, ...], onnx.ModelProto]:
    """Features -> the probability."""
    inputs = (Port("features", "float32", ("batch", FEATURES)),)
    outputs = (Port("p_fake", "float32", ("batch", 1)),)
    nodes = Nodes()
    product = nodes.add("MatMul", ["features", nodes.constant("weights", WEIGHTS[:, None])])
    logit = nodes.add("Add", [product, nodes.number(BIAS)])
    nodes.output(nodes.add("Sigmoid", [logit]), outputs[0])
    return inputs, outputs, nodes.model("fakeness", inputs, outputs)


def build_attributed(source: Path, folder: Path) -> Path:
    """The bundle at `source` with the measure `fakeness` on a tower of its own, after those that it has."""
    shutil.copytree(source, folder)
    attribution = ContributionMap(str(MAP["graph"]), WEIGHTS, BIAS, STAGES, CENTRE)
    graphs = {
        "small_tower": tower(),
        NAME: head(),
        attribution.name: (attribution.inputs, attribution.outputs, attribution.model()),
    }
    manifest = read_manifest(folder)
    for name, (inputs, outputs, model) in graphs.items():
        onnx.save(model, folder / f"{name}.onnx")
        manifest["graphs"][name] = {
            "variants": {"fp32": f"{name}.onnx"},
            "inputs": [port.manifest() for port in inputs],
            "outputs": [port.manifest() for port in outputs],
        }
    write_manifest(folder, manifest)
    view = {"kind": "whole", "height_px": SIZE[0], "width_px": SIZE[1], "interpolation": "bilinear"}
    listed: dict[str, Any] = {
        NAME: measure("head", [column("p_fake", "p_fake", better="low")], graph=NAME, tower="small", map=MAP)
    }
    return add_measures(
        folder, listed, {"small": {"graph": "small_tower", "output": "features", "view": view}}
    )


class Reference:
    """What the bundle gives, in float64."""

    def stages(self, image: np.ndarray) -> list[np.ndarray]:
        """Stages [C, h, w] of a picture uint8 [H, W, 3]."""
        resized = Image.fromarray(image).resize(SIZE[::-1], Image.Resampling.BILINEAR)
        x = torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].double() / 255
        found = []
        for kernel in KERNELS:
            x = torch.nn.functional.conv2d(x, torch.from_numpy(kernel).double(), stride=2, padding=1).relu()
            found.append(x[0].numpy())
        return found

    def logit(self, image: np.ndarray) -> float:
        """From the features."""
        features = []
        for stage in self.stages(image):
            features += [stage.mean(axis=(1, 2)), np.sqrt(stage.var(axis=(1, 2)) + VARIANCE_FLOOR)]
        return float(np.concatenate(features) @ WEIGHTS.astype(np.float64)) + BIAS

    def small_maps(self, image: np.ndarray) -> list[np.ndarray]:
        """What every position of every stage adds, [h, w]."""
        found, first = [], 0
        for stage in self.stages(image):
            channels = len(stage)
            w, v = np.split(WEIGHTS[first : first + 2 * channels].astype(np.float64), 2)
            first += 2 * channels
            mean = stage.mean(axis=(1, 2), keepdims=True)
            deviation = np.sqrt(stage.var(axis=(1, 2)) + VARIANCE_FLOOR)
            squares = (stage - mean) ** 2 + VARIANCE_FLOOR
            each = np.tensordot(w, stage, 1) + np.tensordot(v / deviation, squares, 1)
            found.append((each - (w.sum() + v.sum()) * CENTRE[0]) / each.size)
        return found

    def map(self, image: np.ndarray) -> np.ndarray:
        """What every pixel adds, [H, W]: each position's part dealt out by the weights that it has in pixels."""
        height, width = image.shape[:2]
        total = np.zeros((height, width))
        for small in self.small_maps(image):
            down = dealt_out(small.shape[0], height)
            across = dealt_out(small.shape[1], width)
            for row, column_ in np.ndindex(small.shape):
                total += small[row, column_] * np.outer(down[row], across[column_])
        return total


def dealt_out(cells: int, pixels: int) -> Sequence[np.ndarray]:
    """For every cell along an axis the shares of the pixels, which sum to 1: by a triangle, as Pillow's bilinear."""
    scale = cells / pixels
    reach = max(scale, 1.0)
    weights = np.zeros((pixels, cells))
    for pixel in range(pixels):
        for cell in range(cells):
            weights[pixel, cell] = max(0.0, 1 - abs((cell + 0.5) - (pixel + 0.5) * scale) / reach)
        weights[pixel] /= weights[pixel].sum()
    return list((weights / weights.sum(axis=0)).T)
