"""A second precision of a graph that keeps no weights of its own: it reads them out of the first one's file.

A float32 file may store its weights in float16; the float16 file of the same graph would hold the same bytes again.
ONNX lets a tensor lie in another file from an offset on, and nothing says that this may not be an ONNX file itself.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
from onnx.external_data_helper import set_external_data

LEAST_BYTES = 1024  # of a tensor that is worth a reference
LEAST_SHARE = 0.5  # of all weights, or the file is better off by itself
DIGEST = "realm.weights_sha256"  # what the other file was, so that another one gives another file here


def sharing(model: bytes, other: Path) -> bytes:
    """The model with every large tensor that `other`, a file beside it, holds byte by byte read from there.

    A model that shares little with it is returned as it is.
    """
    contents = other.read_bytes()
    proto = onnx.load_from_string(model)
    places = {
        tensor.name: offset
        for tensor in proto.graph.initializer
        if len(tensor.raw_data) >= LEAST_BYTES and (offset := contents.find(tensor.raw_data)) >= 0
    }
    shared = [tensor for tensor in proto.graph.initializer if tensor.name in places]
    weights = sum(len(tensor.raw_data) for tensor in proto.graph.initializer)
    if sum(len(tensor.raw_data) for tensor in shared) < LEAST_SHARE * max(1, weights):
        return model
    for tensor in shared:
        set_external_data(tensor, other.name, places[tensor.name], len(tensor.raw_data))
        tensor.ClearField("raw_data")
    proto.metadata_props.add(key=DIGEST, value=hashlib.sha256(contents).hexdigest())
    return bytes(proto.SerializeToString(deterministic=True))
