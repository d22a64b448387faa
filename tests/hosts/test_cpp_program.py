"""The example program of the C++ host: what it takes and refuses. An error is one line, and exit codes hold."""

from __future__ import annotations

import resource
import shlex
import shutil
import struct
import sys
import zlib
from pathlib import Path

import cpp_host
import numpy as np
import pytest
from bundles import read_manifest, write_manifest
from cpp_host import TINY, assert_same_scores, errors, run, table
from hub_cache import hub_snapshot
from PIL import Image

release, corner = cpp_host.release, cpp_host.corner

# What is given, the exit code, and how its one error begins.
CASES = r"""
score missing.png | 2 | missing.png: no such file or folder
score none | 2 | none: no .jpg, .jpeg or .png in this folder
score | 2 | path is required
score good.png --nonsense | 2 | The following argument was not expected: --nonsense
score good.png --device gpu | 2 | unknown device 'gpu'; choose one of cpu, cuda
score good.png --precision int8 | 2 | test-bundle: no int8 variant; this bundle has fp32, fp16
score good.png --max-memory 1K | 2 | --max-memory 1M is too little
score good.png --max-memory much | 2 | --max-memory: much unit not recognized
score good.png --threads 0 | 2 | --threads: Value 0 not in range 1
score good.png --bundle nope | 2 | bundle 'nope' not found
score good.png --bundle none | 2 | none: no bundle.json in this directory
score good.png --measure beauty | 2 | measure beauty is not in this bundle; it has core
score good.png --text x --descriptions lines.csv | 2 | --descriptions excludes --text
score good.png --descriptions missing.csv | 2 | missing.csv: cannot be read; give a CSV file
score good.png --descriptions 'no column.csv' | 2 | no column.csv: no column 'description' in line 1
score good.png --descriptions nothing.csv | 2 | nothing.csv: no column 'filename' in line 1
score good.png --descriptions twice.csv | 2 | twice.csv, record 2: 'good.png' stands twice; keep one
score good.png --descriptions ragged.csv | 2 | ragged.csv, record 1: 3 fields, the header has 2
score good.png --descriptions open.csv | 2 | open.csv: not a readable CSV (a quote is not closed)
score good.png --descriptions unused.csv | 0 |
map missing.png | 2 | missing.png: no such file or folder
map empty.jpg --text x | 1 | empty.jpg: the file is empty
map good.png empty.jpg --text x --window 24 | 1 | empty.jpg: the file is empty
map good.png --text ' ' | 1 | good.png: the text of a map is empty
map good.png --preset x | 2 | --preset x: this bundle has released, paper, tiny
map good.png --text x --window 0 | 2 | --window: Value 0 not in range 1
map good.png --text x --window 71 | 1 | good.png:
map good.png --text x --window 32 --window 32 | 2 | window sizes (32, 32) repeat; give each once
map good.png --text x --stride 0 | 2 | --stride: Value 0 not in range 1
map good.png --text x --aggregate median | 2 | --aggregate: median not in {mean,max}
map good.png --text x --output good.png | 2 | good.png: is no folder and cannot be made
map good.png ./good.png --text x | 2 | two images have the same name without extension
map good.png --text x --descriptions lines.csv | 2 | --descriptions excludes --text
map good.png --text x --max-memory 5M | 2 | --max-memory 5M is too little
"""


@pytest.mark.parametrize("case", [line for line in CASES.splitlines() if line])
def test_errors_are_one_line_and_exit_codes_hold(release, bundle_path, corner, monkeypatch, case) -> None:
    monkeypatch.chdir(corner)
    command, code, beginning = (part.strip() for part in case.split("|"))
    arguments = shlex.split(command)
    if "--bundle" not in arguments:
        arguments += ["--bundle", bundle_path]
    done = run(release / "realm_host", *arguments)
    assert done.returncode == int(code), done.stderr
    found = errors(done.stderr)
    assert len(found) == (1 if beginning else 0)
    assert all(line.startswith(f"error: {beginning}") for line in found)
    assert code != "2" or done.stderr.count("\n") == 1


def test_images_that_fail_have_a_row_with_the_reason(release, bundle_path, corner) -> None:
    files = [corner / name for name in ("good.png", "empty.jpg", "text.png", "small.png")]
    done = run(release / "realm_host", "score", *files, "--bundle", bundle_path)
    assert done.returncode == 1 and done.stderr == "2 of 4 images failed; see the column error\n"
    rows = table(done.stdout)
    assert [row["filename"] for row in rows] == [str(file) for file in files]
    assert [bool(row["error"]) for row in rows] == [False, True, True, False]
    assert [bool(row["mos"]) for row in rows] == [True, False, False, True]


