"""A network that somebody brings, with our preprocessing before it: raw pixels in, one number a picture out.

Its own nodes and weights stay as they are. Written with `onnx` alone, so that no torch is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, helper

from export.errors import ExportError
from export.graph.model import Port
from export.graph.nodes import Nodes, value_info
from export.measures import View
from realm_engine.bundle.onnx_file import external_locations, refuse_operators

OLDEST_OPSET = 8  # the first in which all that is put before a graph broadcasts
HALF_BITS = 2048.0  # 2^11, half of the 22 bits of a resample coefficient (export.graph.resize)
PREFIX, OWN = "realm/", "own/"
VALUE = "value"
PIXELS = Port("pixels", "uint8", ("batch", "height", "width", 3))
OUTPUT = Port(VALUE, "float32", ("batch",))


@dataclass(frozen=True)
class Brought:
    """A network that can be wrapped: input float32 [N, 3, H, W], output float32 [N] or [N, 1].

    Attributes:
        path: Its file.
        model: What the file holds.
        input: Name of the input.
        output: Name of the output.
    """

    path: Path
    model: ModelProto
    input: str
    output: str


def open_brought(path: Path, view: View) -> Brought:
    """Read a network and refuse one that cannot be wrapped for a view.

    Raises:
        ExportError: one line with the reason.
    """
    try:
        outside = external_locations(path)
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors have no base of their own
        raise ExportError(f"{path}: not a readable ONNX file ({_first_line(error)})") from None
    try:
        refuse_operators(path)
    except ValueError as error:
        raise ExportError(
            f"{path}: {error}; export the network without branches, loops and functions"
        ) from None
    if outside:
        raise ExportError(f"{path}: keeps weights in {min(outside)}; save it as one file (up to 2 GB)")
    weights = {tensor.name for tensor in model.graph.initializer}
    # Old files list their weights among the inputs.
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise ExportError(f"{path}: takes {_names(inputs, 'input')}; a measure's graph takes pixels alone")
    if len(model.graph.output) != 1:
        raise ExportError(
            f"{path}: gives {_names(model.graph.output, 'output')}; a measure's graph gives one"
        )
    (pixels,), (answer,) = inputs, model.graph.output
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < OLDEST_OPSET:
        raise ExportError(f"{path}: its opset is {opset}; export it with opset {OLDEST_OPSET} or newer")
    _check_input(path, pixels, view)
    _check_output(path, model, answer)
    session_of(path, str(path))
    return Brought(path, model, pixels.name, answer.name)


def wrapped_inputs(view: View) -> tuple[Port, ...]:
    """Inputs of a wrapped graph."""
    if view.kind == "native":
        return (PIXELS,)
    rows = Port("resample_rows", "float32", ("resizes", 1, view.height_px, "height"))
    return PIXELS, rows, Port("resample_cols", "float32", ("resizes", 1, view.width_px, "width"))


def wrap(
    brought: Brought, view: View, mean: Sequence[float], std: Sequence[float], name: str
) -> onnx.ModelProto:
    """The network from raw pixels: Pillow's resize in every pixel, / 255, mean and std, the network, [batch].

    Raises:
        ExportError: ONNX finds a fault in the network.
    """
    ports = wrapped_inputs(view)
    model = ModelProto()
    model.CopyFrom(brought.model)
    ours = {port.name for port in (*ports, OUTPUT)}
    prefix = ""
    if any(name in ours or name.startswith(PREFIX) for name in _tensor_names(model.graph)):
        prefix = OWN
        model = onnx.compose.add_prefix(model, OWN)
    before = Nodes(PREFIX)
    x = before.add("Transpose", [before.add("Cast", ["pixels"], to=TensorProto.FLOAT)], perm=[0, 3, 1, 2])
    if view.kind == "whole":
        x = _resized(before, x)
    x = before.add("Div", [x, before.constant("most", np.float32(255))])
    if any(mean) or any(value != 1 for value in std):
        for operator, values, label in (("Sub", mean, "mean"), ("Div", std, "std")):
            constant = before.constant(label, np.array(values, dtype=np.float32).reshape(1, 3, 1, 1))
            x = before.add(operator, [x, constant])
    before.nodes[-1].output[0] = prefix + brought.input
    shape = before.constant("one_axis", np.array([-1], dtype=np.int64))
    last = helper.make_node("Reshape", [prefix + brought.output, shape], [VALUE], name=PREFIX + VALUE)
    graph = model.graph
    nodes = [*before.nodes, *graph.node, last]
    for repeated, content in (
        (graph.node, nodes),
        (graph.input, [value_info(port) for port in ports]),
        (graph.output, [value_info(OUTPUT)]),
        (
            graph.value_info,
            [],
        ),  # its free dimensions may have the names of ours; runtimes infer shapes anyway
    ):
        kept = list(content)
        del repeated[:]
        repeated.extend(kept)
    graph.initializer.extend(before.constants)
    graph.name = name
    _forget_origin(model)
    model.ir_version = max(model.ir_version, 4)  # from 4 on weights need not be inputs
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"{brought.path}: not a valid ONNX graph ({_first_line(error)})") from None
    return model


def session_of(model: onnx.ModelProto | Path, what: str) -> onnxruntime.InferenceSession:
    """A session on the CPU.

    Raises:
        ExportError: ONNX Runtime refuses the graph; the first line of its reason.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(
            f"{what}: ONNX Runtime {onnxruntime.__version__} refuses it ({_first_line(error)})"
        ) from None


