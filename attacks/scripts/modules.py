"""Modules of Python in the folder that a command is started in, or beside a model: none of them is run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from attacks.attack import CommandAttack, Must
from attacks.run import python_command

OWNED = "import os, sys\nos.mkdir('owned')\nprint('OWNED')\n"
OPEN = """
from realm_train.errors import TowerError
from realm_train.towers import text_tower
try:
    text_tower("tower")
except TowerError as error:
    raise SystemExit(f"error: {error}")
"""
NAMES = ("numpy", "json", "onnxruntime", "openvino", "torch", "click", "pickle", "runpy", "realm_engine")


def strange_modules(folder: Path) -> None:
    """Files that are named as what the command imports."""
    for name in NAMES:
        (folder / f"{name}.py").write_text(OWNED, encoding="utf-8")


def doctor(folder: Path) -> Sequence[str]:
    """`doctor` asks in processes of its own."""
    strange_modules(folder)
    return python_command("doctor")


def text_tower(folder: Path) -> Sequence[str]:
    """A text tower whose config.json names Python code beside it."""
    tower = folder / "tower"
    tower.mkdir()
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}}
    (tower / "config.json").write_text(json.dumps(own), encoding="utf-8")
    (tower / "own.py").write_text(OWNED, encoding="utf-8")
    (tower / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n", encoding="utf-8")
    return [*python_command(module="x")[:2], "-c", OPEN]


ATTACKS = (
    CommandAttack("numpy.py beside doctor", doctor, Must((0, 2), r"\A(?!.*OWNED)")),
    CommandAttack("text tower with code", text_tower, Must((1,), "auto_map")),
)
