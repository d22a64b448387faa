"""`realm-engine doctor`."""

from __future__ import annotations

import json
import subprocess
import sys

from realm_engine.backends import AUTO_ORDER, DEVICES


def test_doctor_on_this_machine(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path))
    result = cli("doctor", "--json")
    report = json.loads(result.stdout)
    devices = {finding["name"]: finding for finding in report["sections"]["devices"]}
    assert list(devices) == [device for device in DEVICES if device != "auto"]
    assert devices["cpu"]["state"] == "ok" and devices["cpu"]["facts"]["runtime"].startswith("ONNX Runtime")
    assert report["auto"] == next(device for device in AUTO_ORDER if devices[device]["state"] == "ok")
    assert result.exit_code == 0 and report["works"] is True
    assert all(finding["cure"] for finding in devices.values() if finding["state"] != "ok")
    assert report["packages"]["onnxruntime"] and report["sections"]["cache"][0]["facts"]["path"] == str(
        tmp_path
    )


def test_doctor_without_a_runtime(tmp_path):
    """Where no runtime can be imported nothing works: exit code 2, and the command that cures it."""
    code = (
        "import sys, sysconfig\n"
        "from realm_engine import isolated\n"
        "import realm_engine.doctor as doctor\n"
        "doctor.DEVICES = ('auto', 'openvino')\n"
        "ask = isolated.ask\n"
        "block = 'import sys; sys.modules[\"openvino\"] = None; from realm_engine.probe import main; main(sys.argv[1:])'\n"
        "doctor.ask = lambda arguments, *rest: ask(['-c', block, *arguments[2:]], *rest)\n"
        "doctor.examine.__defaults__ = (('auto', 'openvino'),)\n"
        "from realm_engine.cli.main import main\n"
        "main(['doctor'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert "broken    openvino  OpenVINO cannot be imported" in done.stdout
    assert "cure: pip install 'realm-engine[openvino]'" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("nothing works")


def test_doctor_takes_no_arguments(cli):
    result = cli("doctor", "everything")
    assert result.exit_code == 2 and "unexpected extra argument" in result.stderr.lower()
