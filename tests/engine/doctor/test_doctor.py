"""The doctor: what it says of what it finds, and that nothing it looks at can take it along."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from bundles import build_bundle, read_manifest, write_manifest

from realm_engine.doctor import examine as doctor
from realm_engine.doctor import isolated
from realm_engine.doctor.findings import (
    ABSENT,
    BROKEN,
    OK,
    WARNING,
    Finding,
    Report,
    report_lines,
    split_cure,
    verdict,
)
from realm_engine.doctor.isolated import Answer, ask, of_this_package
from realm_engine.doctor.probe import probe_device
from realm_engine.errors import DeviceError
from realm_engine.runtimes import nvidia
from realm_engine.runtimes.devices import open_backend
from realm_engine.runtimes.elf import needed_libraries
from realm_engine.runtimes.nvidia import Gpu, Libraries, Nvidia

H200 = Gpu("NVIDIA H200", (9, 0), 150_000_000_000)
PASCAL = Gpu("GTX 1080", (6, 1), 8_000_000_000)
GOOD = Nvidia(hardware=1, kernel_driver="580.95.05", cuda=(13, 0), status=0, gpus=(H200,))
NONE = Nvidia(hardware=0)
CUDA_13 = ("libcublasLt.so.13", "libcublas.so.13", "libcudnn.so.9", "libcudart.so.13")


# ----------------------------------------------------------------------------- questions that may crash


def test_an_answer_is_the_last_line():
    assert ask(["-c", "print('noise'); print('{\"x\": 1}')"]).value == {"x": 1}


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("import os; os.kill(os.getpid(), 11)", "crashed: killed by SIGSEGV"),
        ("import os; os.abort()", "crashed: killed by SIGABRT"),
        ("raise SystemExit('no such library')", "failed with exit code 1 (no such library)"),
        ("print('not JSON')", "failed with exit code 0"),
        ("print('[1]')", "failed with exit code 0"),
        ("print('{}'); raise SystemExit(3)", "failed with exit code 3"),
    ],
)
def test_how_a_process_ended(code, failure):
    answer = ask(["-c", code])
    assert answer.value is None and answer.failure == failure


def test_a_process_that_hangs_is_stopped():
    assert (
        ask(["-c", "import time; time.sleep(60)"], timeout_s=0.5).failure
        == "hung, and was stopped after 0.5 s"
    )


def test_a_device_is_proved_by_an_inference():
    answer = probe_device("cpu")
    assert answer["works"] and answer["runtime"].startswith("ONNX Runtime ") and answer["threads"] >= 1


def test_a_device_that_cannot_be_had_says_what_an_explicit_choice_says():
    if probe_device("cuda")["works"]:
        pytest.skip("this machine has a working GPU")
    with pytest.raises(DeviceError) as caught:
        open_backend("cuda")
    message = ask(of_this_package("realm_engine.doctor.probe", "device", "cuda")).value["message"]
    assert message == str(caught.value)
    packages = doctor.runtime_packages()
    finding = doctor.device_finding("cuda", Answer({"works": False, "message": message}), packages, NONE)
    assert f"device cuda: {finding.detail}; {finding.cure}" == message


def test_a_package_that_lies_in_the_working_folder_examines_itself(tmp_path):
    """`python -m realm_engine` in a clone that is not installed: its processes do not look in the working folder."""
    doctor_of_a_clone = tmp_path / "a_clone" / "doctor"
    doctor_of_a_clone.mkdir(parents=True)
    shutil.copy(isolated.__file__, doctor_of_a_clone)
    (doctor_of_a_clone / "probe.py").write_text(
        "import json, sys\nprint(json.dumps({'got': sys.argv[1:]}))\n"
    )
    code = (
        "from a_clone.doctor.isolated import ask, of_this_package as run\n"
        "print(ask(run('a_clone.doctor.probe', 'nvidia', 'x y')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "Answer(value={'got': ['nvidia', 'x y']}, failure=None)\n", done.stderr


# --------------------------------------------------------------------------------------- one device each


def finding_of(device: str, message: str, packages: dict[str, str], machine: Nvidia = NONE) -> Finding:
    return doctor.device_finding(device, Answer({"works": False, "message": message}), packages, machine)


def test_a_working_device():
    value = {"works": True, "runtime": "OpenVINO 9", "threads": 4, "native_precisions": ["bf16"]}
    finding = doctor.device_finding("openvino", Answer(value), {}, NONE)
    assert (finding.state, finding.detail) == (
        OK,
        "OpenVINO 9, 4 threads, also bf16",
    ) and finding.cure is None


def test_what_is_not_installed_is_not_broken():
    message = "OpenVINO cannot be imported (No module named 'openvino'); pip install 'openvino>=2024.4'"
    finding = finding_of("openvino", message, {"onnxruntime": "1"})
    assert (finding.state, finding.cure) == (ABSENT, "pip install 'openvino>=2024.4'")
    assert finding_of("openvino", message, {"openvino": "9"}).state == BROKEN


def test_a_gpu_runtime_without_a_gpu_is_not_broken():
    message = "device cuda: this machine has no NVIDIA GPU; use --device cpu"
    assert finding_of("cuda", message, {"onnxruntime-gpu": "1"}).state == ABSENT
    assert finding_of("cuda", message, {"onnxruntime-gpu": "1"}, GOOD).state == BROKEN
    assert finding_of("cuda", message, {"onnxruntime": "1"}, GOOD).state == ABSENT


def test_a_runtime_that_crashes_is_broken_and_named():
    finding = doctor.device_finding(
        "cuda", Answer(None, "crashed: killed by SIGSEGV"), {"onnxruntime-gpu": "1"}, NONE
    )
    assert (finding.state, finding.detail) == (BROKEN, "crashed: killed by SIGSEGV")
    assert finding.cure == "pip install --force-reinstall 'onnxruntime-gpu'"


# ------------------------------------------------------------------------------------------------ NVIDIA


@pytest.mark.parametrize(
    ("machine", "cuda", "what", "cure"),
    [
        (GOOD, None, None, None),
        (GOOD, 13, None, None),
        (NONE, 13, "no NVIDIA GPU", "use --device cpu"),
        (Nvidia(hardware=None), 13, "no NVIDIA GPU", "use --device cpu"),
        (Nvidia(hardware=2), None, "without its driver", "install the NVIDIA driver"),
        (Nvidia(1, "580.95.05"), None, "libcuda.so.1 is not here", "--gpus all"),
        (
            Nvidia(1, "550.54.14", (12, 4), 0, (H200,)),
            13,
            "CUDA 12.4 at most, but CUDA 13",
            "580.65.06 or newer",
        ),
        (Nvidia(1, "550.54.14", (12, 4), 0, (H200,)), 12, None, None),
        (Nvidia(1, "580.95.05", (13, 0), 803), 13, "different versions", "reboot"),
        (Nvidia(1, "580.95.05", (13, 0), 804), 13, "compatibility library", "LD_LIBRARY_PATH"),
        (Nvidia(1, "580.95.05", (13, 0), 100), 13, "shows no GPU", "--gpus all"),
        (Nvidia(1, "580.95.05", (13, 0), 100, hidden=True), 13, "CUDA_VISIBLE_DEVICES", "unset"),
        (Nvidia(1, "580.95.05", (13, 0), 999), 13, "cuInit returned 999", "nvidia-smi"),
        (Nvidia(1, "580.95.05", (13, 0), 0, (PASCAL,)), 13, "6.1, CUDA 13 needs 7.5", "--device cpu"),
        (Nvidia(1, "580.95.05", (13, 0), 0, (PASCAL,)), 12, None, None),
        (Nvidia(2, "580.95.05", (13, 0), 0, (PASCAL, H200)), 13, None, None),
    ],
)
def test_why_no_gpu_can_be_used(machine, cuda, what, cure):
    problem = nvidia.gpu_problem(machine, cuda)
    if what is None:
        assert problem is None
    else:
        assert what in problem.what and cure in problem.cure
        assert str(problem) == f"{problem.what}; {problem.cure}" and "\n" not in str(problem)


def test_missing_libraries_are_one_command():
    found = dict.fromkeys(CUDA_13, "/somewhere") | {"libcudnn.so.9": None, "libcublas.so.13": None}
    problem = nvidia.library_problem(Libraries(found))
    assert problem.what == "libcublas.so.13, libcudnn.so.9 cannot be found"
    assert problem.cure == "pip install nvidia-cublas 'nvidia-cudnn-cu13==9.*'"
    twelve = Libraries({"libcudart.so.12": None, "libcufft.so.11": None, "libnvinfer.so.10": None})
    assert nvidia.library_problem(twelve).cure == (
        "pip install nvidia-cuda-runtime-cu12 nvidia-cufft-cu12 'tensorrt-cu12==10.*'"
    )
    assert nvidia.library_problem(Libraries(dict.fromkeys(CUDA_13, "/somewhere"))) is None
    assert "LD_LIBRARY_PATH" in nvidia.library_problem(Libraries({"libodd.so": None})).cure


def test_version_numbers():
    assert nvidia.cuda_version(13020) == (13, 2) and nvidia.cuda_version(12040) == (12, 4)
    assert nvidia.cudnn_version(92600) == (9, 26, 0) and nvidia.cudnn_version(8907) == (8, 9, 7)
    assert nvidia.tensorrt_version(101302) == (10, 13, 2) and nvidia.tensorrt_version(8601) == (8, 6, 1)
    assert nvidia.library_version("libcudnn.so.9") == ("cudnn", 9)
    assert nvidia.library_version("libcublasLt.so.13.1.0") == ("cublasLt", 13)
    assert nvidia.cuda_major(CUDA_13) == 13 and nvidia.cuda_major(["libcudnn.so.9"]) is None
    assert H200.arch == "sm_90"


def test_libraries_of_pip_are_found_and_asked():
    """The CUDA and cuDNN wheels that torch brings can be loaded without a GPU."""
    libraries = Libraries({name: nvidia.find_library(name) for name in ("libcudart.so.13", "libcudnn.so.9")})
    if libraries.missing:
        pytest.skip("no CUDA 13 wheels here")
    versions = nvidia.runtime_versions(libraries)
    assert versions["CUDA runtime"].startswith("13.") and versions["cuDNN"].startswith("9.")
    packages = doctor.runtime_packages()
    if "nvidia-cudnn-cu13" in packages:
        assert packages["nvidia-cudnn-cu13"].startswith(versions["cuDNN"])


def test_a_library_that_is_nowhere():
    assert nvidia.find_library("libcudnn.so.7777") is None


def test_needed_libraries_are_those_the_loader_resolves():
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    library = next(folder.glob("onnxruntime_pybind11_state*.so"))
    needed = needed_libraries(library)
    done = subprocess.run(["ldd", str(library)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no ldd here")
    resolved = {Path(line.split()[0]).name for line in done.stdout.splitlines()}
    assert needed and {Path(name).name for name in needed} <= resolved


def test_what_is_no_library_needs_nothing(tmp_path):
    for name, content in (
        ("empty", b""),
        ("text", b"hello" * 100),
        ("cut", b"\x7fELF\x02\x01" + b"\xff" * 90),
    ):
        (tmp_path / name).write_bytes(content)
        assert needed_libraries(tmp_path / name) == ()
    assert needed_libraries(tmp_path / "absent") == ()


# -------------------------------------------------------------------------------------------- mismatches


def mismatch(packages, machine=NONE, cuda=(), tensorrt=(), found=None):
    needs = {"cuda": cuda, "tensorrt": tensorrt}
    return doctor.mismatches(packages, machine, needs, dict.fromkeys(cuda, "/x") if found is None else found)


def test_nothing_to_say_of_a_good_machine():
    assert (
        mismatch({"onnxruntime-gpu": "1.31", "tensorrt": "10.13.0"}, GOOD, CUDA_13, ["libnvinfer.so.10"])
        == []
    )
    assert mismatch({"onnxruntime": "1.31", "onnxruntime-extensions": "0.1"}) == []


@pytest.mark.parametrize(
    ("machine", "package"), [(GOOD, "onnxruntime-gpu>=1.20"), (NONE, "onnxruntime>=1.20")]
)
def test_two_onnx_runtimes_shadow_each_other(machine, package):
    (finding,) = mismatch({"onnxruntime": "1.31", "onnxruntime-gpu": "1.31"}, machine)
    assert finding.state == WARNING
    assert finding.cure == (f"pip uninstall -y onnxruntime onnxruntime-gpu && pip install '{package}'")


def test_a_gpu_that_the_installed_runtime_cannot_use():
    (finding,) = mismatch({"onnxruntime": "1.31"}, GOOD)
    assert "without CUDA" in finding.detail and "onnxruntime-gpu>=1.20" in finding.cure


def test_what_is_imported_counts_and_not_what_a_package_is_called():
    assert mismatch({"onnxruntime": "1.31"}, GOOD, CUDA_13) == []
    (finding,) = mismatch({"onnxruntime-gpu": "1.31"}, GOOD)
    assert "without CUDA" in finding.detail


def test_a_copy_further_down_the_path_is_not_listed(tmp_path, monkeypatch):
    for name in ("onnxruntime_gpu", "openvino_copy"):
        folder = tmp_path / f"{name}-9.9.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name.replace('_', '-')}\nVersion: 9.9\n")
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path)])
    listed = doctor.runtime_packages()
    assert "onnxruntime-gpu" not in listed and listed["openvino-copy"] == "9.9"
    assert any(name.startswith("onnxruntime") for name in listed)


def test_a_driver_older_than_the_runtime():
    old = Nvidia(1, "550.54.14", (12, 4), 0, (H200,))
    (finding,) = mismatch({"onnxruntime-gpu": "1.31"}, old, CUDA_13)
    assert finding.state == BROKEN and "CUDA 12.4 at most, but CUDA 13 is needed" in finding.detail
    assert finding.cure == "install NVIDIA driver 580.65.06 or newer"


def test_libraries_missing_where_there_is_a_gpu():
    found = dict.fromkeys(CUDA_13, "/x") | {"libcudnn.so.9": None}
    (finding,) = mismatch({"onnxruntime-gpu": "1.31"}, GOOD, CUDA_13, found=found)
    assert finding.state == BROKEN and finding.cure == "pip install 'nvidia-cudnn-cu13==9.*'"
    assert mismatch({"onnxruntime-gpu": "1.31"}, NONE, CUDA_13, found=found) == []


def test_a_tensorrt_that_the_provider_of_onnx_runtime_cannot_load():
    (finding,) = mismatch({"tensorrt-cu13": "11.0.1"}, GOOD, tensorrt=["libnvinfer.so.10"])
    assert finding.state == WARNING and "built for 10" in finding.detail
    assert finding.cure == "pip install 'tensorrt-cu13==10.*'"


def test_a_driver_that_crashes_whoever_asks():
    machine, refused = doctor.machine_of(Answer(None, "crashed: killed by SIGSEGV"))
    (finding,) = doctor.nvidia_findings(machine, refused, None, {})
    assert finding.state == BROKEN and "killed by SIGSEGV" in finding.detail


def test_driver_gpus_and_versions():
    value = json.loads(json.dumps(asdict(GOOD)))
    machine, refused = doctor.machine_of(Answer(value))
    assert machine == GOOD and refused is None
    driver, gpu, cudnn = doctor.nvidia_findings(machine, None, None, {"cuDNN": "9.26.0"})
    assert driver.detail == "580.95.05, serves CUDA up to 13.0"
    assert gpu.detail == "NVIDIA H200, compute capability 9.0 (sm_90), 139.7G"
    assert (cudnn.name, cudnn.detail) == ("cuDNN", "9.26.0")
    wsl = Nvidia(None, None, (12, 8), 0, (H200,))  # Windows keeps the kernel module to itself
    assert doctor.nvidia_findings(wsl, None, "572.16", {})[0].detail == "572.16, serves CUDA up to 12.8"


# ---------------------------------------------------------------------------------------- the machine


def test_a_cache_folder_that_can_be_written(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 1000)
    finding = doctor.cache_finding(tmp_path)
    assert (finding.state, finding.facts["files"], finding.facts["size_bytes"]) == (OK, 1, 1000)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    absent = doctor.cache_finding(tmp_path / "not" / "yet")
    assert (
        absent.state == OK and "made when first needed" in absent.detail and not (tmp_path / "not").exists()
    )


def test_a_cache_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        finding = doctor.cache_finding(folder)
        assert finding.state == BROKEN and "REALM_CACHE_DIR" in finding.cure


def test_bundles_whole_and_broken(tmp_path, monkeypatch):
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path))
    build_bundle(tmp_path / "bundles" / "good", fp16=True)
    newer = build_bundle(tmp_path / "bundles" / "newer")
    manifest = read_manifest(newer)
    manifest["format_version"] = "9.0"
    write_manifest(newer, manifest)
    found = {finding.name: finding for finding in doctor.bundle_findings()}
    assert found["good"].detail == "core fp32/fp16, dream fp32/fp16; not tuned on this machine"
    assert (found["newer"].state, found["newer"].cure) == (BROKEN, "update realm-engine")


# ------------------------------------------------------------------------------------------- the report


def report(auto: str | None, *findings: doctor.Finding) -> Report:
    engine = {"version": "1", "python": "3.11", "platform": "Linux"}
    return Report(engine, auto, {"devices": findings, "empty": ()})


def test_the_text_is_aligned_and_every_cure_has_its_line():
    findings = (
        Finding("cpu", OK, "ONNX Runtime"),
        Finding("tensorrt-rtx", BROKEN, "crashed", "pip install it"),
    )
    lines = report_lines(report("cpu", *findings))
    assert lines[3] == "  ok        cpu           ONNX Runtime  (auto)"
    assert lines[4] == "  broken    tensorrt-rtx  crashed"
    assert lines[5] == "                          cure: pip install it"
    assert lines[4].index("crashed") == lines[5].index("cure:") and "empty" not in lines
    assert lines[-1] == "works: --device auto takes cpu; worth a cure: tensorrt-rtx"


def test_the_verdict_where_nothing_works():
    absent = Finding("cpu", ABSENT, "not installed", "pip install it")
    assert verdict(report(None, absent)) == "nothing works; pip install 'onnxruntime>=1.20'"


def test_an_error_is_split_at_its_cure():
    assert split_cure("a; b; pip install x") == ("a; b", "pip install x")
    assert split_cure("a") == ("a", None)


def test_everything_is_json():
    findings = (Finding("cpu", OK, "x", None, {"gpus": (np.float64(1.0).item(),)}),)
    data = json.loads(json.dumps(report("cpu", *findings).as_json()))
    assert data["works"] and data["auto"] == "cpu" and data["sections"]["devices"][0]["name"] == "cpu"


def test_the_probe_is_a_module_of_its_own():
    """`python -m realm_engine.doctor.probe` must not load a runtime before it is asked to."""
    code = (
        "import sys, realm_engine.doctor.probe\n"
        "print([name for name in ('onnxruntime', 'openvino', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
