"""What the command line needs to know before any work: choices of options, and how an engine is opened."""

from __future__ import annotations

from realm_engine.engine import DEFAULT_BUNDLE, PREFER_FP16, EngineOptions
from realm_engine.errors import UsageError
from realm_engine.runtimes.words import Precision

__all__ = ["DEFAULT_BUNDLE", "EngineOptions", "engine_options"]


def engine_options(
    bundle: str, device: str, precision: str, fp16: bool, threads: int | None, max_memory: str | None
) -> EngineOptions:
    """Options as they were given. Raises UsageError where they contradict each other."""
    if fp16 and precision not in ("auto", Precision.FP16):
        raise UsageError(f"--fp16 contradicts --precision {precision}; give one of them")
    wanted = PREFER_FP16 if fp16 and precision == "auto" else precision
    return EngineOptions(bundle, device, wanted, threads, max_memory)
