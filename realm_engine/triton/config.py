"""Model configurations: what Triton has to know of every graph, and of the two Python models around them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.columns import numbers_of
from realm_engine.bundle.manifest import GraphSpec, TensorSpec
from realm_engine.errors import UsageError
from realm_engine.opened import Contents
from realm_engine.triton.pbtxt import Word, dims, string_map

PLATFORMS = ("onnxruntime", "tensorrt-plan")
DEVICES = ("gpu", "cpu")
_TYPES = {
    "uint8": "TYPE_UINT8",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "bool": "TYPE_BOOL",
}
_QUEUE_DELAY_US = 2000


@dataclass(frozen=True)
class TritonOptions:
    """How a bundle is served.

    `precision`: a variant of the bundle, or "auto" (what the manifest recommends for the device, else fp32).
    `platform`: "onnxruntime" takes the ONNX files, "tensorrt-plan" the plans in `plans`, GRAPH.plan each.
    `instances`: copies of every model. `device`: "gpu" or "cpu". `max_batch`: rows of one call where the
    first dimension is a batch. `window_batch`: windows of one call of DREAM, None: 256 on a GPU, else 32.
    Raises UsageError.
    """

    precision: str = "auto"
    platform: str = "onnxruntime"
    instances: int = 1
    device: str = "gpu"
    max_batch: int = 32
    window_batch: int | None = None
    plans: Path | None = None

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("platform", self.platform, PLATFORMS),
            ("device", self.device, DEVICES),
        ):
            if value not in choices:
                raise UsageError(f"--{name} {value}: choose one of {', '.join(choices)}")
        for name, number in (("instances", self.instances), ("max-batch", self.max_batch)):
            if number < 1:
                raise UsageError(f"--{name} {number}: give a number of at least 1")
        if self.window_batch is not None and self.window_batch < 1:
            raise UsageError(f"--window-batch {self.window_batch}: give a number of at least 1")
        if self.platform == "tensorrt-plan" and self.device == "cpu":
            raise UsageError("--platform tensorrt-plan contradicts --device cpu; a plan runs on a GPU only")
        if (self.platform == "tensorrt-plan") != (self.plans is not None):
            raise UsageError("--platform tensorrt-plan and --plans DIR belong together; give both or neither")

    @property
    def windows_per_call(self) -> int:
        """Windows of one call of DREAM."""
        return self.window_batch or (256 if self.device == "gpu" else 32)


@dataclass(frozen=True)
class Sample:
    """One warm-up request of a graph: every free dimension by name, and inputs that are 1 and not 0."""

    name: str
    sizes: Mapping[str, int]
    ones: tuple[str, ...] = ()


def model_name(bundle: str, part: str) -> str:
    """Name and folder of a model: letters, digits and underscores, so that every client can write it."""
    return re.sub(r"\W", "_", f"{bundle}_{part}", flags=re.ASCII)


def is_batched(graph: GraphSpec) -> bool:
    """Whether the first dimension of all inputs and outputs is one and the same free one.

    Only then may Triton join requests. `core` shares its resize matrices among the images of a call, and
    `dream` takes one image: neither has a batch dimension that Triton could use.
    """
    firsts = {tensor.shape[0] if tensor.shape else None for tensor in (*graph.inputs, *graph.outputs)}
    return len(firsts) == 1 and isinstance(next(iter(firsts)), str)


def graph_config(
    contents: Contents, graph: GraphSpec, options: TritonOptions, file: str, fp32: bool
) -> dict[str, Any]:
    """Configuration of one graph, whose model file is called `file`; `fp32`: it is the reference's precision."""
    batched = is_batched(graph)
    plan = options.platform == "tensorrt-plan"
    return {
        "name": model_name(contents.bundle.name, graph.name),
        "backend": "tensorrt" if plan else "onnxruntime",
        "platform": "tensorrt_plan" if plan else "onnxruntime_onnx",
        "default_model_filename": file,
        "max_batch_size": options.max_batch if batched else 0,
        "input": [_tensor(tensor, batched) for tensor in graph.inputs],
        "output": [_tensor(tensor, batched) for tensor in graph.outputs],
        "dynamic_batching": {"max_queue_delay_microseconds": _QUEUE_DELAY_US} if batched else None,
        "instance_group": _instances(options),
        "optimization": _exact_cuda() if fp32 and not plan and options.device == "gpu" else None,
        "version_policy": {"latest": {"num_versions": 1}},
        "model_warmup": [
            _warmup(graph, sample, batched) for sample in warmup_samples(contents, graph, options)
        ],
    }


def score_config(contents: Contents, options: TritonOptions, precision: str) -> dict[str, Any]:
    """Configuration of the Python model that takes the first measure of an encoded image or pixels, and a text.

    It is batched, so that Triton hands it several requests at once; it decodes them together, and images of
    one size share a call of the tower.
    """
    return {
        **_python(contents.bundle, "score", options, precision),
        "max_batch_size": options.max_batch,
        "input": [
            _port("image", "TYPE_STRING", [1], optional=True),
            _port("pixels", "TYPE_UINT8", [-1, -1, 3], optional=True),
            _port("text", "TYPE_STRING", [1], optional=True),
        ],
        "output": [
            {**_port(column.name, "TYPE_FP32", [1]), "label_filename": f"{column.name}.labels"}
            for column in numbers_of(contents.measures.all[0].columns)
        ],
        "dynamic_batching": {"max_queue_delay_microseconds": _QUEUE_DELAY_US},
    }


