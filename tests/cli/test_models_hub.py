"""`realm-engine models` with the Hugging Face Hub, whose part a server on this machine plays: pull, push, errors."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import read_manifest
from fake_hub import COMMIT, Hub, hub

from realm_engine.bundle.bundle import EMBEDDED, Bundle
from realm_engine.opened import Contents
from realm_engine.verbs.model_card import hub_metadata, model_card

pytest.importorskip("huggingface_hub")
Done = subprocess.CompletedProcess


@pytest.fixture
def running(tmp_path, bundle_path):
    """A hub that has the repository owner/mine."""
    shutil.copytree(bundle_path, tmp_path / "hub" / "owner" / "mine")
    (tmp_path / "hub" / "blobs").mkdir()
    (tmp_path / "hub" / "blobs" / "mine").symlink_to(tmp_path / "hub" / "owner" / "mine")
    with hub(tmp_path / "hub") as opened:
        yield opened


@pytest.fixture
def models(tmp_path, running: Hub) -> Callable[..., Done[str]]:
    """Run the command in a process of its own: `huggingface_hub` reads its variables when it is imported."""

    def run(*arguments: object, **variables: str) -> Done[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))},
            "HF_ENDPOINT": running.server.url,
            "HF_HOME": str(tmp_path / "home"),
            "REALM_CACHE_DIR": str(tmp_path / "cache"),
            **variables,
        }
        command = [sys.executable, "-m", "realm_engine", "models", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)

    return run


def failed(done: Done[str], words: str) -> None:
    assert done.returncode == 2 and words in done.stderr, done.stderr
    assert done.stdout == "" and done.stderr.count("\n") == 1, done.stderr


def test_a_bundle_of_the_hub_comes_once_with_its_commit(models, running, tmp_path):
    done = models("pull", "hf:owner/mine")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'cache' / 'bundles' / 'test-bundle'}\n"
    (_, facts) = sorted(json.loads(models("list", "--json").stdout)["bundles"], key=lambda each: each["name"])
    assert facts["pulled"]["source"] == "hf:owner/mine@main" and facts["pulled"]["commit"] == COMMIT
    assert not list((tmp_path / "home").rglob("*.onnx")), "nothing is kept twice"
    running.server.asked.clear()
    for again in ("hf:owner/mine", "hf:owner/mine@main", f"hf:owner/mine@{COMMIT}"):
        assert models("pull", again, REALM_OFFLINE="1").stdout == done.stdout
    assert running.server.asked == []
    assert models("verify", "test-bundle").returncode == 0


def test_files_are_those_of_one_commit_whatever_main_becomes_meanwhile(models, running):
    assert models("pull", "hf:owner/mine@v1").returncode == 0
    asked = [path.split("/")[4] for path in running.server.paths() if "/resolve/" in path]
    assert asked[0] == "v1" and set(asked[2:]) == {COMMIT}


def test_a_token_goes_to_the_hub_and_nowhere_else(models, running):
    running.token = "hf_secret"
    failed(models("pull", "hf:owner/mine"), "it is private: log in")
    running.server.headers_seen.clear()
    running.server.asked.clear()
    original = running.server.behave

    def behave(request, content):
        if request.path.startswith("/blobs"):
            return False
        return original(request, content)

    running.server.behave = behave
    done = models("pull", "hf:owner/mine", HF_TOKEN="hf_secret")
    assert done.returncode == 0, done.stderr
    assert "hf_secret" not in done.stderr


def test_connections_that_are_cut_are_taken_up(models, running):
    original = running.server.behave

    def cut(request, content):
        if request.path.startswith("/blobs/") and not request.headers.get("Range"):
            request.answer(200, content[:700], length=len(content))
            return True
        return original(request, content)

    running.server.behave = cut
    assert models("pull", "hf:owner/mine").returncode == 0
    assert "bytes=700-" in {each for _, _, each in running.server.asked}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("hf:owner/absent", "no such repository"),
        ("hf:owner/mine@absent", "no such revision"),
    ],
)
def test_what_is_not_there(models, source, words):
    failed(models("pull", source), words)


def test_a_repository_without_a_bundle_or_with_another_than_pinned(models, running):
    failed(models("pull", "hf:owner/mine", "--sha256", "0" * 64), "wrong checksum")
    (running.root / "owner" / "mine" / "core.onnx").write_bytes(b"x")
    failed(models("pull", "hf:owner/mine"), "core.onnx has 1 bytes")
    (running.root / "owner" / "mine" / "bundle.json").unlink()
    failed(models("pull", "hf:owner/mine"), "no such file")


def test_an_endpoint_by_http_is_refused_and_one_that_nobody_answers_is_a_line(models):
    failed(models("pull", "hf:owner/mine", HF_ENDPOINT="http://example.org"), "is not https")
    failed(models("pull", "hf:owner/mine", HF_ENDPOINT="http://127.0.0.1:1"), "the hub cannot be asked")


def test_without_huggingface_hub_it_is_one_line(models, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import sys; sys.modules['huggingface_hub'] = None\n")
    failed(
        models("pull", "hf:owner/mine", PYTHONPATH=str(tmp_path / "site")), "pip install 'huggingface_hub>="
    )


def test_push_and_pull_give_the_same_bundle(models, running, tmp_path, bundle_path):
    done = models("push", bundle_path, "--repo", "owner/new", "--to", tmp_path / "page", HF_TOKEN="hf_x")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"hf:owner/new@{COMMIT}", str(tmp_path / "page")]
    uploaded = running.root / "owner" / "new"
    names = {"bundle.json", "README.md", *read_manifest(bundle_path)["files"]}
    for folder in (uploaded, tmp_path / "page"):
        assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == names
    (running.root / "blobs" / "new").symlink_to(uploaded)
    pin = hashlib.sha256((bundle_path / "bundle.json").read_bytes()).hexdigest()
    assert pin in done.stderr
    assert models("pull", f"hf:owner/new@{COMMIT}", "--sha256", pin).returncode == 0
    pulled = tmp_path / "cache" / "bundles" / "test-bundle"
    for name in names - {"README.md"}:
        assert (pulled / name).read_bytes() == (bundle_path / name).read_bytes()


def test_push_to_a_folder_uploads_nothing_and_needs_no_hub(models, running, tmp_path, bundle_path):
    done = models("push", bundle_path, "--to", tmp_path / "a" / "page", REALM_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert running.server.asked == []
    assert Bundle.open(tmp_path / "a" / "page").name == "test-bundle"
    failed(models("push", bundle_path, "--to", tmp_path / "a" / "page"), "not an empty folder")
    (tmp_path / "empty").mkdir()
    assert models("push", bundle_path, "--to", tmp_path / "empty").returncode == 0
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".realm-push")] == []


def test_push_refuses(models, tmp_path, bundle_path):
    failed(models("push", bundle_path), "give --to DIR, --repo OWNER/NAME, or both")
    failed(models("push", bundle_path, "--repo", "name"), "write hf:owner/name")
    failed(models("push", bundle_path, "--repo", "owner/name@v1"), "write OWNER/NAME")
    damaged = Path(shutil.copytree(bundle_path, tmp_path / "damaged"))
    (damaged / "core.onnx").write_bytes(b"x")
    failed(models("push", damaged, "--to", tmp_path / "page"), "has 1 bytes")
    assert not (tmp_path / "page").exists()


def card_of(folder: Path) -> tuple[dict, str]:
    import yaml

    text = model_card(Contents(Bundle.open(folder)))
    _, header, body = text.split("---\n", 2)
    return yaml.safe_load(header), body


def test_the_card_of_the_default_is_what_the_hub_reads():
    from huggingface_hub import ModelCard

    folder = EMBEDDED / "realm-tiny"
    header, body = card_of(folder)
    assert header == hub_metadata(Contents(Bundle.open(folder)))
    assert header["license"] == "other" and header["license_link"] == "LICENSE-WEIGHTS.md"
    assert header["pipeline_tag"] == "image-classification" and header["library_name"] == "realm-engine"
    assert {"onnx", "core", "heatmap"} <= set(header["tags"])
    assert {"spearmanr", "pearsonr", "rmse", "roc_auc"} <= set(header["metrics"])
    card = ModelCard(model_card(Contents(Bundle.open(folder))))
    values = {(each.dataset_type, each.metric_name): each.metric_value for each in card.data.eval_results}
    metrics = json.loads((folder / "bundle.json").read_text())["metrics"]
    assert values["core", "srocc_text"] == metrics["core"]["srocc_text"]
    assert values["map", "auc"] == metrics["map"]["auc"]
    for words in ("RAISE-TD", "Apache-2.0", "not allowed", "| mos |", "0.6957"):
        assert words in body


def test_a_card_of_hostile_words_is_still_one_header(bundle_path, tmp_path):
    folder = Path(shutil.copytree(bundle_path, tmp_path / "bundle"))
    manifest = read_manifest(folder)
    manifest["description"] = "a\n---\nlicense: mit"
    manifest["licence"] = {"weights": 'x"\n---\n: {[', "commercial_use": True}
    manifest["metrics"] = {
        "a: b\n- c": {"srocc | x": 0.5, "flag": True},
        "auc": 1,
        "text": "x",
    }
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    header, body = card_of(folder)
    assert header["license"] == "other" and header["license_name"] == "x"
    results = header["model-index"][0]["results"]
    assert [each["dataset"]["name"] for each in results] == ["bundle", "a: b\n- c"]
    assert [each["name"] for each in results[1]["metrics"]] == ["srocc | x"]
    assert "srocc \\| x" in body and "\n---\n" not in body


@pytest.mark.parametrize(
    ("licence", "expected"),
    [("Apache-2.0", "apache-2.0"), ("CC-BY-4.0", "cc-by-4.0"), ("CC0-1.0", "cc0-1.0")],
)
def test_licences_that_the_hub_knows(bundle_path, tmp_path, licence, expected):
    folder = Path(shutil.copytree(bundle_path, tmp_path / "bundle"))
    manifest = read_manifest(folder)
    manifest["licence"] = {"weights": licence, "commercial_use": True}
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert card_of(folder)[0]["license"] == licence.lower()
