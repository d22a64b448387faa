"""The bridge from PyTorch to bundles: the only place that knows torch and ONNX. Run as `python -m export`."""

# Before open_clip and ONNX Runtime are imported: timeouts of the model hub, and no telemetry.
import realm_train  # noqa: F401
