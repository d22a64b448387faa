"""The engines that were built on this machine: the work behind `realm-engine cache`."""

from realm_engine.runtimes.tensorrt.plan_cache import EngineCache, parse_limit
from realm_engine.runtimes.tensorrt.plan_record import describe_entry

__all__ = ["EngineCache", "describe_entry", "parse_limit"]
