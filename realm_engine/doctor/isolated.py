"""Questions asked in a process of their own: a broken GPU library may crash or hang whoever loads it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_RUN_MODULE = (
    "import runpy, sys; sys.path.append(sys.argv[1]); del sys.argv[:2]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)


@dataclass(frozen=True)
class Answer:
    """What a process answered: `value`, or `failure`, one line that says how it ended instead."""

    value: dict[str, Any] | None
    failure: str | None = None


def ask(arguments: Sequence[str], timeout_s: float = 60.0) -> Answer:
    """Run `python ARGUMENTS` and read the JSON object in the last line of its stdout.

    Modules are not looked for in the working folder (-P), where anybody's `numpy.py` may lie; -I would do the same
    but drop PYTHONPATH too, by which development checkouts are found.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(None, f"hung, and was stopped after {timeout_s:g} s")
    except OSError as error:
        return Answer(None, f"cannot be started ({error.strerror})")
    if done.returncode < 0:
        return Answer(None, f"crashed: killed by {signal_name(-done.returncode)}")
    try:
        value = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        value = None
    if done.returncode == 0 and isinstance(value, dict):
        return Answer(value)
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return Answer(None, f"failed with exit code {done.returncode}" + (f" ({said[-1][:200]})" if said else ""))


def of_this_package(module: str, *arguments: str) -> list[str]:
    """What to `ask` to run a module of the package that is running, installed or found in the working folder.

    Its place is the last on the path: a module of Python's own, or of another package, is not looked for there.
    """
    root = Path(__file__).resolve().parents[2]
    return ["-c", _RUN_MODULE, str(root), module, *arguments]


def signal_name(number: int) -> str:
    """SIGSEGV of 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
