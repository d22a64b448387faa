"""Run a command in a process of its own and watch what it takes: time, processor time and memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class Watched:
    """What became of a command. `peak_mb`: the most that it held; a negative `exit_code`: the signal that killed it."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float
    cpu_seconds: float
    peak_mb: float
    timed_out: bool


def watch(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], limit_s: float = 180.0
) -> Watched:
    """Run a command in a folder, and kill it after `limit_s` of wall time: long, for machines that do much else."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        process = subprocess.Popen(
            list(command), cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            env={**os.environ, **environment},
        )  # fmt: skip
        peak = _Peak(process.pid)
        killer = threading.Timer(limit_s, process.kill)
        killer.start()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        timed_out = not killer.is_alive()
        killer.cancel()
        seconds = time.monotonic() - start
        stdout, stderr = _text(out), _text(err)
    return Watched(
        process.returncode,
        stdout,
        stderr,
        seconds,
        used.ru_utime + used.ru_stime,
        peak.stop(),
        timed_out,
    )


def _text(stream: IO[bytes]) -> str:
    """The first MiB of what was said."""
    stream.seek(0)
    return stream.read(1 << 20).decode("utf-8", "replace")


class _Peak:
    """The most memory that a process has held. What `wait4` says begins with that of the process which started it."""

    def __init__(self, pid: int) -> None:
        self._path = Path(f"/proc/{pid}/status")
        self._most = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """MB; 0 where the system does not say."""
        self._stopped.set()
        self._thread.join()
        return self._most

    def _watch(self) -> None:
        while True:
            try:
                lines = self._path.read_text().splitlines()
            except OSError:
                return
            for line in lines:
                if line.startswith("VmHWM:"):
                    self._most = int(line.split()[1]) / 1024
            if self._stopped.wait(0.02):
                return
