import json
import os

import pytest
from bundles import read_manifest

from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import OutputError
from realm_engine.runtimes import measured as tuned
from realm_engine.runtimes.measured import (
    Measured,
    Tuned,
    forget_tuned,
    load_tuned,
    machine_facts,
    save_tuned,
    tuned_path,
)


def measure(device="cpu", precision="fp32", speed=10.0, passes=True, part="dream"):
    return Measured(part, device, precision, 16, 2, speed, passes, {"map_pearson_min": 0.9999})


def order(*measured, precision=None):
    return [(m.device, m.precision) for m in Tuned("b", "", {}, 1, measured).fastest("dream", precision)]


@pytest.fixture
def bundle(bundle_path, tmp_path, monkeypatch):
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path / "cache"))
    return Bundle.open(bundle_path)


def test_the_fastest_that_passes_comes_first():
    found = order(
        measure("cpu", "fp32", 10),
        measure("openvino", "bf16", 30),
        measure("openvino", "int8", 50, passes=False),
        measure("cpu", "fp32", 99, part="core"),
    )
    assert found == [("openvino", "bf16"), ("cpu", "fp32")]


def test_a_lower_precision_or_a_later_device_must_be_clearly_faster():
    close = [measure("cpu", "fp32", 10), measure("cpu", "int8", 10.2), measure("openvino", "fp32", 10.4)]
    assert order(*close)[0] == ("cpu", "fp32")
    assert order(measure("cpu", "fp32", 10), measure("cpu", "int8", 11))[0] == ("cpu", "int8")
    assert order(measure("cpu", "fp32", 10), measure("openvino", "fp32", 11))[0] == ("openvino", "fp32")


def test_what_was_asked_for_by_name_need_not_pass():
    found = [
        measure("cpu", "int8", 10, passes=False),
        measure("openvino", "int8", 20, passes=False),
        measure(),
    ]
    assert order(*found, precision="int8") == [("openvino", "int8"), ("cpu", "int8")]


def test_a_record_comes_back_as_it_was_saved(bundle):
    assert load_tuned(bundle) is None
    measured = [measure(), measure("openvino", "bf16", 30)]
    path = save_tuned(bundle, "2026-01-02", 3, measured)
    assert path == tuned_path(bundle)
    record = load_tuned(bundle)
    assert record == Tuned(bundle.name, "2026-01-02", machine_facts(), 3, tuple(measured))
    assert not list(path.parent.glob("*.partial"))
    assert forget_tuned(bundle)
    assert not forget_tuned(bundle)
    assert load_tuned(bundle) is None


def test_another_runtime_version_makes_a_record_void_and_says_what_changed(bundle, caplog):
    path = save_tuned(bundle, "2026-01-02", 3, [measure()])
    data = json.loads(path.read_text())
    data["machine"]["runtimes"]["onnxruntime"] = "0.0.1"
    path.write_text(json.dumps(data))
    assert load_tuned(bundle) is None
    assert "measured on 2026-01-02 is not used, because the runtimes changed; run it again" in caplog.text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"bundle": "b"}', '{"measured": [{"part": 1}]}'])
def test_a_damaged_record_is_named_and_not_used(bundle, caplog, text):
    path = save_tuned(bundle, "2026-01-02", 3, [measure()])
    path.write_text(text)
    assert load_tuned(bundle) is None
    assert f"{path} is no record of tune" in caplog.text


def test_another_model_has_another_record(bundle, tmp_path):
    save_tuned(bundle, "2026-01-02", 3, [measure()])
    manifest = read_manifest(bundle.root)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in bundle.root.iterdir():
        os.link(file, copy / file.name) if file.name != "bundle.json" else None
    first = sorted(manifest["files"])[0]
    manifest["files"][first]["sha256"] = "0" * 64
    write_manifest_only(copy, manifest)
    other = Bundle.open(copy, verify=False)
    assert tuned_path(other) != tuned_path(bundle)
    assert load_tuned(other) is None


def write_manifest_only(folder, manifest):
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_a_cache_folder_that_cannot_be_written_is_an_error_with_the_cure(bundle, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("REALM_CACHE_DIR", str(blocked))
    with pytest.raises(OutputError, match="set REALM_CACHE_DIR to a folder that can"):
        save_tuned(bundle, "2026-01-02", 3, [measure()])


def test_the_machine_is_described():
    facts = machine_facts()
    assert facts["processor"] and facts["cores"] >= 1
    assert "onnxruntime" in facts["runtimes"] and isinstance(facts["gpus"], list)
    assert tuned._version("no-such-package") is None
