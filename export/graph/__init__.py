"""Graphs as ONNX: from torch, in lower precision, with smaller weights."""
