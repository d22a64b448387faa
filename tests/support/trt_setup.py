"""A session on the emulated GPU, calls for it, and what they must answer."""

from __future__ import annotations

import numpy as np
import trt_emulator as emulator

from realm_engine.bundle.manifest import TensorSpec
from realm_engine.runtimes.tensorrt.cuda import Cuda, DeviceArray, DevicePool
from realm_engine.runtimes.tensorrt.interface import Interface
from realm_engine.runtimes.tensorrt.profiles import Range, ShapeProfile
from realm_engine.runtimes.tensorrt.runtime import TENSORRT, TENSORRT_RTX, Messages, TrtRuntime
from realm_engine.runtimes.tensorrt.session import TensorRTSession

INPUTS = (
    TensorSpec("image", "uint8", ("height", "width", 3)),
    TensorSpec("top", "int64", ("windows",)),
    TensorSpec("text", "float32", ("texts", 4)),
)
OUTPUTS = (TensorSpec("similarity", "float32", ("windows", "texts")),)
PROFILE = ShapeProfile(
    "windows",
    {
        "height": Range(1, 8, 64),
        "width": Range(1, 8, 64),
        "windows": Range(1, 16, 16),
        "texts": Range(1, 1, 32),
    },
)


class Setup:
    def __init__(
        self, rtx=False, context=emulator.Context, capacity=1 << 26, graphs=True, jit=None, scratch=512
    ):
        self.device = emulator.Runtime(capacity)
        self.cuda = Cuda(self.device)
        self.pool = DevicePool(self.cuda)
        self.engine = emulator.Engine(self.device, context, scratch, rtx)
        runtime = object.__new__(TrtRuntime)
        runtime.flavour = TENSORRT_RTX if rtx else TENSORRT
        runtime.module, runtime.name, runtime.messages = emulator.MODULE, "TensorRT 0", Messages()
        interface = Interface("dream.onnx", INPUTS, OUTPUTS, (PROFILE,))
        self.session = TensorRTSession(runtime, self.cuda, self.pool, self.engine, interface, graphs, jit)

    def run(self, feeds):
        return self.session.run(feeds, ["similarity"])[0]

    def upload(self, array):
        device = DeviceArray(self.pool, array.shape, array.dtype)
        self.cuda.to_device(device.address, np.ascontiguousarray(array), 7)
        return device


def feeds(windows=5, texts=2, height=8, width=6, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        "top": rng.integers(0, 50, windows),
        "text": rng.normal(size=(texts, 4)).astype(np.float32),
    }


def expected(given):
    rows = given["top"].astype(np.float32) + float(given["image"].sum())
    return rows[:, None] + given["text"].sum(axis=1)[None, :]


def graph_launches(setup, calls):
    for call in calls:
        np.testing.assert_allclose(setup.run(call), expected(call), rtol=1e-6)
    return setup.device.launches
