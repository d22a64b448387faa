"""The int8 variant of a graph: int8 inside the image tower, float32 around it, as QuantizeLinear / DequantizeLinear.

Quantised are the layers of the image tower that hold weights and work on many positions (pixels of a feature
map, patches). Float32 stays: everything before the first weights (gather, resize, normalisation), layer norms,
softmax and the products of attention, whatever works on one vector per picture (squeeze-and-excitation,
projections, regression heads), and all that depends on a text. Weights are symmetric per output
channel, activations 8-bit unsigned and asymmetric per tensor: of what was tried, the one that is
fast on ONNX Runtime and OpenVINO alike. TensorRT takes signed activations around zero and float32 biases only; that is
what `target="tensorrt"` makes, of 8 bits at once (no GPU saturates sums of 16 bits).

Products of 8-bit weights with 8-bit activations saturate 16-bit sums on x86 processors without VNNI (before
2019). Weights of 7 bits cannot, so they are tried first; 8 bits are used where the gate asks for them.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantType
from onnxruntime.quantization.calibrate import (
    CalibraterBase,
    MinMaxCalibrater,
    PercentileCalibrater,
    TensorsData,
)
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from export.errors import ExportError
from realm_engine.arrays import Array

Feeds = Mapping[str, Array]
Report = Callable[[str], None]

WEIGHTED = ("Conv", "Gemm", "MatMul")
# An int8 result in front of a residual sum or an activation function costs accuracy and, on OpenVINO, time.
FLOAT_OUTPUTS = ("Conv", "Gemm", "MatMul")
MOST_GROUPS = 40  # of layers, ranked by the error each causes alone
PERCENTILE = 99.999  # of an activation's values; further out they are clipped, and the rest has finer steps
TARGETS = ("cpu", "tensorrt")
MOST_FLOAT = 0.5  # of the tower's multiplications; beyond, int8 is not worth a file


@dataclass(frozen=True)
class Layer:
    """A layer that may be quantised: its node's name and multiplications per picture or window."""

    name: str
    multiplications: float


@dataclass(frozen=True)
class Int8:
    """A quantised graph and how it was made.

    Attributes:
        model: The graph.
        weight_bits: 7 or 8.
        target: "cpu" or "tensorrt".
        activations: How the ranges of activations were chosen.
        layers: Names of the nodes in int8.
        float_layers: Names of the nodes that could be but are not, with the squared error that each one's
            group causes alone as a share of all groups'.
        multiplications: Share of the tower's multiplications in int8, 0 to 1.
        closeness: What the search measured on the calibration pictures.
    """

    model: onnx.ModelProto
    weight_bits: int
    activations: str
    layers: tuple[str, ...]
    multiplications: float
    closeness: float
    float_layers: Mapping[str, float] = field(default_factory=dict)
    target: str = "cpu"

    def record(self) -> dict[str, Any]:
        """What the manifest says about it."""
        return {
            "weight_bits": self.weight_bits,
            "for": self.target,
            "activations": self.activations,
            "layers": len(self.layers),
            "multiplications": round(self.multiplications, 3),
            "float_layers": {name: float(f"{share:.2g}") for name, share in self.float_layers.items()},
        }


@dataclass(frozen=True)
class Study:
    """Real inputs of a graph, and how close answers on them are to the float ones.

    Attributes:
        feeds: Inputs, small batches.
        closeness: Of answers [batches] to the float32 graph's; 1 is equal.
        enough: The closeness at which the search stops.
    """

    feeds: Sequence[Feeds]
    closeness: Callable[[Sequence[Array], Sequence[Array]], float]
    enough: float


