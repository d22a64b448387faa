"""A data set and towers so small that a training takes seconds; real files, real libraries."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from realm_train.augment import AugmentConfig
from realm_train.core.config import CoreConfig, CoreModelConfig, SplitConfig, TrainConfig
from realm_train.runs import RunFolder


class KilledError(Exception):
    """Stands for a kill, which no code survives either."""


def killed_after(epoch: int, monkeypatch: pytest.MonkeyPatch, saved: bool = True) -> None:
    """Trainings die in that epoch (from 1): when its state is saved, or just before."""
    save = RunFolder.save_state

    def save_state(run: RunFolder, state: Mapping[str, Any]) -> None:
        if state["epoch"] < epoch or saved:
            save(run, state)
        if state["epoch"] >= epoch:
            raise KilledError

    monkeypatch.setattr(RunFolder, "save_state", save_state)


def saved_states(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A list that gets a copy of every state that trainings save."""
    states: list[dict[str, Any]] = []
    save = RunFolder.save_state

    def save_state(run: RunFolder, state: Mapping[str, Any]) -> None:
        save(run, state)
        states.append(run.load_state() or {})

    monkeypatch.setattr(RunFolder, "save_state", save_state)
    return states


WORDS = ("yes", "no", "somewhat", "the", "face", "hand", "is", "looks", "warped", "odd", ",", ".", "##s")


def write_text_tower(folder: Path, width: int = 16, weights: bool = True, positions: int = 32) -> Path:
    """A two-layer BERT with a vocabulary of a dozen words, as transformers saves it."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS)), encoding="utf-8")
    BertWordPieceTokenizer(str(vocabulary), lowercase=True).save(str(folder / "tokenizer.json"))
    config = BertConfig(
        vocab_size=5 + len(WORDS),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=positions,
    )
    torch.manual_seed(1)
    model = BertModel(config)
    if weights:
        model.save_pretrained(folder)
    else:
        config.save_pretrained(folder)
    return folder


def write_data(root: Path, count: int = 10, test: int = 0) -> Path:
    """Noise whose strength is the MOS, in REALM's layout; every fourth description is empty."""
    for split, number in (("train", count), ("test", test)):
        if not number:
            continue
        images = root / split / "images"
        images.mkdir(parents=True)
        with (root / split / "image_descriptions.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["filename", "MOS", "description"])
            for i in range(number):
                rng = np.random.default_rng((i, number))
                level = rng.uniform(0, 80)
                pixels = np.clip(rng.normal(128, level, (48, 64, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(images / f"f{i}.webp", lossless=True)
                text = "" if i % 4 == 3 else ("Yes, the face looks warped." if level > 40 else "No.")
                writer.writerow([f"f{i}.png", round(2 - level / 20, 4), text])
    return root


def tiny_config(text_tower: Path, **train: object) -> CoreConfig:
    """Random towers, 32 x 48 pixels, every option that has state switched on."""
    options: dict[str, object] = {
        "image_weights": "none",
        "epochs": 3,
        "batch_size": 4,
        "lr": 1e-3,
        "schedule": "cosine",
        "warmup_epochs": 0.5,
        "grad_clip": 1.0,
        "text_dropout": 0.3,
        "ema_decay": 0.9,
        "mixed_precision": "no",
    }
    return CoreConfig(
        model=CoreModelConfig(
            image_tower="test_efficientnet",
            text_tower=str(text_tower),
            image_height_px=32,
            image_width_px=48,
            normalisation="imagenet",
            image_pooling="multi-stage",
            stages=(1, 3),
            text_pooling="mean",
            max_tokens=16,
            hidden=8,
            dropout=0.2,
            feature_normalisation="standardise",
            missing_text="learned",
        ),
        train=TrainConfig(**(options | train)),  # type: ignore[arg-type]
        augment=AugmentConfig(flip=0.5, rotation_deg=5, crop_scale=0.7, brightness=0.2),
        split=SplitConfig("holdout"),
    )
