"""ONNX files of somebody's network, and the bundle in which one is a measure."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser
from repository import SAMPLES

from export.bundle import Photographs, export_bundle
from export.manifest import BundleInfo
from export.measures import View
from export.parts.graph import OwnGraph

PICTURES = sorted(SAMPLES.glob("*.jpg"))
SIDE = View.parse("whole:48x32")
MEAN_LEVEL = "y = ReduceMean<axes = [1, 2, 3], keepdims = 0>(x)"
# What the export has to be told beside --graph and --output.
COMMAND = {
    "--measure": "own", "--better": "high", "--view": "whole:48x32", "--licence": "CC0-1.0",
}  # fmt: skip


def parsed(
    body: str, input: str = "float[N, 3, H, W] x", output: str = "float[N] y", opset: int = 17
) -> onnx.ModelProto:
    head = f'<ir_version: 8, opset_import: ["": {opset}]>'
    return onnx.parser.parse_model(f"{head} net ({input}) => ({output}) {{ {body} }}")


def saved(model: onnx.ModelProto, folder: Path, name: str = "net.onnx") -> Path:
    onnx.save(model, folder / name)
    return folder / name


def export(folder: Path, part: OwnGraph, **info: object) -> dict:
    return export_bundle(
        folder, BundleInfo("own", **info), [part], Photographs(PICTURES), report=lambda _: None
    )
