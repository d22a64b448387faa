from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from bundles import build_bundle, read_manifest, write_manifest
from onnx import TensorProto, helper, numpy_helper

import realm_engine
from realm_engine.bundle.bundle import Bundle, find_bundle, installed_bundles
from realm_engine.bundle.onnx_file import external_locations
from realm_engine.errors import BundleError
from realm_engine.machine.files import cache_dir
from realm_engine.maps.spec import PART as MAPS
from realm_engine.measures.core import PART as CORE
from realm_engine.opened import Contents


@pytest.fixture
def bundle(bundle_path: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(bundle_path, tmp_path / "bundle"))


def edit(bundle: Path, *keys: str, value: object = None, delete: bool = False) -> None:
    """Change one entry of the manifest; checksums of the files stay true."""
    manifest = read_manifest(bundle)
    section = manifest
    for key in keys[:-1]:
        section = section[key]
    if delete:
        del section[keys[-1]]
    else:
        section[keys[-1]] = value
    (bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")


def refused(bundle: Path, match: str) -> None:
    with pytest.raises(BundleError, match=match) as caught:
        Contents(Bundle.open(bundle))
    assert "\n" not in str(caught.value)


def test_opens_a_good_bundle(bundle):
    opened = Bundle.open(bundle)
    assert opened.name == "test-bundle"
    contents = Contents(opened)
    (core,) = contents.measures.all
    assert core.view.height_px == 24
    assert core.text.buckets == (8, 16, 32)
    assert contents.maps.presets["paper"].windows_px == (128, 64, 32)
    assert contents.maps.recommended_preset == "released"
    assert opened.path("core", "fp32") == bundle / "core.onnx"
    assert opened.precisions(MAPS) == ("fp32", "fp16")
    assert opened.graphs["clip_text"].input_names == ("input_ids",)


def test_either_part_may_be_left_out(tmp_path):
    core = Contents(Bundle.open(build_bundle(tmp_path / "core", dream=False)))
    assert [measure.name for measure in core.measures.all] == ["core"] and core.maps is None
    assert core.parts == (CORE,) and core.bundle.precisions(MAPS) == ()
    maps = Contents(Bundle.open(build_bundle(tmp_path / "maps", core=False)))
    assert maps.measures.all == () and maps.maps is not None
    assert maps.parts == (MAPS,) and maps.bundle.precisions(CORE) == ()


def test_names_the_precisions_there_are(bundle):
    with pytest.raises(BundleError, match=r"core is not there in int8; this bundle has fp32, fp16"):
        Bundle.open(bundle).path("core", "int8")


def test_wrong_checksum(bundle):
    data = bytearray((bundle / "core.onnx").read_bytes())
    data[-1] ^= 1
    (bundle / "core.onnx").write_bytes(data)
    refused(bundle, r"core\.onnx: wrong checksum .* get the bundle again")


def test_wrong_size(bundle):
    with (bundle / "core.onnx").open("ab") as stream:
        stream.write(b"x")
    refused(bundle, r"core\.onnx: has \d+ bytes, the manifest says \d+")


def test_missing_file(bundle):
    (bundle / "dream.onnx").unlink()
    refused(bundle, r"dream\.onnx: is missing")


@pytest.mark.parametrize(
    ("version", "match"),
    [
        ("2.0", "this engine reads 1.x; update realm-engine"),
        ("0.9", "this engine reads 1.x; export the bundle again"),
        ("next", "is not a version"),
        (1, "wrong kind"),
    ],
)
def test_other_major_versions(bundle, version, match):
    edit(bundle, "format_version", value=version)
    refused(bundle, match)


def test_a_newer_minor_version_is_read(bundle):
    edit(bundle, "format_version", value="1.7")
    edit(bundle, "graphs", "saliency", value={"unknown": True})
    assert Bundle.open(bundle).name == "test-bundle"


@pytest.mark.parametrize(
    "path",
    ["../core.onnx", "/etc/hostname", "a/../../core.onnx", "..\\core.onnx", "C:/core.onnx", "", "a\0b"],
)
def test_paths_that_leave_the_folder(bundle, path):
    (bundle.parent / "core.onnx").write_bytes(b"outside")
    manifest = read_manifest(bundle)
    manifest["files"][path] = {"sha256": "0" * 64, "size_bytes": 7}
    (bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    refused(bundle, "leaves the bundle")
    edit(bundle, "files", path, delete=True)
    edit(bundle, "graphs", "core", "variants", "fp32", value=path)
    refused(bundle, "leaves the bundle")


def test_links_that_leave_the_folder(bundle):
    outside = bundle.parent / "outside.onnx"
    shutil.move(bundle / "core.onnx", outside)
    (bundle / "core.onnx").symlink_to(outside)
    refused(bundle, r"core\.onnx: is a link that leaves the bundle")


def test_links_inside_and_a_linked_folder_are_fine(bundle):
    shutil.move(bundle / "core.onnx", bundle / "stored.onnx")
    (bundle / "core.onnx").symlink_to("stored.onnx")
    write_manifest(bundle, read_manifest(bundle))
    link = bundle.parent / "link"
    link.symlink_to(bundle, target_is_directory=True)
    assert Contents(Bundle.open(link)).measures.all


def test_files_that_the_manifest_does_not_list(bundle):
    edit(bundle, "files", "core.onnx", delete=True)
    refused(bundle, r"does not list 'core\.onnx'")


@pytest.mark.parametrize(
    ("keys", "value", "match"),
    [
        (("format",), "zip", "no REALM bundle"),
        (("core", "image", "height_px"), "384", "'height_px' is '384', of the wrong kind"),
        (("core", "image", "height_px"), 0, "below 1"),
        (("core", "image", "height_px"), 10**9, "'height_px' is 1000000000, above 16384"),
        (("dream", "image_size_px"), 10**9, "above 16384"),
        (("core", "text", "max_tokens"), 10**15, "above 65536"),
        (("core", "text", "pad_id"), 10**40, "above 2147483647"),
        (("core", "text", "pad_id"), -1, "'pad_id' is -1, below 0"),
        (("core", "image", "interpolation"), "nearest", "must be one of bilinear, bicubic"),
        (("core", "text", "buckets"), [8, 16], "must end with 'max_tokens'"),
        (("core", "missing_text"), None, "wrong kind"),
        (("dream", "recommended_preset"), "best", "must be one of released, paper, tiny"),
        (("dream", "presets"), {}, "no preset"),
        (("dream", "presets", "paper", "windows_px"), [], "whole numbers"),
        (("graphs",), [], "must be a JSON object"),
        (("graphs",), {}, "nothing in it can be run"),
        (("files", "core.onnx", "size_bytes"), True, "wrong kind"),
    ],
)
def test_a_manifest_with_a_fault_names_the_place(bundle, keys, value, match):
    edit(bundle, *keys, value=value)
    refused(bundle, match)


def test_a_manifest_that_is_no_json(bundle):
    (bundle / "bundle.json").write_text("{", encoding="utf-8")
    refused(bundle, "not valid JSON")
    (bundle / "bundle.json").write_text("[" * 200_000, encoding="utf-8")
    refused(bundle, "nested deeper than 100")


# ------------------------------------------------------------- external data


def model_with(tensors: list[TensorProto], nodes: list[onnx.NodeProto] | None = None) -> onnx.ModelProto:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    nodes = nodes or [helper.make_node("Identity", ["w"], ["y"])]
    return helper.make_model(helper.make_graph(nodes, "g", [], [value], initializer=tensors))


def external(location: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(2, dtype=np.float32), "w")
    onnx.external_data_helper.set_external_data(tensor, location=location, offset=0, length=8)
    tensor.ClearField("raw_data")
    return tensor


@pytest.mark.parametrize("place", ["initializer", "constant", "subgraph", "sparse", "function"])
def test_finds_external_data_wherever_a_tensor_can_be(tmp_path, place):
    tensor = external("weights.bin")
    constant = helper.make_node("Constant", [], ["y"], value=tensor)
    if place == "initializer":
        model = model_with([tensor])
    elif place == "constant":
        model = model_with([], [constant])
    elif place == "subgraph":
        body = helper.make_graph(
            [constant], "body", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])]
        )
        model = model_with([], [helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)])
    elif place == "sparse":
        model = model_with([])
        indices = numpy_helper.from_array(np.array([0, 1], dtype=np.int64), "i")
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(tensor, indices, [2]))
    else:
        model = model_with([])
        opset = helper.make_opsetid("", 17)
        model.functions.append(helper.make_function("local", "f", [], ["y"], [constant], [opset]))
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert external_locations(path) == {"weights.bin"}


