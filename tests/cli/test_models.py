"""`realm-engine models`: bundles from a server on this machine, and what becomes of them here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from bundles import read_manifest
from click.testing import CliRunner
from PIL import Image
from pulls import PROGRAM, digest, edited, failed, left, models, pull
from pulls import cache as cache
from pulls import published as published
from pulls import server as server

from realm_engine import Engine
from realm_engine.cli.main import main
from realm_engine.errors import BundleError


def test_a_bundle_comes_by_its_manifest_and_opens_by_name_everywhere(
    server, published, cache, photo, tmp_path
):
    code, out, err = pull(server, published)
    folder = cache / "bundles" / "test-bundle"
    assert (code, out) == (0, f"{folder}\n") and "--bundle test-bundle" in err
    expected = {"bundle.json", ".pulled.json", *read_manifest(published)["files"]}
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == expected
    assert [path for path in (cache / "pulls").iterdir() if path.suffix != ".lock"] == []
    with Engine.open("test-bundle", device="cpu", threads=1) as engine:
        assert engine.score([photo()])[0].error is None
    Image.fromarray(photo()).save(tmp_path / "a.png")
    for words in (
        ["score", tmp_path / "a.png", "--bundle", "test-bundle"],
        ["map", tmp_path / "a.png", "--text", "x", "--output", tmp_path / "maps", "--bundle", "test-bundle"],
        ["measures", "test-bundle"],
        ["info", "test-bundle"],
        ["verify", "test-bundle"],
        ["models", "path", "test-bundle"],
    ):
        done = CliRunner().invoke(main, [*map(str, words)])
        assert done.exit_code == 0, (words, done.stderr)


def archives(published: Path, folder: Path) -> dict[str, Path]:
    made = {kind: folder / f"mine.{kind}" for kind in ("zip", "tar", "tgz")}
    with zipfile.ZipFile(made["zip"], "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(published.rglob("*")):
            archive.write(path, path.relative_to(published.parent))
    for kind, mode in (("tar", "w"), ("tgz", "w:gz")):
        with tarfile.open(made[kind], mode) as archive:
            archive.add(published, ".")
    return made


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_a_bundle_comes_in_an_archive(server, published, cache, tmp_path, kind):
    archive = archives(published, tmp_path / "www")[kind]
    code, out, _ = models("pull", f"{server.url}/{archive.name}", "--sha256", digest(archive).upper())
    assert code == 0 and out.strip() == str(cache / "bundles" / "test-bundle")
    assert models("verify", "test-bundle")[0] == 0
    server.asked.clear()
    assert models("pull", f"{server.url}/{archive.name}", "--sha256", digest(archive))[1] == out
    assert server.asked == []


def test_what_is_here_is_not_asked_for_again_not_even_offline(server, published, cache, monkeypatch):
    out = pull(server, published)[1]
    server.asked.clear()
    assert pull(server, published)[1] == out
    assert pull(server, published, "--offline")[1] == out
    pin = digest(published / "bundle.json")
    assert models("pull", "https://example.invalid/mirror/bundle.json", "--sha256", pin)[1] == out
    assert server.asked == []


@pytest.mark.parametrize("how", ["option", "variable"])
@pytest.mark.parametrize("source", ["address", "hub"])
def test_offline_is_one_line_at_once(server, published, cache, monkeypatch, how, source):
    if how == "variable":
        monkeypatch.setenv("REALM_OFFLINE", "1")
    more = ["--offline"] if how == "option" else []
    started = time.monotonic()
    if source == "address":
        failed(pull(server, published, *more), "not fetched, because --offline or REALM_OFFLINE is set")
    else:
        failed(
            models("pull", "hf:owner/name@v1", *more),
            "not fetched, because --offline or REALM_OFFLINE is set",
        )
        failed(models("push", published, "--repo", "owner/name", *more), "not fetched, because --offline")
    assert server.asked == [] and time.monotonic() - started < 1


def test_two_processes_fetch_once(server, published, cache):
    server.behave = lambda request, content: time.sleep(0.05) is not None
    words = ["pull", f"{server.url}/mine/bundle.json", "--sha256", digest(published / "bundle.json")]
    running = [
        subprocess.Popen([*PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=100) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1
    assert len(server.asked) == len(set(server.asked)) == len(read_manifest(published)["files"]) + 1


def test_a_redirect_of_every_file_is_followed(server, published, cache):
    shutil.move(published, published.with_name("moved"))
    server.behave = lambda r, c: (
        r.path.startswith("/mine/") and r.redirect(r.path.replace("mine", "moved")) is None
    )
    assert pull(server, published.with_name("moved"))[0] == 0


def test_names_are_taken_once(server, published, cache):
    assert pull(server, published)[0] == 0
    edited(published, lambda manifest: manifest.update(description="another"))
    failed(pull(server, published), "a bundle called test-bundle is here already")
    assert pull(server, published, "--name", "second")[0] == 0
    assert [line.split()[0] for line in models("list")[1].splitlines()] == [
        "realm-tiny",
        "second",
        "test-bundle",
    ]
    edited(published, lambda manifest: manifest.update(name="realm-tiny"))
    failed(pull(server, published), "a bundle called realm-tiny is here already; give this one a --name")


def test_list_says_where_bundles_come_from(server, published, cache):
    pull(server, published)
    shutil.copytree(published, cache / "bundles" / "by-hand")
    lines = {line.split()[0]: line for line in models("list")[1].splitlines()}
    assert "part of the package" in lines["realm-tiny"] and "put there by hand" in lines["by-hand"]
    assert f"from {server.url}/mine/bundle.json" in lines["test-bundle"]
    facts = {each["name"]: each for each in json.loads(models("list", "--json")[1])["bundles"]}
    assert facts["test-bundle"]["pulled"]["sha256"] == digest(published / "bundle.json")
    assert facts["test-bundle"]["size_bytes"] > sum(
        each["size_bytes"] for each in read_manifest(published)["files"].values()
    )


def test_verify_names_what_is_damaged(server, published, cache):
    pull(server, published)
    assert models("verify")[0] == 0
    graph = cache / "bundles" / "test-bundle" / "core.onnx"
    content = graph.read_bytes()
    graph.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    code, out, err = models("verify")
    assert code == 1 and "ok      realm-tiny" in out and "core.onnx: wrong checksum" in err
    assert models("verify", "test-bundle")[0] == 2
    graph.write_bytes(content)
    edited(graph.parent, lambda manifest: manifest.update(description="mine now"))
    assert "is another than was fetched" in models("verify", "test-bundle")[2]
    assert models("verify", "absent")[0] == 2


def test_remove(server, published, cache):
    pull(server, published)
    assert models("remove", "test-bundle") == (0, f"{cache / 'bundles' / 'test-bundle'}\n", "")
    assert left(cache) == []
    failed(models("remove", "test-bundle"), "'test-bundle' not found")
    failed(models("remove", "realm-tiny"), "part of the package")
    failed(models("path", "test-bundle"), "not found")
    with pytest.raises(BundleError, match="not found"):
        Engine.open("test-bundle")


def test_a_link_put_there_by_hand_is_removed_and_not_what_it_leads_to(published, cache):
    (cache / "bundles").mkdir(parents=True)
    (cache / "bundles" / "linked").symlink_to(published, target_is_directory=True)
    assert models("remove", "linked")[0] == 0
    assert (published / "bundle.json").is_file() and not (cache / "bundles" / "linked").exists()


def test_what_nobody_went_on_with_is_swept_by_the_next_pull(server, published, cache):
    server.behave = lambda request, content: (
        request.path.endswith("dream.onnx") and (request.answer(404, b"") is None)
    )
    assert pull(server, published)[0] == 2
    long_ago = time.time() - 8 * 24 * 3600
    for path in (cache / "pulls").rglob("*"):
        os.utime(path, (long_ago, long_ago))
    (old,) = (path for path in (cache / "pulls").iterdir() if path.is_dir())
    server.behave = lambda request, content: False
    edited(published, lambda manifest: manifest.update(description="another"))
    assert pull(server, published)[0] == 0
    assert not old.exists() and not old.with_suffix(".lock").exists()


@pytest.mark.parametrize("name", ["https://example.org/bundle.json", "hf:owner/name@v1"])
def test_an_address_as_a_bundle_says_how_to_fetch_it(name, tmp_path, photo):
    Image.fromarray(photo()).save(tmp_path / "a.png")
    done = CliRunner().invoke(main, ["score", str(tmp_path / "a.png"), "--bundle", name])
    assert done.exit_code == 2 and f"realm-engine models pull {name}" in done.stderr


def test_a_folder_that_cannot_be_written_is_one_line(server, published, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path / "file"))
    failed(pull(server, published), "cannot be written")