def _resized(nodes: Nodes, x: str) -> str:
    """`export.graph.resize.resample_exactly` with `resample_rows` and `resample_cols`."""
    half = nodes.constant("half_bits", np.float32(HALF_BITS))
    rounding = nodes.constant("half_of_half_bits", np.float32(HALF_BITS / 2))
    lowest, highest = nodes.constant("zero", np.float32(0)), nodes.constant("most", np.float32(255))

    def halves(matrix: str) -> tuple[str, str]:
        scaled = nodes.add("Mul", [matrix, nodes.constant("bits", np.float32(HALF_BITS * HALF_BITS))])
        units = nodes.add("Floor", [nodes.add("Add", [scaled, nodes.constant("up", np.float32(0.5))])])
        high = nodes.add("Floor", [nodes.add("Div", [units, half])])
        return high, nodes.add("Sub", [units, nodes.add("Mul", [high, half])])

    def join(high: str, low: str) -> str:
        carried = nodes.add("Add", [high, nodes.add("Floor", [nodes.add("Div", [low, half])])])
        level = nodes.add("Floor", [nodes.add("Div", [nodes.add("Add", [carried, rounding]), half])])
        return nodes.add("Min", [nodes.add("Max", [level, lowest]), highest])

    cols = [nodes.add("Transpose", [part], perm=[0, 1, 3, 2]) for part in halves("resample_cols")]
    wide = join(*(nodes.add("MatMul", [x, part]) for part in cols))
    return join(*(nodes.add("MatMul", [part, wide]) for part in halves("resample_rows")))


def _check_input(path: Path, value: onnx.ValueInfoProto, view: View) -> None:
    kind = value.type.tensor_type
    if kind.elem_type != TensorProto.FLOAT:
        raise ExportError(f"{path}: its input {value.name} is {_type(value)}; float32 is needed")
    if not kind.HasField("shape"):
        raise ExportError(f"{path}: the rank of its input {value.name} is not known; [N, 3, H, W] is needed")
    shape = _shape(value)
    if len(shape) != 4:
        raise ExportError(f"{path}: its input {value.name} is {_shown(shape)}; [N, 3, H, W] is needed")
    batch, channels, height, width = shape
    last = channels != 3 and width == 3
    if last or channels not in (3, None):
        cure = "; export it with channels first" if last else ""
        raise ExportError(f"{path}: its input {value.name} is {_shown(shape)}; [N, 3, H, W] is needed{cure}")
    if batch is not None:
        raise ExportError(
            f"{path}: takes {batch} picture{'' if batch == 1 else 's'} at a time, no more and no less; "
            "export it with a dynamic batch axis"
        )
    wanted = (None, None) if view.kind == "native" else (view.height_px, view.width_px)
    if any(own not in (None, size) for own, size in zip((height, width), wanted, strict=True)):
        cure = f"whole:{width or 'WIDTH'}x{height or 'HEIGHT'}"
        raise ExportError(f"{path}: its pictures are {_shown(shape[2:])} (height, width); give --view {cure}")


def _check_output(path: Path, model: ModelProto, value: onnx.ValueInfoProto) -> None:
    if not value.type.tensor_type.HasField("shape"):
        inferred = onnx.shape_inference.infer_shapes(model).graph.output
        value = next((entry for entry in inferred if entry.name == value.name), value)
    kind = value.type.tensor_type
    if kind.elem_type != TensorProto.FLOAT:
        raise ExportError(f"{path}: its output {value.name} is {_type(value)}; float32 is needed")
    if not kind.HasField("shape"):
        raise ExportError(
            f"{path}: the rank of its output {value.name} is not known; [N] or [N, 1] is needed"
        )
    shape = _shape(value)
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] not in (1, None)):
        raise ExportError(f"{path}: its output {value.name} is {_shown(shape)}; [N] or [N, 1] is needed")


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """Sizes, None for a free one."""
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.WhichOneof("value") == "dim_value" else None for dim in dims)


def _shown(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"


def _type(value: onnx.ValueInfoProto) -> str:
    element = value.type.tensor_type.elem_type
    if value.type.WhichOneof("value") != "tensor_type" or element == TensorProto.UNDEFINED:
        return "no tensor"
    return str(TensorProto.DataType.Name(element)).lower()


def _names(values: Sequence[onnx.ValueInfoProto], what: str) -> str:
    names = ", ".join(value.name for value in values)
    return f"{len(values)} {what}s ({names})" if names else f"no {what}"


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs
            for subgraph in inner:
                yield from _graphs(subgraph)


def _tensor_names(graph: GraphProto) -> Iterator[str]:
    for part in _graphs(graph):
        for values in (part.input, part.output, part.initializer):
            yield from (value.name for value in values)
        for node in part.node:
            yield from node.output


def _forget_origin(model: ModelProto) -> None:
    """Drop what may name the machine that wrote it: stack traces and notes."""
    model.doc_string = ""
    for graph in [*_graphs(model.graph)]:
        graph.doc_string = ""
        del graph.metadata_props[:]
        for entry in (*graph.node, *graph.initializer):
            entry.doc_string = ""
            del entry.metadata_props[:]
    for function in model.functions:
        function.doc_string = ""
        del function.metadata_props[:]
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