def test_descriptions_of_a_file(release, bundle_path, corner) -> None:
    folder = corner / "pictures"
    folder.mkdir()
    for name in ("good.png", "small.png"):
        shutil.copy(corner / name, folder / name.upper())
        shutil.copy(corner / name, folder / name)
    done = run(
        release / "realm_host",
        "score",
        folder,
        "--bundle",
        bundle_path,
        "--descriptions",
        corner / "lines.csv",
    )
    assert done.returncode == 0, done.stderr
    texts = {Path(row["filename"]).name: row["description"] for row in table(done.stdout)}
    assert texts == {"good.png": 'one\ntwo, "three"', "small.png": "x", "GOOD.PNG": "", "SMALL.PNG": ""}


def test_a_text_that_is_no_utf8_or_too_long(release, bundle_path, corner) -> None:
    good = [corner / "good.png", "--bundle", bundle_path]
    done = run(
        release / "realm_host", "score", *good, "--descriptions", corner / "latin.csv", errors="replace"
    )
    assert done.returncode == 1 and "UTF-8" in done.stdout
    done = run(
        release / "realm_host", "map", *good, "--text", "melted " * 40, "--window", 40, "--output", corner
    )
    assert done.returncode == 0 and done.stderr.startswith("warning: a text of ")


def test_weights_in_a_listed_file_are_used(release, bundle_path, corner) -> None:
    import onnx

    folder = Path(shutil.copytree(bundle_path, corner / "external"))
    model = onnx.load(folder / "core.onnx")
    options = {
        "save_as_external_data": True,
        "location": "weights.bin",
        "size_threshold": 64,
    }  # axes stay inside
    onnx.save_model(model, folder / "core.onnx", **options)
    write_manifest(folder, read_manifest(folder))
    tables = [
        run(release / "realm_host", "score", corner / "good.png", "--bundle", f"{each}/").stdout
        for each in (folder, bundle_path)
    ]
    assert (folder / "weights.bin").stat().st_size > 0
    assert_same_scores(*tables)


