"""The C++ host under AddressSanitizer and UndefinedBehaviorSanitizer: damaged pictures, mangled bundles, threads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cpp_host
import pytest
from bundles import build_bundle, read_manifest, write_manifest
from cpp_host import GOLDEN, golden_check, run
from cpp_hostile import FILES, MANIFESTS, damaged_images, flipped_graphs, mangled_folders
from measured_bundles import measured_bundle
from PIL import Image

from realm_engine import Engine, RealmError
from realm_engine.pictures.decode import load_image

asan, clip_tokenizer, corner = cpp_host.asan, cpp_host.clip_tokenizer, cpp_host.corner


def test_no_sanitizer_report_in_normal_work(asan, clip_tokenizer, bundle_path, corner) -> None:
    done = golden_check(asan, GOLDEN, clip_tokenizer)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    for verb, more in (
        ("map", ["--output", corner / "maps"]),
        ("score", ["--descriptions", corner / "lines.csv"]),
    ):
        done = run(asan / "realm_host", verb, corner / "good.png", "--bundle", bundle_path, *more)
        assert done.returncode == 0, done.stderr[-3000:]
    done = run(asan / "probe", "threads", bundle_path, corner / "good.png", "the face is melted")
    assert done.returncode == 0 and "equal" in done.stdout, done.stdout + done.stderr[-3000:]


def test_damaged_images(asan, photo, tmp_path) -> None:
    files = []
    for name, content in damaged_images(photo(48, 64), per_kind=45):
        (tmp_path / name).write_bytes(content)
        files.append(tmp_path / name)
    done = run(asan / "probe", "decode", *files)
    answers = done.stdout.splitlines()
    assert done.returncode == 0 and len(answers) == len(files), done.stderr[-3000:]
    refused = [line for line in answers if line.startswith("error ")]
    assert len(refused) > len(files) / 3
    assert all(len(line) < 600 for line in refused)
    # A truncated file is an error in both engines: where it decodes here, Pillow must say so too.
    for file, answer in zip(files, answers, strict=True):
        if file.name[0].isdigit() and int(file.name[:3]) % 3 == 0:
            try:
                load_image(file)
                whole = True
            except RealmError:
                whole = False
            assert whole == (not answer.startswith("error ")), file.name


def test_mangled_manifests(asan, photo, tmp_path) -> None:
    good = build_bundle(tmp_path / "good")
    Image.fromarray(photo(130, 140)).save(tmp_path / "image.png")
    folders = []
    for number, (_, change, _) in enumerate(MANIFESTS):
        home = tmp_path / str(number)
        home.mkdir()
        folder = Path(shutil.copytree(good, home / "bundle"))
        manifest = read_manifest(folder)
        change(folder, manifest)
        (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
        folders.append(folder)
    texts = [b"", b"[]", b"{", b"\xff\xfe", b'{"a":' * 100_000, b"[" * 1_000_000, b"{" + b'"a":1,' * 600_000]
    for number, text in enumerate(texts):
        folder = Path(shutil.copytree(good, tmp_path / f"text{number}"))
        (folder / "bundle.json").write_bytes(text)
        folders.append(folder)
    done = run(asan / "probe", "bundles", tmp_path / "image.png", *folders)
    answers = done.stdout.splitlines()
    assert done.returncode == 0 and len(answers) == len(folders), done.stderr[-3000:]
    assert all(answer.startswith("error ") for answer in answers), answers
    for (name, _, same_words), folder, answer in zip(MANIFESTS, folders, answers, strict=False):
        if same_words:
            with pytest.raises(RealmError) as caught:
                Engine.open(folder, device="cpu")
            assert (name, answer) == (name, f"error {caught.value}")


def test_mangled_files(asan, photo, tmp_path) -> None:
    good = build_bundle(tmp_path / "good")
    Image.fromarray(photo(70, 80)).save(tmp_path / "image.png")
    folders = mangled_folders(good, tmp_path)
    done = run(asan / "probe", "bundles", tmp_path / "image.png", *folders)
    answers = done.stdout.splitlines()
    assert done.returncode == 0 and len(answers) == len(folders), done.stderr[-3000:]
    silent = [name for (name, _), answer in zip(FILES, answers, strict=False) if answer == "ok"]
    assert silent == [] and all(answer.startswith("error ") for answer in answers), (silent, answers)


def test_flipped_graphs(asan, photo, tmp_path) -> None:
    folder = measured_bundle(tmp_path / "bundle")
    Image.fromarray(photo(70, 80)).save(tmp_path / "image.png")
    copies = []
    for number, (_, damage) in enumerate(flipped_graphs(folder, 80)):
        damage()
        copies.append(Path(shutil.copytree(folder, tmp_path / str(number))))
    done = run(asan / "probe", "bundles", tmp_path / "image.png", *copies)
    answers = done.stdout.splitlines()
    assert done.returncode == 0 and len(answers) == len(copies), done.stderr[-3000:]
    assert sum(answer.startswith("error ") for answer in answers) > len(copies) / 3


@pytest.mark.parametrize("verb", ["score", "map"])
def test_exit_codes_of_bad_bundles(asan, verb, photo, tmp_path) -> None:
    Image.fromarray(photo(70, 80)).save(tmp_path / "image.png")
    more = ["--output", tmp_path / "maps"] if verb == "map" else []
    for number, (name, mangle) in enumerate(FILES[:4] + FILES[19:23]):
        folder = build_bundle(tmp_path / str(number))
        mangle(folder)
        write_manifest(folder, read_manifest(folder))
        done = run(asan / "realm_host", verb, tmp_path / "image.png", "--bundle", folder, *more)
        assert done.returncode in (0, 1, 2), (name, done.stderr[-2000:])
        assert done.returncode == 0 or "error: " in done.stderr or "error" in done.stdout.splitlines()[0]
