"""What verify finds in bundles that were tampered with, and the reader of ONNX interfaces."""

import contextlib
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from bundles import build_bundle, read_manifest, write_manifest
from onnx import numpy_helper

from realm_engine.bundle.onnx_file import read_interface
from realm_engine.verbs.info import bundle_facts
from realm_engine.verbs.verify import Check, sample_image, verify_bundle


@pytest.fixture
def own_bundle(tmp_path: Path) -> Path:
    return build_bundle(tmp_path / "bundle")


def failures(path: Path) -> list[Check]:
    return [check for check in verify_bundle(path, "cpu", 1) if not check.ok]


def test_a_good_bundle(bundle_path: Path) -> None:
    checks = list(verify_bundle(bundle_path, "cpu", 1))
    assert all(check.ok for check in checks)
    names = [check.name for check in checks]
    assert names[:2] == ["manifest", "checksums"]
    for wanted in ("core tokenizer", "phrase bank", "graph dream fp16", "measure core fp32", "map fp16"):
        assert wanted in names


def test_interface_agrees_with_onnx(bundle_path: Path) -> None:
    kinds = {
        onnx.TensorProto.FLOAT: "float32",
        onnx.TensorProto.INT64: "int64",
        onnx.TensorProto.UINT8: "uint8",
    }
    for path in sorted(bundle_path.glob("*.onnx")):
        model = onnx.load(path)
        found = read_interface(path)
        for mine, theirs in ((found.inputs, model.graph.input), (found.outputs, model.graph.output)):
            assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in mine] == [
                (
                    value.name,
                    kinds[value.type.tensor_type.elem_type],
                    tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim),
                )
                for value in theirs
            ]
        assert found.metadata == {entry.key: entry.value for entry in model.metadata_props}


def test_interface_of_a_broken_file(tmp_path: Path, bundle_path: Path) -> None:
    content = (bundle_path / "core.onnx").read_bytes()
    for end in range(0, len(content), 37):
        (tmp_path / "cut.onnx").write_bytes(content[:end])
        with contextlib.suppress(ValueError):  # any other exception is a bug
            read_interface(tmp_path / "cut.onnx")
    (tmp_path / "no.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        read_interface(tmp_path / "no.onnx")


def test_one_flipped_bit(own_bundle: Path) -> None:
    path = own_bundle / "dream.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    found = failures(own_bundle)
    assert found[0].name == "checksum dream.onnx" and "the manifest says" in found[0].detail
    assert found[-1].name == "inference"


def test_missing_file_and_broken_manifest(own_bundle: Path) -> None:
    (own_bundle / "core.onnx").unlink()
    (found,) = failures(own_bundle)
    assert found.name == "manifest" and "core.onnx: is missing" in found.detail
    (own_bundle / "bundle.json").write_text("{")
    (found,) = failures(own_bundle)
    assert "not valid JSON" in found.detail


def test_tokenizer_that_is_none(own_bundle: Path) -> None:
    (own_bundle / "core_tokenizer.json").write_text("{}")
    write_manifest(own_bundle, read_manifest(own_bundle))
    found = failures(own_bundle)
    assert [check.name for check in found] == ["core tokenizer", "measure core fp32"]
    assert "not a tokenizer file" in found[0].detail and "\n" not in found[0].detail


def test_graph_that_is_another_one(own_bundle: Path) -> None:
    (own_bundle / "core.onnx").write_bytes((own_bundle / "dream.onnx").read_bytes())
    write_manifest(own_bundle, read_manifest(own_bundle))
    found = failures(own_bundle)
    assert [check.name for check in found] == ["graph core fp32", "measure core fp32"]
    assert "the file takes image, top, left" in found[0].detail


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "mos2"}, "no output 'mos'"),
        ({"dtype": "float16"}, r"mos is float32\[batch\] in the file, float16\[batch\] in the manifest"),
        ({"shape": ["batch", 1]}, r"mos is float32\[batch\] in the file, float32\[batch, 1\]"),
    ],
)
def test_manifest_that_lies(own_bundle: Path, change: dict[str, object], message: str) -> None:
    manifest = read_manifest(own_bundle)
    manifest["graphs"]["core"]["outputs"][0].update(change)
    write_manifest(own_bundle, manifest)
    found = [check for check in failures(own_bundle) if check.name in ("graph core fp32", "contents")]
    assert len(found) == 1
    assert re.search(message, found[0].detail)


@pytest.mark.parametrize(
    ("answer", "ok"),
    [(2.0, False), (-2.0, False), (1.01, False), (-1.01, False), (1.0005, True), (-1.0, True), (1.0, True)],
)
def test_similarities_that_are_no_cosines(tmp_path: Path, answer: float, ok: bool) -> None:
    """A tower that was not normalised gives any number; rounding goes beyond 1 by less than a thousandth."""
    path = build_bundle(tmp_path / "bundle", core=False, phrases=False)
    model = onnx.load(path / "dream.onnx")
    model.graph.node[-1].output[0] = "cosine"
    for name, value in (("nothing", 0.0), ("answer", answer)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    model.graph.node.append(onnx.helper.make_node("Mul", ["cosine", "nothing"], ["silence"]))
    model.graph.node.append(onnx.helper.make_node("Add", ["silence", "answer"], ["similarity"]))
    onnx.save(model, path / "dream.onnx")
    write_manifest(path, read_manifest(path))
    found = failures(path)
    assert [check.name for check in found] == ([] if ok else ["map fp32"])
    for check in found:
        match = re.search(r"(?:a cosine of|similarities from \S+ to) (\S+) ", check.detail)
        assert match is not None and "cosine" in check.detail
        assert abs(float(match[1])) == pytest.approx(abs(answer), abs=1e-6)


def test_facts(bundle_path: Path) -> None:
    facts = bundle_facts(str(bundle_path))
    assert facts["name"] == "test-bundle" and facts["licence"]["commercial_use"] is True
    assert (
        facts["size_bytes"]
        == sum(path.stat().st_size for path in bundle_path.iterdir())
        - (bundle_path / "bundle.json").stat().st_size
    )
    assert facts["graphs"]["core"]["fp16"]["file"] == "core.fp16.onnx"
    assert facts["dream"]["recommended_preset"] == "released" and facts["dream"]["phrases"] == 5


def test_sample_image_is_the_same_every_time() -> None:
    image = sample_image(48, 64)
    assert image.shape == (48, 64, 3) and image.dtype.name == "uint8"
    assert (image == sample_image(48, 64)).all() and image.std() > 20


def test_what_the_export_measured_is_shown_and_a_miss_of_a_file_is_a_fault(own_bundle: Path) -> None:
    def record(passes: bool, **more: object) -> dict[str, object]:
        measured = {
            "runtime": "ONNX Runtime 1",
            "passes": passes,
            "dream": {"map_pearson_min": 0.97, "passes": passes},
            "core": {"mos_max_abs_diff": 0.004},
        }
        return {"gates": {}, "devices": {"cpu": measured}, **more}

    manifest = read_manifest(own_bundle)
    manifest["fidelity"] = {"fp32": {"images": 4}, "bf16": record(False, native=True), "int8": record(False)}
    write_manifest(own_bundle, manifest)
    checks = {check.name: check for check in verify_bundle(own_bundle, "cpu", 1)}
    native, file = checks["fidelity bf16 on cpu"], checks["fidelity int8 on cpu"]
    assert native.ok and not file.ok
    assert "dream map pearson min 0.97, core mos max abs diff 0.004: beyond its gates" in file.detail
    manifest["fidelity"] = {"int8": record(True)}
    write_manifest(own_bundle, manifest)
    assert not failures(own_bundle)