def test_a_side_too_long_is_an_error_of_its_image(release, bundle_path, tmp_path) -> None:
    Image.new("L", (12_000_000, 1)).save(tmp_path / "line.png")
    Image.new("L", (40, 30)).save(tmp_path / "good.png")
    done = run(release / "realm_host", "score", tmp_path, "--bundle", bundle_path)
    errors_of = {Path(row["filename"]).name: row["error"] for row in table(done.stdout)}
    assert done.returncode == 1 and errors_of["good.png"] == ""
    assert errors_of["line.png"].endswith(
        "line.png: 12000000 x 1 has a side beyond 100000 pixels; cut it into pieces"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_a_header_that_claims_gigabytes_reserves_none(release, bundle_path, photo, tmp_path) -> None:
    """66 bytes that say 2^31 - 1 pixels on a side: a row of them would be 6.4 GB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0"))
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))
    Image.fromarray(photo(30, 40)).save(tmp_path / "good.png")
    done = run(
        release / "realm_host", "score", tmp_path, "--bundle", bundle_path, "--threads", 1,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),
    )  # fmt: skip
    errors_of = {Path(row["filename"]).name: row["error"] for row in table(done.stdout)}
    assert done.returncode == 1 and errors_of["good.png"] == ""
    assert errors_of["huge.png"].endswith(
        "huge.png: 2147483647 x 2147483647 is more than 200 megapixels; scale it down first"
    )


@pytest.mark.parametrize("layout", [{}, {"within": "a/b"}, {"shared": True}], ids=str)
def test_the_cache_of_a_model_hub_opens_and_links_to_elsewhere_do_not(
    release, corner, tmp_path, layout
) -> None:
    folder = hub_snapshot(TINY, tmp_path / "hub", **layout)
    plain = run(release / "realm_host", "score", corner / "good.png", "--bundle", TINY)
    for precision in ("fp32", "fp16"):  # fp16 keeps its weights in the float32 files beside it
        more = ["--precision", precision]
        linked = run(release / "realm_host", "score", corner / "good.png", "--bundle", folder, *more)
        assert linked.returncode == 0, linked.stderr
        assert precision == "fp16" or linked.stdout == plain.stdout
    outside = tmp_path / "hub" / "models--other--one" / "blobs" / "secret"
    outside.parent.mkdir(parents=True)
    for file in ("core.onnx", "bundle.json"):
        shutil.copy(TINY / file, outside)
        kept = (folder / file).readlink()
        (folder / file).unlink()
        (folder / file).symlink_to(outside)
        done = run(release / "realm_host", "score", corner / "good.png", "--bundle", folder)
        assert done.returncode == 2 and f"{file}: is a link that leaves the bundle" in done.stderr
        (folder / file).unlink()
        (folder / file).symlink_to(kept)
    blobs = folder
    while blobs.parent.name != "snapshots":
        blobs = blobs.parent
    blobs = blobs.parents[1] / "blobs"
    blobs.rename(tmp_path / "elsewhere")
    blobs.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    done = run(release / "realm_host", "score", corner / "good.png", "--bundle", folder)
    assert done.returncode == 2, "blobs that are a link themselves are not followed"


def test_bf16_files_are_refused_and_never_chosen(release, bundle_path, corner) -> None:
    folder = Path(shutil.copytree(bundle_path, corner / "bf16"))
    manifest = read_manifest(folder)
    for graph in manifest["graphs"].values():
        graph["variants"] = {"bf16": graph["variants"]["fp16"], "fp32": graph["variants"]["fp32"]}
    manifest["recommended_precision"] = {"cpu": "bf16"}
    write_manifest(folder, manifest)
    arguments = [corner / "good.png", "--bundle", folder]
    refused = run(release / "realm_host", "score", *arguments, "--precision", "bf16")
    assert refused.returncode == 2
    assert errors(refused.stderr) == [
        "error: device cpu: ONNX Runtime has no bf16 convolutions; use another --precision"
    ]
    chosen, wanted = (
        run(release / "realm_host", "score", *arguments, *more).stdout
        for more in ([], ["--precision", "fp32"])
    )
    assert chosen == wanted and "error" in chosen and table(chosen)[0]["mos"]


def test_an_answer_that_is_not_a_number_is_an_error(release, bundle_path, corner) -> None:
    import onnx

    folder = Path(shutil.copytree(bundle_path, corner / "nan"))
    for graph, weight in (("core", "core_head"), ("dream", "dream_head")):
        model = onnx.load(folder / f"{graph}.onnx")
        (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == weight)
        array = np.full_like(onnx.numpy_helper.to_array(tensor), np.nan)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, weight))
        onnx.save(model, folder / f"{graph}.onnx")
    write_manifest(folder, read_manifest(folder))
    scored = run(release / "realm_host", "score", corner / "good.png", "--bundle", folder)
    (row,) = table(scored.stdout)
    assert scored.returncode == 1 and row["mos"] == ""
    assert row["error"] == "measure core: the model's answer is not a number (mos of graph core)"
    out = corner / "maps"
    mapped = run(
        release / "realm_host", "map", corner / "good.png", "--text", "x", "--bundle", folder, "--output", out
    )
    assert mapped.returncode == 1 and not list(out.glob("good*"))
    (line,) = errors(mapped.stderr)
    assert line.startswith(f"error: {corner}/good.png: graph of similarity: ") and "NaN or infinite" in line


def test_formats_of_others_are_named(release, bundle_path, photo, tmp_path) -> None:
    for kind in ("WEBP", "BMP", "TIFF", "GIF"):
        path = tmp_path / "picture.png"  # told by the content, not by the name
        Image.fromarray(photo()).save(path, kind)
        done = run(release / "realm_host", "score", path, "--bundle", bundle_path)
        assert done.returncode == 1
        assert f"{kind.replace('WEBP', 'WebP')} is not read by this program" in table(done.stdout)[0]["error"]


def test_cuda_is_refused_without_it(release, bundle_path, corner) -> None:
    done = run(
        release / "realm_host", "score", corner / "good.png", "--bundle", bundle_path, "--device", "cuda"
    )
    assert done.returncode == 2 and "is built without CUDA" in done.stderr


def test_a_memory_limit_changes_no_result(release, corner) -> None:
    def scored(*more: object) -> tuple[str, np.ndarray]:
        arguments = [corner / "good.png", "--bundle", TINY, "--threads", 1, *more]
        mapped = run(release / "realm_host", "map", *arguments, "--text", "x", "--output", corner / "map")
        assert mapped.returncode == 0, mapped.stderr
        return run(release / "realm_host", "score", *arguments).stdout, np.load(corner / "map" / "good.npy")

    table_of_all, map_of_all = scored()
    table_of_few, map_of_few = scored("--max-memory", "250M")
    assert_same_scores(table_of_few, table_of_all)
    np.testing.assert_allclose(map_of_few, map_of_all, rtol=0, atol=1e-5)
