"""Latency, throughput, memory and fidelity of the engine against PyTorch. `python -m benchmarks`."""

from realm_engine.machine import telemetry

telemetry.switch_off()  # before any suite imports a runtime, and for the processes that are measured
