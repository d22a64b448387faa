"""`realm-engine tune` as a user meets it: real comparisons and real timings, of the shortest kind."""

from __future__ import annotations

import json

import pytest

from realm_engine import Engine
from realm_engine.bundle.bundle import Bundle
from realm_engine.runtimes.measured import load_tuned, tuned_path
from realm_engine.verbs import tune


@pytest.fixture(autouse=True)
def short(monkeypatch, tmp_path):
    monkeypatch.setattr(tune, "ROUNDS", 1)
    monkeypatch.setattr(tune, "SECONDS_PER_ROUND", 0.001)
    monkeypatch.setenv("REALM_CACHE_DIR", str(tmp_path / "cache"))


def test_it_measures_remembers_and_auto_follows(cli, pictures, bundle_path, caplog) -> None:
    result = cli("tune", pictures, "--bundle", bundle_path, "--device", "cpu", "--threads", "1")
    assert result.exit_code == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    assert {(row[0], row[1], row[2]) for row in rows} == {
        (part, "cpu", precision) for part in ("core", "dream") for precision in ("fp32", "fp16")
    }
    assert all("passes" in line for line in result.stdout.splitlines() if "fp32" in line)
    record = load_tuned(Bundle.open(bundle_path))
    assert record is not None and record.images == 4
    assert all(one.per_second > 0 and one.threads == 1 for one in record.measured)
    best = {part: record.fastest(part)[0] for part in ("core", "dream")}
    with Engine.open(bundle_path) as engine:
        for part, one in best.items():
            used = engine.describe(part)
            assert (used["device"], used["precision"], used["threads"]) == (one.device, one.precision, 1)
            assert used["tuned"]
        assert engine.maps.dream.encoder.per_call == best["dream"].batch
    with Engine.open(bundle_path, tuned=False) as engine:
        assert not engine.describe()["tuned"]
    result = cli("score", pictures)
    assert result.exit_code == 0 and "(as tuned)" in result.stderr
    shown = cli("info", bundle_path).stdout
    assert "tuned" in shown and f"{best['dream'].precision} on cpu, batch {best['dream'].batch}" in shown
    result = cli("tune", "--bundle", bundle_path, "--forget")
    assert result.exit_code == 0 and "forgotten" in result.stderr
    assert load_tuned(Bundle.open(bundle_path)) is None


@pytest.mark.parametrize("load", [None, 3.0])
def test_under_load_it_says_that_it_would_remember_noise(
    cli, pictures, bundle_path, monkeypatch, load
) -> None:
    monkeypatch.setattr(tune, "busy_load", lambda: load)
    arguments = (pictures, "--bundle", bundle_path, "--device", "cpu", "--threads", "1", "--json")
    result = cli("tune", *arguments)
    assert result.exit_code == 0, result.stderr
    assert ("the machine is busy (load 3.0)" in result.stderr) == bool(load)
    assert ("tune again when it is idle" in result.stderr) == bool(load)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {(row["part"], row["unit"]) for row in rows} == {("core", "images/s"), ("dream", "windows/s")}


def test_it_says_how_many_of_the_images_are_compared(cli, pictures, bundle_path) -> None:
    for name in "efghij":
        (pictures / f"{name}.png").write_bytes((pictures / "a.png").read_bytes())
    result = cli("tune", pictures, "--bundle", bundle_path, "--device", "cpu", "--threads", "1")
    assert "comparing scores of 9 and maps of 4 of 10 images, enough to judge" in result.stderr


def test_a_precision_that_misses_its_gate_is_measured_but_never_chosen(
    pictures, bundle_path, monkeypatch, cli
) -> None:
    from realm_engine.verbs import fidelity

    impossible = fidelity.PrecisionGates(1.1, 1.1, 0.0, None, None)
    real = fidelity.precision_gates
    monkeypatch.setattr(tune, "precision_gates", lambda name: impossible if name == "fp16" else real(name))
    result = cli("tune", pictures, "--bundle", bundle_path, "--device", "cpu", "--threads", "1")
    assert sum("MISSES" in line for line in result.stdout.splitlines()) == 2
    record = json.loads(tuned_path(Bundle.open(bundle_path)).read_text())
    for one in record["measured"]:  # as if it were much faster
        one["per_second"] *= 100 if one["precision"] == "fp16" else 1
    tuned_path(Bundle.open(bundle_path)).write_text(json.dumps(record))
    with Engine.open(bundle_path) as engine:
        assert engine.describe()["precision"] == "fp32"


def test_openvino_is_compared_with_the_same_reference(pictures, bundle_path, cli) -> None:
    pytest.importorskip("openvino")
    result = cli("tune", pictures, "--bundle", bundle_path, "--device", "openvino", "--threads", "1")
    lines = [line for line in result.stdout.splitlines() if " fp32 " in line]
    assert len(lines) == 2 and all("openvino" in line and "passes" in line for line in lines)


def test_bad_usage(cli, tmp_path, bundle_path) -> None:
    result = cli("tune")
    assert result.exit_code == 2 and "name images to measure on" in result.stderr
    result = cli("tune", tmp_path / "nowhere")
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    result = cli("tune", "--forget", "--bundle", bundle_path)
    assert result.exit_code == 0 and "nothing was measured yet" in result.stderr
