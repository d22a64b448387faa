"""Builds contenders: the published loop, PyTorch in batches, torch.compile, and the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.cases import TEXT, Descriptions
from benchmarks.eager import TorchCore, TorchDream, TorchOnePass
from benchmarks.engines import FORWARD_ALONE, ONE_PASS, EngineCore, EngineDream, Spec
from benchmarks.models import CoreModel, DreamModel, Exported
from benchmarks.settings import Settings, UnavailableError

DreamRunner = TorchDream | TorchOnePass | EngineDream
CoreRunner = TorchCore | EngineCore


def dream_runner(spec: Spec, model: DreamModel | None, exported: Exported, settings: Settings) -> DreamRunner:
    """A contender ready for its first map.

    Raises:
        UnavailableError, DeviceError, BundleError: it cannot be had here.
    """
    if spec.family == "engine":
        _offered(spec, exported)
        return EngineDream(exported.bundle, spec, settings.threads)
    if model is None:
        raise UnavailableError("there are no PyTorch weights of this model")
    if spec.variation == ONE_PASS:
        return TorchOnePass(model, TEXT, spec.device)
    batched = spec.family != "published"
    runner = TorchDream(model, TEXT, spec.device, spec.precision, batched, spec.family == "compile")
    runner.forward_alone = spec.variation == FORWARD_ALONE
    runner.tune(settings.quick, convolutional=not model.plain)
    return runner


def core_runner(
    spec: Spec, model: CoreModel | None, exported: Exported, settings: Settings, example: Path
) -> CoreRunner:
    """A contender ready for its first score. Raises as `dream_runner`."""
    if spec.family == "engine":
        _offered(spec, exported)
        return EngineCore(exported.bundle, spec, settings.threads)
    if model is None:
        raise UnavailableError("there are no PyTorch weights of this model")
    runner = TorchCore(
        model, spec.device, spec.precision, spec.family != "published", spec.family == "compile"
    )
    runner.tune(settings.quick, example)
    return runner


def _offered(spec: Spec, exported: Exported) -> None:
    if spec.precision in exported.missing:
        raise UnavailableError(exported.missing[spec.precision])


def fresh_texts(settings: Settings, count: int) -> Iterator[list[str]]:
    """Lists of `count` descriptions, no text ever twice."""
    descriptions = Descriptions(settings.seed)
    while True:
        yield descriptions(count)
