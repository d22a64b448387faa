"""An engine that tests of the cache keep and look for."""

from realm_engine.runtimes.tensorrt.plan_record import EngineKey

KEY = EngineKey(
    device="tensorrt",
    model="bundle/dream.onnx",
    precision="fp16",
    onnx_sha256="a" * 64,
    runtime="TensorRT 10.16.1",
    gpu="NVIDIA L4",
    arch="sm_89",
    driver="580.65.06",
    profiles="{}",
)
