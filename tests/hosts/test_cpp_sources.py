"""The C++ host with bundles that lie in memory or come from a function: the same answers, the same refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cpp_host
import pytest
from bundles import build_bundle, read_manifest
from cpp_host import SAMPLES, TINY, run
from cpp_hostile import MANIFESTS, mangled_folders
from PIL import Image

from realm_engine.bundle.bundle import Bundle

release, asan = cpp_host.release, cpp_host.asan
TEXT = "melted, dripping edges"


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_folder_memory_and_a_function_give_the_same_bits(release, precision) -> None:
    """The fp16 files hold no weights: they are in the fp32 files beside them, which ONNX Runtime gets in memory too."""
    core = Bundle.open(TINY).file(read_manifest(TINY)["graphs"]["core"]["variants"][precision])
    assert (b"core.onnx" in core.read_bytes()) == (precision == "fp16")
    done = run(release / "probe", "sources", TINY, SAMPLES / "coffee-melted.png", TEXT, precision)
    assert done.returncode == 0, done.stderr
    folder, memory, function, asked = done.stdout.splitlines()
    assert folder == memory == function and folder.startswith(precision)
    assert int(asked) > len(read_manifest(TINY)["files"])  # each once to be checked, some again to be used


def told_of(program: Path, verb: str, picture: Path, folders: list[Path]) -> list[str]:
    done = run(program, verb, picture, *folders)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_is_refused_in_a_folder_is_refused_in_memory(asan, photo, tmp_path) -> None:
    """In the same words, but for links and what is no file, which memory has none of."""
    good = build_bundle(tmp_path / "good")
    Image.fromarray(photo(70, 90)).save(tmp_path / "picture.png")
    folders = [good]
    for number, (_, change, _) in enumerate(MANIFESTS):
        folder = Path(shutil.copytree(good, tmp_path / f"manifest{number}"))
        manifest = read_manifest(folder)
        change(folder, manifest)
        (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
        folders.append(folder)
    folders += mangled_folders(good, tmp_path)
    plain = [
        folder
        for folder in folders
        if not any(path.is_symlink() or not (path.is_file() or path.is_dir()) for path in folder.rglob("*"))
    ]
    assert len(plain) > 40
    on_disk = told_of(asan / "probe", "bundles", tmp_path / "picture.png", plain)
    in_memory = told_of(asan / "probe", "memory", tmp_path / "picture.png", plain)
    assert on_disk[0] == "ok" and sum(line.startswith("error ") for line in on_disk) > 40
    for folder, disk, memory in zip(plain, on_disk, in_memory, strict=True):
        if (folder / "bundle.json").is_file():
            assert memory == disk, folder.name
        else:
            assert memory.startswith(f"error {folder}: no bundle.json in it"), memory


def test_a_function_may_fail_and_a_source_must_be_there(release, tmp_path) -> None:
    """A manifest without its files, from memory: the first that is missing is named."""
    (tmp_path / "bundle.json").write_bytes((TINY / "bundle.json").read_bytes())
    (tmp_path / "picture.png").write_bytes((SAMPLES / "cat-doubled.png").read_bytes())
    (said,) = told_of(release / "probe", "memory", tmp_path / "picture.png", [tmp_path])
    assert said.startswith(f"error {tmp_path}/") and said.endswith(": is missing; get the bundle again")
