"""Nothing goes online, and no runtime writes into the home folder, unless the user wants it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from PIL import Image

from realm_engine.cli.main import main
from realm_engine.machine.telemetry import ORT_VARIABLE

# Records every attempt and refuses it, also in a fork: OpenVINO's telemetry posts from one and swallows errors.
REFUSE_SOCKETS = """
import os, sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        with open(os.environ["ATTEMPTS"], "a") as stream:
            stream.write(f"{event} {arguments[1:]}\\n")
        raise OSError("no network in this test")
sys.addaudithook(hook)
"""
# Of the variables that switch telemetry off none may be what makes the test pass.
SWITCHES = (ORT_VARIABLE, "CI", "TF_BUILD", "JENKINS_URL")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def environment(tmp_path: Path, home: Path) -> dict[str, str]:
    """A fresh home folder, and a Python that records and refuses connections."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(REFUSE_SOCKETS, encoding="utf-8")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in SWITCHES and not name.startswith("XDG_")
    }
    return {
        **kept,
        "HOME": str(home),
        "REALM_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": str(tmp_path / "site"),
        "ATTEMPTS": str(tmp_path / "attempts"),
    }


@pytest.mark.parametrize(("device", "module"), [("cpu", "onnxruntime"), ("openvino", "openvino")])
def test_a_score_leaves_no_trace(device, module, script: Callable, environment, home, tmp_path, photo):
    pytest.importorskip(module)
    Image.fromarray(photo()).save(tmp_path / "a.png")
    done = script("score", tmp_path / "a.png", "--device", device, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("a.png,") and f" on {device}," in done.stderr
    assert [str(path.relative_to(home)) for path in home.rglob("*")] == []
    attempts = Path(environment["ATTEMPTS"])
    assert not attempts.exists(), attempts.read_text(encoding="utf-8")


# What every verb is called with; one that is missing here fails the test below.
VERBS = {
    "score": ["score", "PICTURE", "--bundle", "BUNDLE"],
    "map": ["map", "PICTURE", "--bundle", "BUNDLE", "--text", "x", "--output", "OUT"],
    "compare": ["compare", "FOLDER", "OTHER", "--bundle", "BUNDLE", "--maps", "1", "--output", "OUT"],
    "report": ["report", "FOLDER", "--bundle", "BUNDLE", "--output", "OUT"],
    "measures": ["measures", "BUNDLE"],
    "tune": ["tune", "FOLDER", "--bundle", "BUNDLE"],
    "info": ["info"],
    "verify": ["verify", "BUNDLE"],
    "models list": ["models", "list"],
    "models verify": ["models", "verify"],
    "models path": ["models", "path", "realm-tiny"],
    "models push": ["models", "push", "BUNDLE", "--to", "OUT"],
    "models remove": ["models", "remove", "absent"],
    "models pull": ["models", "pull", "hf:owner/name", "--offline"],
    "doctor": ["doctor"],
    "build": ["build", "BUNDLE", "--device", "tensorrt"],
    "cache list": ["cache", "list"],
    "cache prune": ["cache", "prune"],
    "export-triton": ["export-triton", "BUNDLE", "--output", "OUT"],
    "serve": ["serve", "--bundle", "BUNDLE", "--host", "0.0.0.0"],  # refused, as it has no token
    "completion": ["completion", "bash"],
}


def leaves(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*words, name))
        else:
            yield " ".join((*words, name))


def test_no_verb_is_left_out_here():
    assert set(leaves(main)) == set(VERBS)


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_asks_for_a_connection(verb, environment, home, tmp_path, bundle_path, photo):
    """Whatever becomes of it: a verb that fails here, for want of a GPU, may not go online either."""
    (tmp_path / "pictures").mkdir()
    Image.fromarray(photo()).save(tmp_path / "pictures" / "a.png")
    (tmp_path / "others").mkdir()
    Image.fromarray(photo(seed=1)).save(tmp_path / "others" / "b.png")
    places = {
        "PICTURE": tmp_path / "pictures" / "a.png",
        "FOLDER": tmp_path / "pictures",
        "OTHER": tmp_path / "others",
        "BUNDLE": bundle_path,
        "OUT": tmp_path / "out",
    }
    words = [str(places.get(word, word)) for word in VERBS[verb]]
    program = str(Path(sys.executable).with_name("realm-engine"))
    done = subprocess.run(
        [program, *words], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert "Traceback" not in done.stderr and " -h " not in done.stderr, done.stderr  # a mistake in the table
    attempts = Path(environment["ATTEMPTS"])
    assert not attempts.exists(), attempts.read_text(encoding="utf-8")
    assert [str(path.relative_to(home)) for path in home.rglob("*")] == []


def state_after(code: str, environment: dict[str, str]) -> list[object]:
    """ONNX Runtime's variable, and whether OpenVINO's telemetry can be imported, after `code`."""
    code += f"""
import importlib.util, json, os
print(json.dumps([os.environ.get("{ORT_VARIABLE}"), importlib.util.find_spec("openvino_telemetry") is not None]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("package", ["realm_train", "export", "benchmarks", "realm_engine.machine.telemetry"])
def test_every_package_that_meets_a_runtime_switches_it_off(package, environment):
    call = ".switch_off()" if package.startswith("realm_engine") else ""
    assert state_after(f"import {package}; {package}{call}", environment) == ["1", False]


def test_what_the_user_decided_stays(environment, home):
    code = "from realm_engine.machine import telemetry; telemetry.switch_off(); telemetry.switch_off()"
    installed = state_after("", environment)[1]
    assert state_after(code, {**environment, ORT_VARIABLE: "0"})[0] == "0"
    (home / "intel").mkdir()
    for consent, kept in (("1", installed), ("0", False), ("", False), ("\x80", False)):
        (home / "intel" / "openvino_telemetry").write_text(consent, encoding="latin-1")
        assert state_after(code, environment)[1] is kept, consent
