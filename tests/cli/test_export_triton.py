"""`realm-engine export-triton`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from triton_double import read_config


def test_a_repository_is_written(cli, bundle_path, tmp_path):
    result = cli(
        "export-triton", bundle_path, "--output", tmp_path / "served", "--instances", 2, "--device", "cpu"
    )
    assert result.exit_code == 0
    names = result.stdout.split()
    assert sorted(names) == sorted(path.name for path in (tmp_path / "served" / "models").iterdir())
    for name in names:
        assert read_config(tmp_path / "served" / "models" / name).instance_group[0].count == 2
    assert "--model-repository=" in result.stderr
    readme = (tmp_path / "served" / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in names) and "CC0-1.0" in readme


def test_the_client_is_for_this_repository(cli, bundle_path, tmp_path):
    assert cli("export-triton", bundle_path, "--output", tmp_path / "served").exit_code == 0
    client = tmp_path / "served" / "client.py"
    assert 'MODELS = "test_bundle"' in client.read_text()
    done = subprocess.run([sys.executable, str(client), "--help"], capture_output=True, text=True, check=True)
    assert "--map FILE.npy" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "int8"], "no int8 variant; this bundle has fp32, fp16"),
        (["--platform", "tensorrt-plan"], "--platform tensorrt-plan and --plans DIR belong together"),
        (["--platform", "tensorrt-plan", "--plans", "none"], "core.plan"),
    ],
)
def test_what_cannot_be_written_is_one_line(cli, bundle_path, tmp_path, arguments, message):
    result = cli("export-triton", bundle_path, "--output", tmp_path / "served", *arguments)
    assert result.exit_code == 2 and result.stdout == "" and len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ") and message in result.stderr
    assert not (tmp_path / "served").exists()


def test_bad_usage(cli, bundle_path, tmp_path):
    assert cli("export-triton", bundle_path).exit_code == 2
    assert cli("export-triton", bundle_path, "--output", tmp_path / "x", "--instances", 0).exit_code == 2
    absent = cli("export-triton", "no-such-bundle", "--output", tmp_path / "x")
    assert absent.exit_code == 2 and absent.stderr.startswith("error: bundle 'no-such-bundle' not found")
