"""A repository of the test bundle, and a double of the server that runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from triton_double import Server

from realm_engine.bundle.bundle import Bundle
from realm_engine.triton import TritonOptions, export_repository


@pytest.fixture(scope="module")
def repository(bundle_path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("triton") / "served"
    export_repository(Bundle.open(bundle_path), folder, TritonOptions(device="cpu", max_batch=3))
    return folder


@pytest.fixture
def server(repository) -> Server:
    return Server(repository / "models")
