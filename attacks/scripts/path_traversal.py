"""A manifest whose files lie outside of its folder."""

from __future__ import annotations

from attacks.attack import Attack, Build, refused
from attacks.victim import Victim


def graph_at(path: object) -> Build:
    """CORE's graph in another place."""

    def build(victim: Victim) -> None:
        victim.manifest["graphs"]["core"]["variants"]["fp32"] = path

    return build


def listed(path: str) -> Build:
    """A file of the manifest in another place."""

    def build(victim: Victim) -> None:
        victim.manifest["files"][path] = victim.manifest["files"]["core.onnx"]

    return build


def tokenizer_at(victim: Victim) -> None:
    """A tokenizer in another place."""
    victim.manifest["core"]["text"]["tokenizer"] = "../../etc/passwd"


LEAVES = refused("leaves the bundle")
ATTACKS = (
    *(
        Attack(f"path {name}", graph_at(path), LEAVES, LEAVES)
        for name, path in {
            "up": "../core.onnx",
            "up inside": "a/../../core.onnx",
            "absolute": "/etc/passwd",
            "drive": "C:/core.onnx",
            "backslash": "..\\core.onnx",
            "nothing": "",
        }.items()
    ),
    Attack("path of a listed file", listed("../x"), LEAVES, LEAVES),
    Attack("path of a tokenizer", tokenizer_at, LEAVES, LEAVES),
    Attack("path with a zero byte", listed("a\0b"), LEAVES, LEAVES),
    Attack(
        "path too long",
        listed("x" * 5000),
        refused("cannot be a file|is missing"),
        refused("is missing|cannot"),
    ),
    Attack("one file under many names", listed("./core.onnx"), refused("short way"), refused("short way")),
)