def test_self_contained_models_have_none(bundle):
    assert [external_locations(path) for path in sorted(bundle.glob("*.onnx"))] == [set()] * 8


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "sub/../../secret.bin"])
def test_external_data_that_leaves_the_folder(bundle, location):
    (bundle / "core.onnx").write_bytes(model_with([external(location)]).SerializeToString())
    write_manifest(bundle, read_manifest(bundle))
    refused(bundle, "leaves the bundle")


def test_external_data_must_be_listed_and_checked(bundle):
    (bundle / "core.onnx").write_bytes(model_with([external("weights.bin")]).SerializeToString())
    write_manifest(bundle, read_manifest(bundle))
    (bundle / "weights.bin").write_bytes(bytes(8))
    refused(bundle, r"keeps weights in 'weights\.bin', which the manifest does not list")
    write_manifest(bundle, read_manifest(bundle))
    assert Contents(Bundle.open(bundle)).measures.all


@pytest.mark.parametrize("content", [b"", b"not an onnx file", b"\x3a\xff\xff\xff\xff\x0f", b"\x80" * 20])
def test_a_graph_that_is_no_protobuf(bundle, content):
    (bundle / "core.onnx").write_bytes(content)
    write_manifest(bundle, read_manifest(bundle))
    refused(bundle, "not a readable ONNX file")


