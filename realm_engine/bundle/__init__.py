"""Bundles: manifest, files, and what the ONNX files themselves say."""
