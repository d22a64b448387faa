"""`python -m export` as a user meets it: what it writes and what it refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import models
import pytest
import torch
from command_line import run_export

from export.__main__ import main


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    return models.native_clip(tmp_path_factory.mktemp("clip"))


def test_a_bundle_with_everything(config, tmp_path):
    phrases, metrics, presets = (tmp_path / f"{name}.json" for name in ("phrases", "metrics", "presets"))
    phrases.write_text(
        json.dumps({"phrases": [{"text": "a seam", "kind": "seam", "mean": 0.1, "std": 0.02}]})
    )
    metrics.write_text(json.dumps({"auc": 0.9}))
    presets.write_text(json.dumps({"tiny": {"windows_px": [48], "stride_px": 16, "aggregate": "mean"}}))
    licence = tmp_path / "licence.md"
    licence.write_text("# Research only\n\nNon-commercial.\n")
    arguments = ["--clip", config, "--clip-weights", "random", "--output", tmp_path / "bundle"]
    extras = ["--name", "demo", "--phrases", phrases, "--metrics", metrics, "--licence", licence]
    terms = tmp_path / "terms.json"
    terms.write_text(json.dumps({"dream": {"licence": "Apache-2.0", "commercial_use": True}}))
    chosen = ["--presets", presets, "--preset-recommended", "tiny", "--storage", "fp16", "--terms", terms]
    result = run_export(*arguments, *extras, *chosen)
    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    assert manifest["name"] == "demo"
    assert manifest["metrics"] == {"auc": 0.9}
    # --terms names all there is, so --licence holds for nothing here.
    free = {"weights": "Apache-2.0", "commercial_use": True}
    assert manifest["licence"] == manifest["dream"]["licence"] == free
    assert {graph["licence"]["weights"] for graph in manifest["graphs"].values()} == {"Apache-2.0"}
    assert "LICENSE-WEIGHTS.md" not in manifest["files"]
    assert manifest["dream"]["recommended_preset"] == "tiny"
    assert list(manifest["dream"]["presets"]) == ["released", "paper", "tiny"]
    assert manifest["dream"]["phrases"] == "phrases.json"
    again = run_export(*arguments)
    assert_refused(again, "--overwrite")
    assert run_export(*arguments, "--overwrite").returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "bundle", "phrases.json", "metrics.json", "presets.json", "licence.md", "terms.json",
    }  # fmt: skip


def assert_refused(result: subprocess.CompletedProcess, expected: str) -> None:
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 2, result.stdout + result.stderr
    assert len(lines) == 1 and lines[0].startswith("error: ") and expected in lines[0], result.stderr


def test_weights_are_loaded_without_running_code(config, tmp_path):
    class Exploit:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    torch.save({"state_dict": Exploit()}, tmp_path / "bad.pt")
    result = run_export("--clip", config, "--clip-weights", tmp_path / "bad.pt", "--output", tmp_path / "b")
    assert_refused(result, "bad.pt")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "give --core, --clip or both"),
        (
            ["--clip", "ViT-B-32", "--clip-weights", "random", "--name", "../../x"],
            "'../../x' is no name of a bundle",
        ),
        (["--clip", "ViT-X-9000", "--clip-weights", "random"], "open_clip has no model named ViT-X-9000"),
        (["--clip", "ViT-B-32-quickgelu"], "no weights for CLIP"),
        (["--clip", "ViT-B-32-quickgelu", "--clip-weights", "nonsense"], "no weights file or tag 'nonsense'"),
        (["--clip-weights", "random"], "without --clip"),
        (["--core", "nowhere"], "nowhere"),
        (["--clip", "missing.json", "--clip-weights", "random"], "no CLIP configuration"),
    ],
)
def test_refusals(arguments, expected, tmp_path, monkeypatch, capsys):
    """In this process, where torch is imported already; the tests above start one as users do."""
    monkeypatch.setattr("sys.argv", ["export", *arguments, "--output", str(tmp_path / "b")])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert_refused(subprocess.CompletedProcess(arguments, ended.value.code, said.out, said.err), expected)
    assert list(tmp_path.iterdir()) == []
