"""Serialised plans become engines, or an error that says why the runtime does not take them."""

from __future__ import annotations

from typing import Any

from realm_engine.runtimes.base import first_line
from realm_engine.runtimes.tensorrt.runtime import TrtRuntime


class EngineRejectedError(Exception):
    """A plan that the runtime does not take: damaged, or made by another version or for another GPU."""


def open_engine(runtime: TrtRuntime, plan: bytes) -> Any:
    """Deserialise a plan. Raises EngineRejectedError, saying why, when the runtime does not take it."""
    module = runtime.module
    runtime.messages.take()
    try:
        opener = runtime.opener
        engine = opener.deserialize_cuda_engine(plan)
    except (RuntimeError, TypeError) as error:
        raise EngineRejectedError(runtime.messages.take() or first_line(error)) from error
    if engine is None:
        why = runtime.messages.take()
        raise EngineRejectedError(
            _diagnosis(module, opener, plan) or first_line(Exception(why or "no reason given"))
        )
    return engine


def _diagnosis(module: Any, opener: Any, plan: bytes) -> str:
    """TensorRT-RTX's own words for what is wrong with a plan, "" if it says nothing."""
    if not hasattr(opener, "get_engine_validity"):
        return ""
    validity, found = opener.get_engine_validity(plan)
    if validity == module.EngineValidity.VALID:
        return ""
    names = [
        name.lower().replace("_", " ")
        for name, flag in module.EngineInvalidityDiagnostics.__members__.items()
        if int(found) & int(flag)
    ]
    return ", ".join(names)