def to_int8(master: onnx.ModelProto, study: Study, what: str, report: Report, target: str = "cpu") -> Int8:
    """Quantise a float32 graph so that its answers stay close; layers that forbid it stay float32.

    Args:
        master: The float32 graph with shapes (`onnx_ir` writes them); not changed.
        study: Calibration pictures and the measure.
        what: The graph's name, for messages.
        report: Receives one line per step.
        target: Of `TARGETS`: which runtimes the file is for.

    Raises:
        ExportError: nothing to quantise, or no choice of layers is close enough.
    """
    layers = tower_layers(master)
    if not layers:
        raise ExportError(f"{what}: no layer of its image tower can be int8; leave --precision int8 out")
    report(f"calibrating {what}: {len(layers)} layers on {len(study.feeds)} batches")
    with tempfile.TemporaryDirectory(prefix="realm-int8-") as folder:
        bench = _Bench(master, study, Path(folder), target)
        every = [layer.name for layer in layers]
        widest = value_ranges(master, study.feeds, Path(folder))
        for bits in (7, 8) if target == "cpu" else (8,):
            model, closeness = bench.attempt(every, bits, widest)
            if closeness >= study.enough:
                return Int8(model, bits, "min-max", tuple(every), 1.0, closeness, target=target)
        clipped = value_ranges(master, study.feeds, Path(folder), PERCENTILE)
        model, better = bench.attempt(every, 8, clipped)
        if better >= study.enough:
            return Int8(model, 8, f"percentile {PERCENTILE:g}", tuple(every), 1.0, better, target=target)
        if bench.error(every, clipped) < bench.error(every, widest):
            return _search(bench, layers, clipped, f"percentile {PERCENTILE:g}", better, what, report)
        return _search(bench, layers, widest, "min-max", closeness, what, report)


def _search(
    bench: _Bench,
    layers: Sequence[Layer],
    ranges: TensorsData,
    activations: str,
    closeness: float,
    what: str,
    report: Report,
) -> Int8:
    """Turn the groups that cause most error back to float32, worst first, until the rest is close enough."""
    report(
        f"{what}: closeness {closeness:.4f} with every layer in int8; looking for those that must stay float32"
    )
    size = -(-len(layers) // MOST_GROUPS)
    groups = [layers[start : start + size] for start in range(0, len(layers), size)]
    errors = [bench.error([layer.name for layer in group], ranges) for group in groups]
    total, work = sum(errors), sum(layer.multiplications for layer in layers)
    kept = list(range(len(groups)))
    shares: dict[str, float] = {}
    best = closeness
    for worst in sorted(kept, key=lambda index: -errors[index]):
        kept.remove(worst)
        shares |= {layer.name: errors[worst] / total for layer in groups[worst]}
        rest = [layer for index in kept for layer in groups[index]]
        multiplications = sum(layer.multiplications for layer in rest) / work
        if multiplications < 1 - MOST_FLOAT:
            break
        names = tuple(layer.name for layer in rest)
        model, closeness = bench.attempt(names, 8, ranges)
        best = max(best, closeness)
        if closeness >= bench.study.enough:
            report(f"{what}: {len(shares)} of {len(layers)} layers stay float32")
            return Int8(model, 8, activations, names, multiplications, closeness, shares, bench.target)
    raise ExportError(
        f"{what}: int8 misses its gate: closeness {best:.4f}, {bench.study.enough:g} is needed, with half of its "
        "multiplications still in float32; leave --precision int8 out"
    )


class _Bench:
    """The float32 graph, its answers, and attempts to come close to them."""

    def __init__(self, master: onnx.ModelProto, study: Study, folder: Path, target: str) -> None:
        self.study = study
        self.target = target
        self._master = master
        self._file = folder / "attempt.onnx"
        self._expected = self._run(master)

    def attempt(self, layers: Sequence[str], bits: int, ranges: TensorsData) -> tuple[onnx.ModelProto, float]:
        """Quantise these layers: the model and its closeness."""
        model = quantise(self._master, ranges, layers, bits, self.target)
        return model, self.study.closeness(self._run(model), self._expected)

    def error(self, layers: Sequence[str], ranges: TensorsData) -> float:
        """Squared error of the answers with these layers alone in int8, on every third batch."""
        answers = self._run(quantise(self._master, ranges, layers, 8, self.target), step=3)
        return float(sum(((a - b) ** 2).sum() for a, b in zip(answers, self._expected[::3], strict=True)))

    def _run(self, model: onnx.ModelProto, step: int = 1) -> list[Array]:
        onnx.save(model, self._file)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(self._file), options, providers=["CPUExecutionProvider"])
        return [session.run(None, dict(feeds))[0] for feeds in self.study.feeds[::step]]