def test_nesting_is_bounded(tmp_path):
    graph = b""
    for _ in range(100):  # graph -> node -> attribute -> graph
        attribute = b"\x32" + varint(len(graph)) + graph
        node = b"\x2a" + varint(len(attribute)) + attribute
        graph = b"\x0a" + varint(len(node)) + node
    path = tmp_path / "deep.onnx"
    path.write_bytes(b"\x3a" + varint(len(graph)) + graph)
    with pytest.raises(ValueError, match="too deep"):
        external_locations(path)


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


# ------------------------------------------------------------------- places


def test_cache_dir_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("REALM_CACHE_DIR")
    assert cache_dir().name == "realm"


def test_finds_a_bundle_by_name_in_the_cache(monkeypatch, tmp_path, bundle):
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path / "cache"))
    target = tmp_path / "cache" / "bundles" / "mine"
    shutil.copytree(bundle, target)
    assert find_bundle("mine") == target
    assert installed_bundles()["mine"] == target


def test_an_unknown_name_lists_those_there_are(monkeypatch, tmp_path, bundle):
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(bundle, tmp_path / "cache" / "bundles" / "mine")
    with pytest.raises(BundleError, match=r"bundle 'yours' not found; give a directory or one of: .*mine"):
        find_bundle("yours")


def test_a_folder_here_never_replaces_a_name(monkeypatch, tmp_path, bundle):
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    for name in ("realm-tiny", "mine"):
        shutil.copytree(bundle, tmp_path / "here" / name)
    monkeypatch.chdir(tmp_path / "here")
    assert find_bundle("realm-tiny") == Path(realm_engine.__file__).parent / "bundles" / "realm-tiny"
    with pytest.raises(
        BundleError, match=r"^bundle 'mine' not found; for the folder of that name here give \./mine$"
    ):
        find_bundle("mine")
    for path in ("./realm-tiny", "../here/realm-tiny", "realm-tiny/", str(tmp_path / "here" / "realm-tiny")):
        assert find_bundle(path).resolve() == tmp_path / "here" / "realm-tiny"
        assert Bundle.open(path).name == "test-bundle"
    assert find_bundle(Path("realm-tiny")) == Path("realm-tiny")  # a Path is a path
    monkeypatch.chdir("realm-tiny")
    assert Bundle.open(".").name == "test-bundle"
    with pytest.raises(BundleError, match="bundle '' not found; give a directory or one of: realm-tiny"):
        find_bundle("")


NO_NAMES = (
    "../../x",
    "..",
    ".",
    ".x",
    "",
    "a/b",
    "a\\b",
    "/x",
    "C:x",
    "x\n",
    "\0",
    "x y",
    "-x",
    "ä",
    "x" * 65,
)


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_is_a_path_is_refused(bundle, name):
    """Records of `tune` are called after the bundle."""
    write_manifest(bundle, {**read_manifest(bundle), "name": name})
    with pytest.raises(BundleError, match=r"^[^\n]*bundle\.json: 'name' is [^\n]*no name of a bundle[^\n]*$"):
        Bundle.open(bundle)
    with pytest.raises(BundleError, match="no name of a bundle"):
        Bundle.read(bundle)


@pytest.mark.parametrize("name", ["realm-tiny", "a", "7B_v1.0-x", "x" * 64])
def test_names_that_bundles_may_have(bundle, name):
    write_manifest(bundle, {**read_manifest(bundle), "name": name})
    assert Bundle.open(bundle).name == name == Bundle.read(bundle).name


def test_a_directory_without_a_manifest(tmp_path):
    with pytest.raises(BundleError, match=r"no bundle\.json in this directory"):
        find_bundle(tmp_path)
