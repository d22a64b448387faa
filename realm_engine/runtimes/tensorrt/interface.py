"""What is known of a graph before its engine runs: tensors, and the shapes that the engine takes."""

from __future__ import annotations

from dataclasses import dataclass

from realm_engine.bundle.manifest import TensorSpec
from realm_engine.runtimes.tensorrt.profiles import ShapeProfile


@dataclass(frozen=True)
class Interface:
    """What a session must know of its graph: name for errors, inputs, outputs and the profiles of the plan."""

    where: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    profiles: tuple[ShapeProfile, ...]
