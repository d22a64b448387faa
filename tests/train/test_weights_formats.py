"""Files that are taken for weights are named as what they are: one line, and nothing of them runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from realm_train import towers
from realm_train.errors import TowerError


def refused(path: Path, words: str) -> None:
    with pytest.raises(TowerError, match=words) as caught:
        towers.load_weights(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("how", ["script", "trace"])
@pytest.mark.parametrize("name", ["ViT-B-32.pt", "model.safetensors", "weights.bin"])
def test_torchscript(tmp_path, how, name):
    module = torch.nn.Linear(2, 2)
    program = torch.jit.script(module) if how == "script" else torch.jit.trace(module, torch.zeros(1, 2))
    program.save(str(tmp_path / name))
    refused(tmp_path / name, "is TorchScript, a program, which is not run")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of git LFS"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"GGUF" + bytes(100), "GGUF"),
        (b"<!DOCTYPE html><html>", "a web page"),
    ],
)
@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_files_of_other_kinds(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, words)


def test_an_archive_of_numpy_and_a_folder(tmp_path):
    np.savez(tmp_path / "weights.npz", a=np.zeros(3))
    refused(tmp_path / "weights.npz", "archive of NumPy")
    refused(tmp_path, "is a folder; give the weights file in it")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_plain_weights_are_read_all_the_same(tmp_path, prefix):
    state = {f"{prefix}weight": torch.ones(2)}
    torch.save(state, tmp_path / "a.pt")
    save_file(state, tmp_path / "a.safetensors")
    for name in ("a.pt", "a.safetensors"):
        assert list(towers.load_weights(tmp_path / name)) == list(state)


def test_the_layout_of_transformers_is_named():
    state = {name: torch.zeros(1) for name in ("vision_model.a", "text_model.b", "visual_projection.weight")}
    with pytest.raises(TowerError, match="layout of transformers"):
        towers.refuse_transformers_layout(state, "x.safetensors")
    towers.refuse_transformers_layout({"visual.proj": torch.zeros(1), "text_projection": torch.zeros(1)}, "x")
