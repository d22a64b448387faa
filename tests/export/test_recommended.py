"""What the export recommends for a device: the fastest precision that is within its gate there."""

from export.proof.gates import recommended


def fidelity(**passes):
    """Records as `compare_precisions` writes them: precision -> device -> whether it passes."""
    return {
        precision: {"devices": {device: {"passes": good} for device, good in devices.items()}}
        for precision, devices in passes.items()
    }


def test_the_fastest_that_passes_is_recommended_device_by_device():
    everything = fidelity(fp16={"cpu": True}, bf16={"openvino": True}, int8={"cpu": True, "openvino": True})
    assert recommended({"fp32": {"images": 4}, **everything}, "cpu") == {"cpu": "int8", "openvino": "int8"}
    missed = fidelity(bf16={"openvino": True}, int8={"cpu": True, "openvino": False})
    assert recommended(missed, "cpu") == {"cpu": "int8", "openvino": "bf16"}


def test_what_misses_or_is_made_for_another_device_is_not():
    assert recommended(fidelity(bf16={"openvino": False, "emulated": True}), "cpu") == {}
    assert recommended(fidelity(int8={"cpu": True}), "tensorrt") == {}
    assert recommended({"fp32": {"images": 4}}, "cpu") == {}
