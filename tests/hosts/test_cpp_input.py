"""Bad input to the C++ host: the same words and exit codes as `realm-engine`."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import cpp_host
import numpy as np
import pytest
from bundles import read_manifest, write_manifest
from cpp_host import TINY, assert_same_scores, errors, python_engine, run, table
from PIL import Image

release, corner = cpp_host.release, cpp_host.corner

SCORE_CASES = r"""
missing.png
none
good.png empty.jpg text.png
good.png good.png
./none/../good.png small.png
good.png --device gpu
good.png --precision int8
good.png --max-memory 1K
good.png --max-memory much
good.png --threads 0
good.png --batch-size 0
good.png --nonsense
good.png --output table.txt
good.png --output good.png/x.csv
good.png --bundle nope
good.png --bundle none
good.png --missing-text error
good.png --descriptions missing.csv
good.png --descriptions 'no column.csv'
good.png --descriptions twice.csv
good.png --descriptions ragged.csv
good.png --descriptions quotes.csv
good.png --descriptions open.csv
good.png --descriptions nameless.csv
good.png --descriptions several.csv
good.png --descriptions lines.csv
good.png --descriptions latin.csv
good.png --descriptions nothing.csv
good.png --descriptions unused.csv
good.png --descriptions unused.csv --missing-text error
good.png small.png --descriptions lines.csv --missing-text error
good.png --no-descriptions --descriptions lines.csv
--batch-size 1
"""
MAP_CASES = r"""
missing.png
empty.jpg --text x
good.png small.png --text x
good.png --text ' '
good.png --preset x
good.png --text x --window 0
good.png --text x --window 71
good.png --text x --window 32 --window 32
good.png --text x --stride -3
good.png --text x --stride 0
good.png --text x --format gif
good.png --text x --range 2 1
good.png --text x --aggregate median
good.png --text x --output good.png
good.png --text x --descriptions lines.csv
good.png --text x --max-memory 5M
good.png --window 40 --text 'one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen'
"""
CASES = [
    (verb, line)
    for verb, lines in (("score", SCORE_CASES), ("map", MAP_CASES))
    for line in lines.split("\n")
    if line
]
# Devices and presets that this host has fewer of, and the amounts of memory: the beginning is what counts.
DIFFERENT_ENDS = re.compile(
    r"(choose one of|the name must end in|; give a directory|this bundle has|is too little|not a readable CSV).*"
)


@pytest.mark.parametrize(("verb", "line"), CASES)
def test_bad_input_is_answered_alike(release, bundle_path, corner, monkeypatch, verb, line) -> None:
    monkeypatch.chdir(corner)
    arguments = shlex.split(line)
    bundle = [] if "--bundle" in arguments else ["--bundle", bundle_path]
    done = run(
        release / f"realm_{verb}",
        *arguments,
        *bundle,
        *([] if "--threads" in arguments else ["--threads", 1]),
    )
    code, stdout, stderr = python_engine(verb, *arguments, *bundle)
    assert done.returncode == code, done.stderr
    if "Usage:" not in stderr:  # click's own remarks have other words
        ours, theirs = (
            [DIFFERENT_ENDS.sub("", line) for line in errors(text)] for text in (done.stderr, stderr)
        )
        assert ours == theirs
    assert [line for line in done.stderr.splitlines() if "warning" in line] == [
        line for line in stderr.splitlines() if "warning" in line
    ]
    assert [
        {**row, "mos": "", "realness": ""} for row in table(re.sub(r"\(formats[^)]*\)", "", done.stdout))
    ] == [{**row, "mos": "", "realness": ""} for row in table(re.sub(r"\(formats[^)]*\)", "", stdout))]


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
        run(release / "realm_score", corner / "good.png", "--bundle", f"{each}/").stdout
        for each in (folder, bundle_path)
    ]
    assert (folder / "weights.bin").stat().st_size > 0
    assert_same_scores(*tables)


def test_a_side_too_long_is_an_error_of_its_image(release, bundle_path, tmp_path) -> None:
    Image.new("L", (12_000_000, 1)).save(tmp_path / "line.png")
    Image.new("L", (40, 30)).save(tmp_path / "good.png")
    done = run(release / "realm_score", tmp_path, "--bundle", bundle_path)
    errors_of = {row["filename"]: row["error"] for row in table(done.stdout)}
    assert done.returncode == 1 and errors_of["good.png"] == ""
    assert errors_of["line.png"] == "a side of 12000000 px is too long; scale it down first"


def test_bf16_files_are_refused_and_never_chosen(release, bundle_path, corner) -> None:
    folder = Path(shutil.copytree(bundle_path, corner / "bf16"))
    manifest = read_manifest(folder)
    for graph in manifest["graphs"].values():
        graph["variants"] = {"bf16": graph["variants"]["fp16"], "fp32": graph["variants"]["fp32"]}
    manifest["recommended_precision"] = {"cpu": "bf16"}
    write_manifest(folder, manifest)
    arguments = [corner / "good.png", "--bundle", folder]
    refused = run(release / "realm_score", *arguments, "--precision", "bf16")
    assert refused.returncode == 2
    assert errors(refused.stderr) == [
        "error: device cpu: ONNX Runtime has no bf16 convolutions; use another --precision"
    ]
    assert "cpu, fp32," in run(release / "realm_score", *arguments).stderr


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
    scored = run(release / "realm_score", corner / "good.png", "--bundle", folder)
    (row,) = table(scored.stdout)
    assert scored.returncode == 1 and row["mos"] == "" and "not a number" in row["error"]
    out = corner / "maps"
    mapped = run(
        release / "realm_map", corner / "good.png", "--text", "x", "--bundle", folder, "--output", out
    )
    assert mapped.returncode == 1 and not list(out.glob("good*"))
    (line,) = errors(mapped.stderr)
    assert line.startswith("error: good.png: graph of similarity: ") and "NaN or infinite" in line


def test_formats_of_others_are_named(release, bundle_path, photo, tmp_path) -> None:
    for kind in ("WEBP", "BMP", "TIFF", "GIF"):
        path = tmp_path / "picture.png"  # told by the content, not by the name
        Image.fromarray(photo()).save(path, kind)
        done = run(release / "realm_score", path, "--bundle", bundle_path)
        assert done.returncode == 1
        assert f"{kind.replace('WEBP', 'WebP')} is not read by this program" in table(done.stdout)[0]["error"]


def test_cuda_is_refused_without_it(release, bundle_path, corner) -> None:
    done = run(release / "realm_score", corner / "good.png", "--bundle", bundle_path, "--device", "cuda")
    assert done.returncode == 2 and "is built without CUDA" in done.stderr


def test_a_memory_limit_changes_no_result(release, corner) -> None:
    def scored(*more: object) -> tuple[str, np.ndarray]:
        arguments = [corner / "good.png", "--bundle", TINY, "--threads", 1, *more]
        mapped = run(
            release / "realm_map", *arguments, "--text", "x", "--output", corner / "map", "--format", "npy"
        )
        assert mapped.returncode == 0, mapped.stderr
        return run(release / "realm_score", *arguments).stdout, np.load(corner / "map" / "good.npy")

    table_of_all, map_of_all = scored()
    table_of_few, map_of_few = scored("--max-memory", "250M")
    assert_same_scores(table_of_few, table_of_all)
    assert np.abs(map_of_few - map_of_all).max() < 1e-5
