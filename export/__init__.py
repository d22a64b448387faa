"""The bridge from PyTorch to bundles: the only place that knows torch and ONNX. Run as `python -m export`."""

import realm_train  # noqa: F401  # its timeouts of the model hub, before open_clip is imported