def tower_layers(model: onnx.ModelProto) -> list[Layer]:
    """The layers of the image tower that may be quantised, in the graph's order.

    A layer is a Conv, Gemm or MatMul with constant weights (two axes or more) whose other input depends on the
    picture (the uint8 input), on no text, and holds more than one position.
    """
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    shapes = {value.name: _shape(value) for value in [*model.graph.value_info, *model.graph.output]}
    batch = _batch_axis(model)
    pictures = {v.name for v in model.graph.input if v.type.tensor_type.elem_type == onnx.TensorProto.UINT8}
    words = {v.name for v in model.graph.input if v.name in ("text", "text_features", "has_text")}
    layers = []
    for node in model.graph.node:
        sees_text = any(name in words for name in node.input)
        sees_picture = any(name in pictures for name in node.input)
        if sees_text:
            words.update(node.output)
        if sees_picture:
            pictures.update(node.output)
        if node.op_type not in WEIGHTED or sees_text or not sees_picture:
            continue
        kernel = weights.get(node.input[1], ())
        if len(kernel) < 2 or _one_position(shapes.get(node.input[0]), batch):
            continue
        layers.append(Layer(node.name, _multiplications(node, kernel, shapes.get(node.output[0]))))
    return layers


def value_ranges(
    model: onnx.ModelProto, feeds: Iterable[Feeds], folder: Path, percentile: float | None = None
) -> TensorsData:
    """Range of every weighted layer's input and output over real inputs: all values, or a percentile of them.

    Batch by batch, and only the ranges or histograms are kept: memory is that of one batch.
    """
    source, augmented = folder / "calibrate.onnx", str(folder / "augmented.onnx")
    onnx.save(model, source)
    with contextlib.redirect_stdout(io.StringIO()):  # the histograms announce themselves
        calibrator: CalibraterBase
        if percentile is None:
            calibrator = MinMaxCalibrater(source, list(WEIGHTED), augmented)
        else:
            calibrator = PercentileCalibrater(source, list(WEIGHTED), augmented, percentile=percentile)
        calibrator.augment_graph()
        calibrator.create_inference_session()
        for batch in feeds:
            calibrator.collect_data(_OneBatch(batch))
        ranges = calibrator.compute_data()
    source.unlink()
    return ranges


def quantise(
    model: onnx.ModelProto,
    ranges: TensorsData,
    layers: Iterable[str],
    weight_bits: int,
    target: str = "cpu",
) -> onnx.ModelProto:
    """A copy with the named layers between QuantizeLinear and DequantizeLinear."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    around_zero = target == "tensorrt"
    with _quiet():
        quantizer = QDQQuantizer(
            copy,
            per_channel=True,
            reduce_range=weight_bits == 7,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8 if around_zero else QuantType.QUInt8,
            tensors_range=ranges,
            nodes_to_quantize=list(layers),
            nodes_to_exclude=[],
            op_types_to_quantize=list(WEIGHTED),
            extra_options={
                "ActivationSymmetric": around_zero,
                "QuantizeBias": not around_zero,
                "WeightSymmetric": True,
                "OpTypesToExcludeOutputQuantization": list(FLOAT_OUTPUTS),
            },
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    result: onnx.ModelProto = quantizer.model.model
    return result


class _OneBatch(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Feeds) -> None:
        self._feeds: Iterator[dict[str, Array]] = iter([dict(feeds)])

    def get_next(self) -> dict[str, Array] | None:  # type: ignore[override]
        return next(self._feeds, None)


def _shape(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    return tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim)


def _batch_axis(model: onnx.ModelProto) -> str:
    """Name of the free dimension that counts pictures or windows: the first axis of the first output."""
    first = _shape(model.graph.output[0])
    return str(first[0]) if first else ""


def _one_position(shape: tuple[int | str, ...] | None, batch: str) -> bool:
    """Whether an activation holds one vector per picture: [N, C], [N, 1, C] or [N, C, 1, 1]."""
    if not shape:
        return True  # unknown: not touched
    if len(shape) == 4:
        return shape[2:] == (1, 1)
    return all(size in (1, batch) for size in shape[:-1])


def _multiplications(
    node: onnx.NodeProto, kernel: Sequence[int], output: tuple[int | str, ...] | None
) -> float:
    """Multiplications per picture: weights times positions."""
    if node.op_type == "Conv":
        positions = [size for size in (output or ())[2:] if isinstance(size, int)]
    else:
        # A free size counts once, but "50*windows" is 50 positions of each window.
        positions = [_factor(size) for size in (output or ())[:-1]]
    return float(np.prod(kernel, dtype=np.float64) * np.prod(positions, dtype=np.float64))


def _factor(size: int | str) -> int:
    if isinstance(size, int):
        return size
    head = size.split("*")[0].strip()
    return int(head) if head.isdecimal() else 1


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer advises a preprocessing that the export has done already."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
