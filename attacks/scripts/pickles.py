"""Checkpoints that run code when they are unpickled, or hold other things than tensors under names."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from attacks.attack import CommandAttack, Must
from attacks.run import python_command


class Bomb:
    """Unpickled, it makes a folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("owned",)


def checkpoint(content: Callable[[], Any]) -> Callable[[Path], Sequence[str]]:
    """A best_model.pth that `realm-train import-core` reads."""

    def build(folder: Path) -> Sequence[str]:
        torch.save(content(), folder / "best_model.pth")
        return python_command(
            "import-core", "best_model.pth", "--output", "run", module="realm_train.cli.main"
        )

    return build


def raw(content: bytes) -> Callable[[Path], Sequence[str]]:
    """A file of these bytes."""

    def build(folder: Path) -> Sequence[str]:
        (folder / "best_model.pth").write_bytes(content)
        return python_command(
            "import-core", "best_model.pth", "--output", "run", module="realm_train.cli.main"
        )

    return build


ONE = torch.zeros(1)
REFUSED = Must((2,), r"(?m)^error: best_model\.pth: ")
ATTACKS = (
    CommandAttack("pickle that runs code", checkpoint(Bomb), REFUSED),
    CommandAttack("pickle among tensors", checkpoint(lambda: {"cnn.x": ONE, "bert.x": Bomb()}), REFUSED),
    CommandAttack("state_dict with a number as key", checkpoint(lambda: {"cnn.x": ONE, 7: ONE}), REFUSED),
    CommandAttack("state_dict with nothing as key", checkpoint(lambda: {"state_dict": {None: ONE}}), REFUSED),
    CommandAttack("state_dict that is a list", checkpoint(lambda: [ONE]), REFUSED),
    CommandAttack(
        "state_dict of empty tensors",
        checkpoint(lambda: {"cnn.x": ONE, "bert.x": ONE, "fc.0.weight": torch.zeros(()), "fc.2.weight": ONE}),
        REFUSED,
    ),
    CommandAttack("checkpoint of bytes", raw(bytes(range(256)) * 9), REFUSED),
    CommandAttack("checkpoint of nothing", raw(b""), REFUSED),
    CommandAttack("checkpoint cut short", raw(b"PK\3\4" + b"\0" * 50), REFUSED),
)
