"""Latency, throughput, memory and fidelity of the engine against PyTorch. `python -m benchmarks`."""
