"""`realm-engine doctor`."""

from __future__ import annotations

import json
import os

from repository import ROOT

from realm_engine.runtimes.devices import AUTO_ORDER, DEVICES


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


def test_doctor_survives_runtimes_that_do_not(script, tmp_path):
    """Nothing works: one runtime cannot be imported, the other crashes whoever imports it."""
    for name, code in (
        ("onnxruntime", "raise ImportError('libcustom.so.7: cannot open shared object file')"),
        ("openvino", "import os\nos.kill(os.getpid(), 11)"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = script("doctor", env=environment)
    assert done.returncode == 2, done.stderr
    said = [" ".join(line.split()) for line in done.stdout.splitlines()]
    at = said.index("broken openvino crashed: killed by SIGSEGV")
    assert said[at + 1] == "cure: pip install --force-reinstall 'openvino'"
    at = next(
        i for i, line in enumerate(said) if line.startswith("broken cpu ONNX Runtime cannot be imported")
    )
    assert "libcustom.so.7" in said[at] and said[at + 1] == "cure: pip install 'onnxruntime>=1.20'"
    assert said[-1].startswith("nothing works; worth a cure: ")
    assert done.stderr == ""


def test_doctor_runs_nothing_of_the_working_folder(script, tmp_path):
    """A folder of downloads may hold a numpy.py that nobody has read."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    names = ("numpy", "json", "platform", "tempfile", "onnxruntime", "openvino", "click", "realm_engine")
    for name in names:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / name)!r}, 'w').close()\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = script("doctor", "--json", cwd=folder, env=environment)
    assert [name for name in names if (tmp_path / name).exists()] == []
    assert done.returncode == 0 and json.loads(done.stdout)["works"] is True, done.stderr


def test_doctor_takes_no_arguments(cli):
    result = cli("doctor", "everything")
    assert result.exit_code == 2 and "unexpected argument everything" in result.stderr.lower()
