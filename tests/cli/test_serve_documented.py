"""What docs/serve.md tells a reader to type, against a real server with the embedded bundle."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from repository import ROOT, SAMPLES
from server import serving

PAGE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
TOKEN = "documented.token-22~"


@pytest.fixture(scope="module")
def server():
    with serving("realm-tiny", environment={"REALM_SERVE_TOKEN": TOKEN}) as running:
        yield running


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "samples").symlink_to(SAMPLES)
    (tmp_path / "token.txt").write_text(TOKEN)
    return tmp_path


def lines(kind):
    blocks = re.findall(rf"```{kind}\n(.*?)```", PAGE, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_curl_is_told_to_ask(server, desk):
    asked = [line for line in lines("sh") if line.startswith("curl ")]
    assert len(asked) >= 6
    found = []
    for line in asked:
        if "Authorization" not in line:
            line = line.replace("curl ", 'curl -H "Authorization: Bearer $(cat token.txt)" ', 1)
        line = line.replace("curl ", "curl -sS --fail-with-body ", 1).replace(
            "http://127.0.0.1:8000", server.url
        )
        done = subprocess.run(["bash", "-c", line], cwd=desk, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        found.append(json.loads(done.stdout) if done.stdout else None)
    assert [each["name"] for each in found[0]["results"]] == ["cat.jpg", "coffee.jpg"]
    assert found[1]["results"][0]["values"]["verdict"] in ("real", "fake", "uncertain")
    assert found[2]["results"][0]["map"]["texts"] == ["the rim and front of the cup look melted"]
    assert np.asarray(Image.open(desk / "overlay.png")).ndim == 3
    assert np.load(desk / "values.npy").dtype == np.float32


@pytest.mark.slow
def test_the_program_of_the_page(desk):
    program = "\n".join(lines("python"))
    with serving("realm-tiny") as server:
        (desk / "ask.py").write_text(program.replace("8000", str(server.port)))
        done = subprocess.run(
            [sys.executable, "ask.py"], cwd=desk, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["samples/cat.jpg", "samples/coffee.jpg"]
    assert all(line.endswith(" None") for line in done.stdout.splitlines())


def test_the_limits_of_the_page_are_those_of_the_command():
    from realm_engine.cli.main import main

    options = {option.opts[0]: option.default for option in main.commands["serve"].params}
    table = dict(re.findall(r"^\| `(--[\w-]+)` \| ([^|]+) \|", PAGE, flags=re.MULTILINE))
    assert set(table) >= {"--max-upload", "--max-images", "--max-windows", "--queue", "--timeout", "--drain"}
    for option, says in table.items():
        default = options[option]
        if isinstance(default, int):
            assert says.startswith(f"{default:,}".replace(",", " ")), option
        elif isinstance(default, float):
            assert says.startswith(f"{default:g} s"), option
        elif isinstance(default, str):
            assert says.startswith(default), option
