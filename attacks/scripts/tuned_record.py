"""A record of `tune` in the cache folder that nobody measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from attacks.attack import MEMORY, CommandAttack, Must
from attacks.run import python_command
from realm_engine.bundle.bundle import Bundle
from realm_engine.runtimes.measured import machine_facts, tuned_path

FINE = {"part": "core", "device": "cpu", "precision": "fp32", "batch": 1, "threads": 1, "per_second": 1e9}


def record(**changes: Any) -> Callable[[Path], Sequence[str]]:
    """A record that says so, in the place where the default looks for it."""

    def build(folder: Path) -> Sequence[str]:
        path = folder / "cache" / "tune" / tuned_path(Bundle.open("realm-tiny", verify=False)).name
        path.parent.mkdir(parents=True)
        measured = [{**FINE, "passes": True, "differences": {}, **changes}]
        facts = {"bundle": "realm-tiny", "date": "today", "machine": machine_facts(), "images": 1}
        path.write_text(json.dumps({"format_version": 1, **facts, "measured": measured}), encoding="utf-8")
        Image.linear_gradient("L").save(folder / "picture.png")
        return python_command("score", "picture.png", "--max-memory", MEMORY)

    return build


UNUSED = Must((0,), r"(?s)picture\.png,.*is no record of tune ")
ATTACKS = (
    CommandAttack("tuned to a batch of -32", record(batch=-32), UNUSED),
    CommandAttack("tuned to a batch of 10^9", record(batch=10**9), UNUSED),
    CommandAttack("tuned to a batch of 1.5", record(batch=1.5), UNUSED),
    CommandAttack("tuned to 100 000 threads", record(threads=100_000), UNUSED),
    CommandAttack("tuned to no threads", record(threads=0), UNUSED),
    CommandAttack("tuned to another device", record(device="../x"), UNUSED),
    CommandAttack("tuned to a speed of NaN", record(per_second=float("nan")), UNUSED),
    CommandAttack("tuned to words", record(per_second="fast", batch="all"), UNUSED),
)
