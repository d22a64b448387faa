"""The bridge from PyTorch to bundles: the only place that knows torch and ONNX. Run as `python -m export`."""
