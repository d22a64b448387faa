"""Compares every precision of a bundle with its float32 variant, and refuses a file that misses its gate."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.errors import ExportError
from export.manifest import read_manifest
from export.proof.limits import summary
from realm_engine import Engine
from realm_engine.errors import BundleError, DeviceError
from realm_engine.runtimes import rule
from realm_engine.verbs.fidelity import Answers, Trial, answer, compare, precision_gates

Report = Callable[[str], None]

# ONNX Runtime has no kernels on a CPU for bf16, nor in half for its own operators: it judges the same arithmetic in
# float32 (`export.graph.emulate`).
EMULATED = "emulated"
JUDGE = {"fp16": "cpu", "bf16": EMULATED, "int8": "cpu"}
# Native modes of a runtime, computed from the float32 file: measured, never a reason to refuse a bundle.
NATIVE = {"openvino": ("bf16",)}


def compare_precisions(
    folder: Path, trial: Trial, precisions: Sequence[str], report: Report
) -> dict[str, dict[str, Any]]:
    """Compare every variant, and native modes of runtimes that are installed, with the float32 variant.

    Returns:
        Per precision {"gates": limits, "devices": {device: record}}, with "native": True for a mode that has no
        file. A record holds "runtime", "passes", and every part with its own "passes".

    Raises:
        ExportError: a file misses its gate on ONNX Runtime. On another runtime that is only recorded.
    """
    if "fp32" not in precisions:
        return {}
    wanted = [(precision, JUDGE[precision], False) for precision in precisions if precision != "fp32"]
    made_for = {
        (precision, device)
        for entry in read_manifest(folder)["graphs"].values()
        for device, own in entry.get("devices", {}).items()
        for precision in own
    }
    wanted += [(precision, f"{EMULATED} {device}", False) for precision, device in sorted(made_for)]
    if importlib.util.find_spec("openvino") is not None:
        wanted += [(name, "openvino", False) for name in ("bf16", "int8") if name in precisions]
        native = [precision for precision in NATIVE["openvino"] if precision not in precisions]
        wanted += [(precision, "openvino", True) for precision in native]
    if not wanted:
        return {}
    expected = _answer(folder, "cpu", "fp32", trial)
    records: dict[str, dict[str, Any]] = {}
    for precision, device, by_runtime in wanted:
        try:
            answers = _answer(folder, device, precision, trial)
        except (BundleError, DeviceError) as error:
            if _judges(device, precision):
                raise
            report(f"not compared: {precision} on {device}: {error}")
            continue
        limits = precision_gates(precision)
        measured = compare(answers, expected, trial, limits)
        missed = [
            f"{part}: {text}"
            for part, entry in measured.items()
            if isinstance(entry, Mapping)
            for text in entry.get("missed", ())
        ]
        if missed and _judges(device, precision):
            raise ExportError(f"{precision} on {answers.runtime}: {'; '.join(missed)}; no bundle was written")
        numbers = summary(measured, without="similarity_max_abs_diff")
        verdict = f"; misses {'; '.join(missed)}" if missed else ""
        report(f"{precision} on {device} against fp32: {numbers}{verdict}")
        entry = records.setdefault(precision, {"gates": limits.record(), "devices": {}})
        if by_runtime:
            entry["native"] = True
        entry["devices"][device] = _without_missed(measured)
    return records


def recommended(fidelity: Mapping[str, Any], int8_for: str) -> dict[str, str]:
    """The fastest precision within its gate for each device that computes on the processor; those of fp32 left out.

    `fidelity` is the manifest's. An int8 file that was made for TensorRT is slower than others here.
    """
    found: dict[str, str] = {}
    for precision, record in fidelity.items():
        if precision == "int8" and int8_for != "cpu":
            continue
        for device, measured in record.get("devices", {}).items():
            faster = rule.speed(device, precision) > rule.speed(device, found.get(device, "fp32"))
            if faster and measured["passes"]:
                found[device] = precision
    return found


def _judges(device: str, precision: str) -> bool:
    """Whether a file that misses its gate there is refused."""
    return device == JUDGE[precision] or device.startswith(EMULATED)


def _answer(folder: Path, device: str, precision: str, trial: Trial) -> Answers:
    if device.startswith(EMULATED):
        from export.graph.emulate import emulated_bundle

        made_for = device.removeprefix(EMULATED).strip() or None
        with tempfile.TemporaryDirectory(prefix=".realm-emulated-", dir=folder.parent) as temporary:
            emulated = Path(temporary) / folder.name
            emulated_bundle(folder, read_manifest(folder), emulated, precision, made_for)
            return _answer(emulated, "cpu", "fp32", trial)
    with Engine.open(folder, device=device, precision=precision, tuned=False) as engine:
        return answer(engine, trial)


def _without_missed(measured: Mapping[str, Any]) -> dict[str, Any]:
    """The record without its messages, which the numbers beside the gates say already."""
    return {
        key: {name: entry for name, entry in value.items() if name != "missed"}
        if isinstance(value, dict)
        else value
        for key, value in measured.items()
    }
