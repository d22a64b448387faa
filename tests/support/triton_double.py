"""A stand-in for a Triton server: the same model repository, checked and run as the server would, in this process.

Configurations are parsed by Triton's own schema; graphs run in ONNX Runtime; Python models are the written
`model.py`, which reach the graphs through a double of `triton_python_backend_utils`. A request that Triton would
refuse (names, types, shapes, batch sizes against `config.pbtxt`) is refused here.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, text_format

SCHEMA = Path(__file__).parent / "data" / "triton" / "model_config.txtpb"
NUMPY_TYPES = {
    "TYPE_UINT8": np.uint8,
    "TYPE_INT32": np.int32,
    "TYPE_INT64": np.int64,
    "TYPE_FP16": np.float16,
    "TYPE_FP32": np.float32,
    "TYPE_STRING": np.object_,
}


def _schema() -> type:
    file = text_format.Parse(SCHEMA.read_text(encoding="utf-8"), descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


ModelConfig = _schema()


def read_config(model: Path) -> Any:
    """A model's config.pbtxt by Triton's schema; an unknown field or a wrong type is an error."""
    return text_format.Parse((model / "config.pbtxt").read_text(encoding="utf-8"), ModelConfig())


def type_of(port: Any) -> str:
    """TYPE_FP32 and so on."""
    return port.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[port.data_type].name


@dataclass
class Tensor:
    """`pb_utils.Tensor`."""

    tensor_name: str
    array: np.ndarray

    def name(self) -> str:
        return self.tensor_name

    def as_numpy(self) -> np.ndarray:
        return self.array


@dataclass
class TritonError:
    """`pb_utils.TritonError`."""

    text: str
    code: int = 1  # as the server's: what nobody said is internal

    INTERNAL = 1
    INVALID_ARG = 3

    def message(self) -> str:
        return self.text


@dataclass
class InferenceResponse:
    """`pb_utils.InferenceResponse`."""

    tensors: Sequence[Tensor]
    failure: TritonError | None = None

    def has_error(self) -> bool:
        return self.failure is not None

    def error(self) -> TritonError | None:
        return self.failure


@dataclass
class Server:
    """A repository that is served; `calls` are the graphs that were run and the shapes they were given."""

    models: Path
    calls: list[tuple[str, dict[str, tuple[int, ...]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.configs = {model.name: read_config(model) for model in sorted(self.models.iterdir())}
        self.sessions = {
            name: onnxruntime.InferenceSession(str(self.models / name / "1" / config.default_model_filename))
            for name, config in self.configs.items()
            if config.backend == "onnxruntime"
        }

    def start(self, monkeypatch: Any, name: str) -> Any:
        """The Python model `name`, initialised as the server does it."""
        monkeypatch.setitem(sys.modules, "triton_python_backend_utils", self.utils())
        folder = self.models / name
        model = runpy.run_path(str(folder / "1" / self.configs[name].default_model_filename))
        instance = model["TritonPythonModel"]()
        config = json_format.MessageToJson(self.configs[name], preserving_proto_field_name=True)
        instance.initialize(
            {
                "model_config": config,
                "model_repository": str(folder),
                "model_version": "1",
                "model_name": name,
            }
        )
        return instance

    def utils(self) -> ModuleType:
        """A double of `triton_python_backend_utils`."""
        server = self
        module = ModuleType("triton_python_backend_utils")

        class InferenceRequest:
            def __init__(self, model_name, requested_output_names, inputs, preferred_memory) -> None:
                assert preferred_memory == ("cpu", 0)
                self.model_name, self.outputs, self.inputs = model_name, requested_output_names, inputs

            def exec(self) -> InferenceResponse:
                feeds = {tensor.name(): tensor.as_numpy() for tensor in self.inputs}
                try:
                    return InferenceResponse(server.run_graph(self.model_name, feeds, self.outputs))
                except ValueError as error:
                    return InferenceResponse([], TritonError(str(error)))

        def find(tensors: Sequence[Tensor], name: str) -> Tensor | None:
            return next((tensor for tensor in tensors if tensor.name() == name), None)

        names: dict[str, Any] = {
            "Tensor": Tensor,
            "TritonError": TritonError,
            "InferenceRequest": InferenceRequest,
            "InferenceResponse": InferenceResponse,
            "PreferredMemory": lambda kind, device: (kind, device),
            "TRITONSERVER_MEMORY_CPU": "cpu",
            "get_input_tensor_by_name": lambda request, name: find(request, name),
            "get_output_tensor_by_name": lambda response, name: find(response.tensors, name),
        }
        for name, value in names.items():
            setattr(module, name, value)
        return module

    def run_graph(self, name: str, feeds: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[Tensor]:
        """Run a graph after the checks that Triton makes; ValueError where it would refuse."""
        if name not in self.sessions:
            raise ValueError(f"unknown model {name}")
        config = self.configs[name]
        self.check(name, config.input, feeds)
        if unknown := set(outputs) - {port.name for port in config.output}:
            raise ValueError(f"{name}: no outputs {unknown}")
        self.calls.append((name, {key: array.shape for key, array in feeds.items()}))
        try:
            arrays = self.sessions[name].run(list(outputs), dict(feeds))
        except Exception as error:
            raise ValueError(str(error)) from error
        tensors = dict(zip(outputs, arrays, strict=True))
        ports = [port for port in config.output if port.name in tensors]
        self.check(name, ports, tensors)
        return [Tensor(*pair) for pair in tensors.items()]

    def check(self, name: str, ports: Sequence[Any], tensors: Mapping[str, np.ndarray]) -> None:
        """Names, types, shapes and batch sizes against the configuration."""
        batch = self.configs[name].max_batch_size
        by_name = {port.name: port for port in ports}
        if unknown := set(tensors) - set(by_name):
            raise ValueError(f"{name}: unknown tensors {unknown}")
        for key, port in by_name.items():
            if key not in tensors:
                if getattr(port, "optional", False):
                    continue
                raise ValueError(f"{name}: {key} is missing")
            array = tensors[key]
            if array.dtype != NUMPY_TYPES[type_of(port)]:
                raise ValueError(f"{name}: {key} is {array.dtype}")
            shape = array.shape
            if batch:
                if not 1 <= shape[0] <= batch:
                    raise ValueError(f"{name}: batch of {shape[0]}, at most {batch}")
                shape = shape[1:]
            fits = len(shape) == len(port.dims) and all(
                want in (-1, size) for size, want in zip(shape, port.dims, strict=True)
            )
            if not fits:
                raise ValueError(f"{name}: {key} has shape {array.shape}, not {list(port.dims)}")

    def ask(self, model: Any, name: str, *requests: Mapping[str, np.ndarray]) -> list[Any]:
        """Send requests to a Python model at once: per request its outputs by name, or its error's text.

        An error that is not the request's fault begins with "internal: ".
        """
        config = self.configs[name]
        for request in requests:
            self.check(name, config.input, request)
        wrapped = [[Tensor(*pair) for pair in request.items()] for request in requests]
        answers = []
        for response in model.execute(wrapped):
            if response.has_error():
                error = response.error()
                internal = "internal: " if error.code == TritonError.INTERNAL else ""
                answers.append(internal + error.message())
                continue
            tensors = {tensor.name(): tensor.as_numpy() for tensor in response.tensors}
            self.check(name, config.output, tensors)
            answers.append(tensors)
        return answers


def strings(*values: str | bytes, batched: bool = False) -> np.ndarray:
    """A TYPE_STRING tensor: (1,) per value, with a batch dimension (values, 1)."""
    data = [value.encode() if isinstance(value, str) else value for value in values]
    array = np.empty(len(data), dtype=np.object_)
    array[:] = data
    return array.reshape(-1, 1) if batched else array


def warmup_inputs(model: Path, config: Any, sample: Any) -> dict[str, np.ndarray]:
    """The inputs of a warm-up request as the server makes them."""
    feeds = {}
    for name, source in sample.inputs.items():
        dtype = NUMPY_TYPES[type_of(source)]
        if source.WhichOneof("input_data_type") == "input_data_file":
            data = np.frombuffer((model / "warmup" / source.input_data_file).read_bytes(), dtype)
            array = data.reshape(tuple(source.dims))
        else:
            assert source.zero_data
            array = np.zeros(tuple(source.dims), dtype)
        feeds[name] = np.repeat(array[None], sample.batch_size, axis=0) if config.max_batch_size else array
    return feeds


def parameters(config: Any) -> dict[str, str]:
    """The parameters of a configuration."""
    return {name: value.string_value for name, value in config.parameters.items()}


def as_json(config: Any) -> dict[str, Any]:
    """A configuration as JSON."""
    return json.loads(json_format.MessageToJson(config, preserving_proto_field_name=True))
