"""Which device and precision each part gets. Only attributes of backends matter here, so these are plain records."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from bundles import build_bundle, read_manifest, write_manifest

from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import BundleError, DeviceError
from realm_engine.machine.processor import Processor
from realm_engine.opened import Contents
from realm_engine.runtimes import choose as plan
from realm_engine.runtimes import rule
from realm_engine.runtimes.choose import PREFER_FP16, choose_plans
from realm_engine.runtimes.measured import Measured, Tuned


@dataclass(frozen=True)
class Machine:
    """The attributes of a backend that a plan is made from."""

    device: str
    threads: int = 2
    fast_fp16: bool = False
    native: tuple[str, ...] = ()
    lacks: Mapping[str, str] = field(default_factory=dict)


KNOWN = {
    "cuda": Machine("cuda", fast_fp16=True),
    "cpu": Machine("cpu"),
    "openvino": Machine("openvino", native=("bf16",)),
}


@pytest.fixture
def machine(monkeypatch):
    """A function that says which devices there are."""

    def install(*devices):
        def open_backend(device, threads=None):
            if device == "auto":
                device = next(name for name in ("cuda", "cpu", "openvino") if name in devices)
            if device not in devices:
                raise DeviceError(f"device {device} is not here; use another")
            found = KNOWN[device]
            return replace(found, threads=threads or found.threads)

        monkeypatch.setattr(plan, "open_backend", open_backend)

    return install


@pytest.fixture
def bundle(tmp_path):
    return Bundle.open(build_bundle(tmp_path / "b", fp16=True))


def plans_of(bundle, *how):
    return choose_plans(bundle, Contents(bundle).parts, *how)


def brief(plans):
    return {part: (one.backend.device, one.precision) for part, one in plans.items()}


def tuned(*measured):
    return Tuned("b", "2026-01-01", {}, 3, tuple(measured))


def measure(part, device, precision, speed, passes=True, batch=16, threads=2):
    return Measured(part, device, precision, batch, threads, speed, passes, {})


def test_auto_is_the_first_device_that_works_in_fp32(machine, bundle):
    machine("cpu", "openvino")
    plans = plans_of(bundle, "auto", "auto", None, None)
    assert brief(plans) == {"core": ("cpu", "fp32"), "dream": ("cpu", "fp32")}
    assert not any(one.tuned for one in plans.values())


def test_auto_takes_the_fastest_that_passed_part_by_part(machine, bundle):
    machine("cpu", "openvino")
    record = tuned(
        measure("core", "cpu", "fp32", 10),
        measure("core", "openvino", "bf16", 30, passes=False),
        measure("dream", "cpu", "fp32", 100),
        measure("dream", "openvino", "bf16", 300, batch=48, threads=1),
        measure("dream", "openvino", "fp32", 110),
    )
    plans = plans_of(bundle, "auto", "auto", None, record)
    assert brief(plans) == {"core": ("cpu", "fp32"), "dream": ("openvino", "bf16")}
    assert (plans["dream"].batch, plans["dream"].backend.threads) == (48, 1)
    assert plans_of(bundle, "auto", "auto", 5, record)["dream"].backend.threads == 5
    assert brief(plans_of(bundle, "cpu", "auto", None, record))["dream"] == ("cpu", "fp32")


def test_what_was_tuned_for_a_device_that_is_gone_is_passed_over(machine, bundle):
    machine("cpu")
    record = tuned(measure("dream", "openvino", "bf16", 300), measure("dream", "cpu", "fp16", 200))
    assert brief(plans_of(bundle, "auto", "auto", None, record))["dream"] == ("cpu", "fp16")


def test_an_explicit_precision_finds_the_device_that_computes_in_it(machine, bundle):
    machine("cpu", "openvino")
    assert brief(plans_of(bundle, "auto", "bf16", None, None)) == {
        "core": ("openvino", "bf16"),
        "dream": ("openvino", "bf16"),
    }
    machine("cpu")
    with pytest.raises(BundleError, match="no bf16 variant"):
        plans_of(bundle, "auto", "bf16", None, None)


def test_a_precision_without_a_file_names_openvino_where_it_computes_in_it(machine, bundle):
    machine("cpu", "openvino")
    native = (
        r"no bf16 variant; this bundle has fp32, fp16; use --device openvino, which computes bf16 by itself$"
    )
    with pytest.raises(BundleError, match=native):
        plans_of(bundle, "cpu", "bf16", None, None)
    with pytest.raises(BundleError, match=r"no int8 variant; this bundle has fp32, fp16$"):
        plans_of(bundle, "cpu", "int8", None, None)
    machine("cpu")
    with pytest.raises(BundleError, match=r"no bf16 variant; this bundle has fp32, fp16$"):
        plans_of(bundle, "cpu", "bf16", None, None)


def test_an_explicit_device_that_is_not_there_is_an_error_whatever_was_tuned(machine, bundle):
    machine("cpu")
    record = tuned(measure("dream", "cuda", "fp16", 900))
    with pytest.raises(DeviceError, match="cuda is not here"):
        plans_of(bundle, "cuda", "auto", None, record)


def test_prefer_fp16_takes_it_part_by_part_where_the_device_is_fast(machine, tmp_path, caplog):
    machine("cuda", "cpu")
    path = build_bundle(tmp_path / "c", fp16=True)
    both = plans_of(Bundle.open(path), "auto", PREFER_FP16, None, None)
    assert brief(both) == {"core": ("cuda", "fp16"), "dream": ("cuda", "fp16")}
    assert not caplog.records
    manifest = read_manifest(path)
    del manifest["graphs"]["dream"]["variants"]["fp16"]
    write_manifest(path, manifest)
    one = plans_of(Bundle.open(path), "auto", PREFER_FP16, None, None)
    assert brief(one) == {"core": ("cuda", "fp16"), "dream": ("cuda", "fp32")}
    assert "not all of the bundle has it: running core in fp16, dream in fp32" in caplog.text


def test_prefer_fp16_says_what_it_chose_where_the_device_has_none(machine, bundle, caplog):
    machine("cpu")
    assert brief(plans_of(bundle, "auto", PREFER_FP16, None, None))["dream"] == ("cpu", "fp32")
    assert "device cpu has no fast fp16 path: running core in fp32, dream in fp32" in caplog.text


def test_what_the_manifest_recommends_for_a_device_is_taken_where_it_can_run(machine, tmp_path):
    machine("cpu", "openvino")
    path = build_bundle(tmp_path / "d")
    write_manifest(path, read_manifest(path) | {"recommended_precision": {"openvino": "bf16", "cpu": "bf16"}})
    bundle = Bundle.open(path)
    assert brief(plans_of(bundle, "openvino", "auto", None, None))["core"] == ("openvino", "bf16")
    assert brief(plans_of(bundle, "cpu", "auto", None, None))["core"] == ("cpu", "fp32")


@pytest.fixture
def processor(monkeypatch):
    """A function that says what the processor multiplies fast."""

    def install(*features):
        monkeypatch.setattr(rule, "processor", lambda: Processor("a processor", 2, 2, None, 2, features))

    return install


def recommending(folder, table):
    """A bundle whose files are fp32 and int8."""
    manifest = read_manifest(build_bundle(folder, fp16=True))
    for graph in manifest["graphs"].values():
        graph["variants"] = {"fp32": graph["variants"]["fp32"], "int8": graph["variants"]["fp16"]}
    write_manifest(folder, manifest | {"recommended_precision": table})
    return Bundle.open(folder)


@pytest.mark.parametrize("unit", ["AVX-512 VNNI (int8)", "AVX-VNNI (int8)", "AMX int8", "dot product (int8)"])
def test_auto_takes_int8_where_it_is_recommended_and_the_processor_has_units(
    machine, processor, tmp_path, unit
):
    machine("cpu", "openvino")
    bundle = recommending(tmp_path / "f", {"cpu": "int8", "openvino": "int8"})
    processor("AVX2", unit)
    plans = plans_of(bundle, "auto", "auto", None, None)
    assert brief(plans)["dream"] == ("openvino", "int8")
    assert plans["dream"].why == "auto: int8 is recommended here"
    assert brief(plans_of(bundle, "cpu", "auto", None, None))["dream"] == ("cpu", "int8")
    machine("cpu")
    assert brief(plans_of(bundle, "auto", "auto", None, None))["dream"] == ("cpu", "int8")
    processor("AVX2")
    plans = plans_of(bundle, "auto", "auto", None, None)
    assert brief(plans)["dream"] == ("cpu", "fp32") and plans["dream"].why == "auto: no int8 units here"


def test_auto_takes_no_lower_precision_that_is_not_recommended(machine, processor, tmp_path):
    machine("cpu", "openvino")
    processor("AVX-512 VNNI (int8)", "AVX-512 BF16")
    plans = plans_of(recommending(tmp_path / "g", {}), "auto", "auto", None, None)
    assert brief(plans)["dream"] == ("cpu", "fp32")
    assert plans["dream"].why == "auto: nothing faster is recommended"


def test_auto_weighs_devices_by_what_was_measured(machine, processor, tmp_path):
    machine("cpu", "openvino")
    processor("AVX-512 VNNI (int8)", "AVX-512 BF16")
    both = recommending(tmp_path / "h", {"cpu": "int8", "openvino": "bf16"})
    assert brief(plans_of(both, "auto", "auto", None, None))["dream"] == ("cpu", "int8")
    processor("AVX-512 BF16")
    assert brief(plans_of(both, "auto", "auto", None, None))["dream"] == ("openvino", "bf16")


def test_auto_stays_on_a_gpu(machine, processor, tmp_path):
    machine("cuda", "cpu", "openvino")
    processor("AVX-512 VNNI (int8)")
    bundle = recommending(tmp_path / "i", {"cpu": "int8", "openvino": "int8"})
    assert brief(plans_of(bundle, "auto", "auto", None, None))["dream"] == ("cuda", "fp32")


@pytest.fixture
def bf16_files(tmp_path):
    path = build_bundle(tmp_path / "e", fp16=True)
    manifest = read_manifest(path)
    for graph in manifest["graphs"].values():
        graph["variants"] = {"fp32": graph["variants"]["fp32"], "bf16": graph["variants"]["fp16"]}
    write_manifest(path, manifest)
    return Bundle.open(path)


def test_a_file_that_no_device_here_can_run_is_an_error_before_anything_is_opened(
    machine, bf16_files, monkeypatch
):
    lacks = {"bf16": "this processor has no bf16"}
    monkeypatch.setitem(KNOWN, "cpu", Machine("cpu", lacks={"bf16": "ONNX Runtime has no bf16"}))
    machine("cpu", "openvino")
    assert brief(plans_of(bf16_files, "auto", "bf16", None, None))["dream"] == ("openvino", "bf16")
    with pytest.raises(DeviceError, match=r"^device cpu: ONNX Runtime has no bf16; use --device openvino$"):
        plans_of(bf16_files, "cpu", "bf16", None, None)
    monkeypatch.setitem(KNOWN, "openvino", Machine("openvino", lacks=lacks))
    both = r"^device auto: ONNX Runtime has no bf16 and this processor has no bf16; use --precision auto, or"
    with pytest.raises(DeviceError, match=both):
        plans_of(bf16_files, "auto", "bf16", None, None)
    with pytest.raises(DeviceError, match=r"^device openvino: this processor has no bf16; use --precision"):
        plans_of(bf16_files, "openvino", "bf16", None, None)


def test_a_bundle_of_files_that_the_device_lacks_alone_is_an_error_too(machine, bf16_files, monkeypatch):
    monkeypatch.setitem(KNOWN, "cpu", Machine("cpu", lacks={"bf16": "ONNX Runtime has no bf16"}))
    machine("cpu")
    manifest = read_manifest(bf16_files.root)
    for graph in manifest["graphs"].values():
        del graph["variants"]["fp32"]
    write_manifest(bf16_files.root, manifest)
    with pytest.raises(DeviceError, match="ONNX Runtime has no bf16; use --precision auto, or a GPU"):
        plans_of(Bundle.open(bf16_files.root), "cpu", "auto", None, None)
