"""Training and export that stay offline: one line, no connection tried, and before anybody waited for torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from repository import ROOT
from train_data import write_data

from realm_train import hub, offline
from realm_train.errors import TowerError

# Records attempts; a library that swallows the error is found out all the same.
RECORD = """
import os, sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        with open(os.environ["ATTEMPTS"], "a") as stream:
            stream.write(f"{event} {arguments[1:]}\\n")
        raise OSError("no network in this test")
sys.addaudithook(hook)
"""
NO_TORCH = "import sys; sys.modules['torch'] = sys.modules['open_clip'] = None\n"

TRAIN = [sys.executable, "-m", "realm_train.cli.main"]
EXPORT = [sys.executable, "-m", "export"]


@pytest.fixture
def run(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "data" / "train" / "images").mkdir(parents=True)

    def started(command: list[str], site: str = RECORD, **variables: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "site" / "sitecustomize.py").write_text(site)
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))
        }
        environment = {
            **kept,
            "HF_HOME": str(tmp_path / "hub"),
            "TORCH_HOME": str(tmp_path / "torch"),
            "HOME": str(tmp_path),
            "ATTEMPTS": str(tmp_path / "attempts"),
            "PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT}",
            **variables,
        }
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, env=environment, cwd=ROOT, check=False
        )

    return started


def refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 2 and words in done.stderr, done.stderr
    assert done.stdout == "" and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("how", ["option", "group", "variable"])
@pytest.mark.parametrize("program", ["train", "export"])
def test_a_name_of_the_hub_is_one_line_before_torch_is_imported(run, tmp_path, program, how):
    more = ["--offline"] if how == "option" else []
    if program == "train":
        group = ["--offline"] if how == "group" else []
        data = ["--data", str(tmp_path / "data"), "--output", str(tmp_path / "run")]
        command = [*TRAIN, *group, "clip", "--model", "hf-hub:owner/name", *data, *more]
    else:
        more = ["--offline"] if how == "group" else more
        command = [*EXPORT, "--clip", "hf-hub:owner/name", "--output", str(tmp_path / "b"), *more]
    variables = {"REALM_OFFLINE": "1"} if how == "variable" else {}
    done = run(command, NO_TORCH + RECORD, **variables)
    refused(done, "CLIP hf-hub:owner/name: not fetched, because --offline or REALM_OFFLINE is set; give")
    assert not (tmp_path / "attempts").exists()


def test_without_a_network_the_hub_is_asked_once(run, tmp_path):
    command = [*EXPORT, "--clip", "hf-hub:owner/name", "--output", str(tmp_path / "b")]
    refused(run(command, NO_TORCH + RECORD), "CLIP hf-hub:owner/name: cannot be fetched from the model hub")
    attempts = (tmp_path / "attempts").read_text().splitlines()
    assert 1 <= len(attempts) <= 2, attempts  # a library may try IPv6 and IPv4


CORE = ["core", "--set", "epochs=1"]
HELD_OUT = ["--set", "validation_photographs=1", "--set", "test_photographs=1"]
CLIP = ["clip", "--photographs", "*", *HELD_OUT]
WEIGHTS = [
    ([*TRAIN, *CORE, "--text-tower", "bert-base-uncased"], "text tower bert-base-uncased: not fetched"),
    (
        [*TRAIN, *CORE, "--preset", "paper", "--text-tower", "minilm"],
        "image tower resnet50: weights: not fetched",
    ),
    ([*TRAIN, *CORE, "--image-weights", "pretrained", "--text-tower", "minilm"], "weights: not fetched"),
    (
        [*TRAIN, *CLIP, "--model", "ViT-B-32-quickgelu", "--weights", "openai"],
        "weights 'openai': not fetched",
    ),
    ([*EXPORT, "--clip", "ViT-B-32-quickgelu", "--clip-weights", "openai"], "weights 'openai': not fetched"),
    ([*EXPORT, "--clip", "RN50", "--clip-weights", "yfcc15m"], "weights 'yfcc15m': not fetched"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "words"), WEIGHTS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_kind_of_weights_is_one_line_and_nothing_is_asked(run, tmp_path, command, words):
    if command[2] != "export":
        shutil.rmtree(tmp_path / "data")
        write_data(tmp_path / "data")
        command = [*command, "--data", str(tmp_path / "data"), "--quiet"]
    refused(run([*command, "--output", str(tmp_path / "out"), "--offline"]), words)
    assert not (tmp_path / "attempts").exists()


def test_the_guard_lets_this_machine_through_and_nothing_else():
    code = """
import socket, sys
from realm_train.offline import guard_sockets
guard_sockets(); guard_sockets()
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
socket.getaddrinfo("localhost", 80)
left, right = socket.socketpair()
for ask in (
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
    lambda: socket.getaddrinfo("example.org", 80),
    lambda: socket.gethostbyname("example.org"),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
    lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 80)),
):
    try:
        ask()
    except OSError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    lines = done.stdout.splitlines()
    assert len(lines) == 5 and all("is not asked, because --offline" in line for line in lines), done


def test_libraries_that_were_imported_before_are_told_too(monkeypatch):
    import huggingface_hub.constants

    for name in ("REALM_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    offline.tell_libraries()
    assert huggingface_hub.constants.HF_HUB_OFFLINE and os.environ["HF_HUB_OFFLINE"] == "1"


def test_a_folder_of_open_clip_is_found_and_one_without_a_model_is_one_line(tmp_path):
    with pytest.raises(TowerError, match=r"has no open_clip_config\.json"):
        hub.open_clip_folder(f"local-dir:{tmp_path}")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {}}))
    assert hub.open_clip_folder(f"local-dir:{tmp_path}") == tmp_path
    assert hub.open_clip_weights(tmp_path) is None
    (tmp_path / "open_clip_model.safetensors").touch()
    assert hub.open_clip_weights(tmp_path) == tmp_path / "open_clip_model.safetensors"
    assert hub.open_clip_folder("ViT-B-32") is None
