"""`realm-engine info`, `verify` and the group itself."""

from __future__ import annotations

import json
import subprocess
import sys

from bundles import build_bundle
from click.testing import CliRunner

from realm_engine.cli.main import main


def test_info(cli, bundle_path) -> None:
    result = cli("info", bundle_path)
    assert result.exit_code == 0
    for wanted in ("test-bundle", "CC0-1.0", "random (seed 0)", "core.fp16.onnx", "released", "64"):
        assert wanted in result.stdout


def test_info_json(cli, bundle_path) -> None:
    facts = json.loads(cli("info", bundle_path, "--json").stdout)["bundle"]
    assert facts["name"] == "test-bundle" and facts["dream"]["presets"]["released"]["stride_px"] == 8


def test_info_of_this_machine(cli, bundle_path, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path))
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "mine").symlink_to(bundle_path)
    result = cli("info")
    assert "ONNX Runtime" in result.stdout and str(bundle_path.name) in cli("info", "mine").stdout
    assert "mine" in result.stdout
    assert result.exit_code in (0, 2)  # 2 where the package was built without its default bundle


def test_info_of_nothing(cli) -> None:
    result = cli("info", "no-such-bundle")
    assert result.exit_code == 2 and result.stderr.startswith("error: bundle 'no-such-bundle' not found")


def test_verify(cli, bundle_path) -> None:
    result = cli("verify", bundle_path, "--device", "cpu")
    assert result.exit_code == 0 and result.stderr == ""
    assert all(line.startswith("ok ") for line in result.stdout.splitlines())


def test_verify_a_damaged_bundle(cli, tmp_path) -> None:
    bundle = build_bundle(tmp_path / "bundle")
    with (bundle / "phrases.json").open("r+b") as file:
        file.write(b"[")
    result = cli("verify", bundle)
    assert result.exit_code == 2
    failed = [line for line in result.stdout.splitlines() if line.startswith("FAILED")]
    assert failed[0].startswith("FAILED  checksum phrases.json: ") and "phrase bank" in failed[1]
    assert "do not use this bundle" in result.stderr
    assert cli("verify", tmp_path / "absent").exit_code == 2


def test_help_and_version_start_without_a_runtime() -> None:
    code = (
        "import sys\n"
        "from realm_engine.cli.main import main\n"
        "try: main(['map', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = ('onnxruntime', 'openvino', 'torch', 'tokenizers', 'cv2')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert CliRunner().invoke(main, ["--version"]).stdout.startswith("realm-engine, version ")


def test_unknown_verb() -> None:
    result = CliRunner().invoke(main, ["paint"])
    assert result.exit_code == 2 and "no such command paint; realm-engine -h lists" in result.stderr