def map_config(contents: Contents, options: TritonOptions, precision: str) -> dict[str, Any]:
    """Configuration of the Python model that maps one image; all but the image has a default."""
    return {
        **_python(contents.bundle, "map", options, precision),
        "max_batch_size": 0,
        "input": [
            _port("image", "TYPE_STRING", [1], optional=True),
            _port("pixels", "TYPE_UINT8", [-1, -1, 3], optional=True),
            _port("text", "TYPE_STRING", [-1], optional=True),
            _port("preset", "TYPE_STRING", [1], optional=True),
            _port("windows_px", "TYPE_INT32", [-1], optional=True),
            _port("stride_px", "TYPE_INT32", [1], optional=True),
            _port("aggregate", "TYPE_STRING", [1], optional=True),
            _port("quantity", "TYPE_STRING", [1], optional=True),
        ],
        "output": [_port("map", "TYPE_FP32", [-1, -1]), _port("record", "TYPE_STRING", [1])],
    }


def warmup_samples(contents: Contents, graph: GraphSpec, options: TritonOptions) -> list[Sample]:
    """Requests that a server runs before it says that a graph is ready: the shapes that clients send most."""
    text = contents.text_specs().get(graph.name)
    if text is not None:
        lengths = (text.max_tokens,) if text.fixed_length else text.buckets
        # A mask of nothing but 0 would divide 0 by 0.
        return [Sample(f"tokens_{tokens}", {"tokens": tokens}, ("attention_mask",)) for tokens in lengths]
    for measure in contents.measures.all:
        if graph.name == measure.part.graphs[-1]:
            view = measure.view
            return [
                Sample(
                    "one_image",
                    {
                        "batch": 1,
                        "resizes": 1,
                        "height": view.height_px or 512,
                        "width": view.width_px or 512,
                    },
                )
            ]
    assert contents.maps is not None
    window = contents.maps.presets[contents.maps.recommended_preset].windows_px[0]
    windows = options.windows_per_call
    sizes = {"height": window, "width": 2 * window, "windows": windows, "window": window, "texts": 1}
    return [Sample(f"windows_{window}_px", sizes)]


def sample_shape(tensor: TensorSpec, sample: Sample, batched: bool) -> list[int]:
    """Shape of an input in a warm-up request, without the batch dimension where Triton adds it."""
    shape = tensor.shape[1:] if batched else tensor.shape
    return [size if isinstance(size, int) else sample.sizes.get(size, 1) for size in shape]


def _tensor(tensor: TensorSpec, batched: bool) -> dict[str, Any]:
    return _port(tensor.name, _type(tensor), dims(tensor.shape[1:] if batched else tensor.shape))


def _type(tensor: TensorSpec) -> str:
    if tensor.dtype not in _TYPES:
        raise UsageError(f"{tensor.name}: Triton has no type for {tensor.dtype}; export the bundle again")
    return _TYPES[tensor.dtype]


def _port(name: str, data_type: str, shape: Sequence[int], optional: bool = False) -> dict[str, Any]:
    port = {"name": name, "data_type": Word(data_type), "dims": list(shape)}
    return {**port, "optional": True} if optional else port


def _instances(options: TritonOptions, device: str | None = None) -> list[dict[str, Any]]:
    kind = Word(f"KIND_{(device or options.device).upper()}")
    return [{"count": options.instances, "kind": kind}]


def _exact_cuda() -> dict[str, Any]:
    """As in the engine: fp32 is the reference, and TF32 would keep 10 bits of its mantissa."""
    parameters = [{"key": "use_tf32", "value": "0"}]
    return {
        "execution_accelerators": {"gpu_execution_accelerator": [{"name": "cuda", "parameters": parameters}]}
    }


def _python(bundle: Bundle, part: str, options: TritonOptions, precision: str) -> dict[str, Any]:
    # No warm-up: it would call graphs that the server may not have loaded yet.
    settings = {
        "bundle": bundle.name,
        "precision": precision,
        "max_batch": str(options.max_batch),
        "window_batch": str(options.windows_per_call),
    }
    return {
        "name": model_name(bundle.name, part),
        "backend": "python",
        "default_model_filename": "model.py",
        "instance_group": _instances(options, "cpu"),
        "version_policy": {"latest": {"num_versions": 1}},
        "parameters": string_map(settings),
    }


def _warmup(graph: GraphSpec, sample: Sample, batched: bool) -> dict[str, Any]:
    inputs = []
    for tensor in graph.inputs:
        data = (
            {"input_data_file": warmup_file(tensor, sample)}
            if tensor.name in sample.ones
            else {"zero_data": True}
        )
        shape = sample_shape(tensor, sample, batched)
        inputs.append(
            {"key": tensor.name, "value": {"data_type": Word(_type(tensor)), "dims": shape, **data}}
        )
    return {"name": sample.name, "batch_size": 1, "inputs": inputs}


def warmup_file(tensor: TensorSpec, sample: Sample) -> str:
    """Name of the file, in the model's folder `warmup`, that holds an input of a warm-up request."""
    return f"{sample.name}_{tensor.name}"
