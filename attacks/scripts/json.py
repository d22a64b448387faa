"""JSON that is deep, huge, not JSON, or not text."""

from __future__ import annotations

from attacks.attack import Attack, Build, Must, refused
from attacks.victim import Victim


def manifest(content: bytes) -> Build:
    """A manifest of these bytes."""

    def build(victim: Victim) -> None:
        (victim.folder / "bundle.json").write_bytes(content)

    return build


def file(name: str, content: bytes) -> Build:
    """Another file of these bytes."""
    return lambda victim: victim.write(name, content)


def in_metrics(value: object) -> Build:
    """Something odd where a manifest may hold what it likes."""
    return lambda victim: victim.manifest.update(metrics=value)


def nested(depth: int) -> object:
    """Lists in lists."""
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def name(text: str) -> Build:
    """A file that is called so."""

    def build(victim: Victim) -> None:
        victim.manifest["files"][text] = victim.manifest["files"]["core.onnx"]

    return build


NOT = refused("not valid JSON|more than|must be a JSON object|JSON")
TOKENIZER = Must((1, 2), "tokenizer")
ATTACKS = (
    Attack("deep manifest", manifest(b"[" * 200_000), NOT, NOT),
    Attack("deep manifest that closes", manifest(b"[" * 3000 + b"]" * 3000), NOT, NOT),
    Attack("deep metrics", in_metrics(nested(500)), NOT, NOT, "score"),
    Attack("deep metrics shown", in_metrics(nested(500)), NOT, None, "info"),
    Attack("huge manifest", manifest(b" " * (64 << 20) + b"{}"), NOT, NOT),
    Attack("manifest of zeros", manifest(b"\0" * 1000), NOT, NOT),
    Attack("manifest of nothing", manifest(b""), NOT, NOT),
    Attack("manifest not in UTF-8", manifest(b'{"format": "\xff"}'), NOT, NOT),
    Attack("manifest that is a list", manifest(b"[]"), NOT, NOT),
    Attack("half of a surrogate pair", name("a\ud800b"), NOT, NOT),
    Attack("half of one in metrics", in_metrics({"a\udcff": 1}), NOT, None, "info"),
    Attack(
        "number of 5000 digits", manifest(b'{"format": ' + b"1" * 5000 + b"}"), NOT, refused("format|JSON")
    ),
    Attack(
        "five thousand files",
        lambda v: v.manifest["files"].update(
            {f"x{i}": v.manifest["files"]["core.onnx"] for i in range(5_000)}
        ),
        refused("files, more than|more than"),
        refused("files, more than|more than"),
    ),
    Attack("deep tokenizer", file("tokenizer.json", b"[" * 200_000), TOKENIZER, TOKENIZER),
    Attack("tokenizer of bytes", file("tokenizer.json", bytes(range(256))), TOKENIZER, TOKENIZER),
    Attack(
        "phrases that are no JSON",
        file("phrases.json", b"{"),
        Must((1, 2), "phrases"),
        Must((1, 2), "phrases"),
        "map",
        "",
    ),
)
