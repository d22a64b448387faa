"""`realm-engine models` against a server on this machine: fixtures, the command, and how its answers are judged."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundles import read_manifest
from click.testing import CliRunner
from fake_server import Server, serving

from realm_engine.cli.main import main
from realm_engine.machine import download

PROGRAM = [sys.executable, "-m", "realm_engine", "models"]


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("REALM_OFFLINE", "0")  # put back after a test that gives --offline
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    return tmp_path / "cache"


@pytest.fixture
def published(bundle_path, tmp_path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "www" / "mine"))


@pytest.fixture
def server(published, tmp_path) -> Iterator[Server]:
    with serving(tmp_path / "www") as running:
        yield running


def models(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["models", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pull(server: Server, published: Path, *more: object) -> tuple[int, str, str]:
    return models(
        "pull", f"{server.url}/mine/bundle.json", "--sha256", digest(published / "bundle.json"), *more
    )


def failed(answer: tuple[int, str, str], words: str) -> None:
    code, out, err = answer
    assert code == 2 and out == "" and words in err, err
    assert err.count("\n") == 1 and err.startswith("error: ")


def left(cache: Path) -> list[str]:
    """What a pull left over beside bundles: locks are nothing."""
    return [
        str(path.relative_to(cache)) for path in cache.rglob("*") if path.suffix != ".lock" and path.is_file()
    ]


def edited(published: Path, change) -> None:
    manifest = read_manifest(published)
    change(manifest)
    (published / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
