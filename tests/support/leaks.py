"""What opening an engine a thousand times, and scoring ten thousand pictures, leaves behind.

python tests/support/leaks.py --opens 1000 --scores 10000
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil


@dataclass(frozen=True)
class Left:
    """What the second half of a run added: bytes of memory each, and in all open files and threads."""

    bytes_per_open: float
    bytes_per_score: float
    files_opens: int
    files_scores: int
    threads: int


def measure(bundle: Path | str, opens: int, scores: int) -> Left:
    """Measure in a process of its own, where nothing else takes memory."""
    command = [
        sys.executable,
        __file__,
        "--bundle",
        str(bundle),
        "--opens",
        str(opens),
        "--scores",
        str(scores),
    ]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    return Left(**json.loads(done.stdout))


def run(bundle: str, opens: int, scores: int) -> Left:
    """Half of each to warm up: the allocator, caches and what a runtime makes once."""
    from decoders import wait_until_no_thread_decodes

    from realm_engine import DreamConfig, Engine

    process = psutil.Process()
    pictures = [np.random.default_rng(seed).integers(0, 255, (48, 56, 3), np.uint8) for seed in range(8)]

    def state() -> tuple[int, int, int]:
        gc.collect()
        wait_until_no_thread_decodes()
        return process.memory_info().rss, process.num_fds() if psutil.POSIX else 0, threading.active_count()

    def open_one() -> None:
        with Engine.open(bundle, device="cpu", threads=2) as engine:
            engine.score(pictures[0], "a seam")
            engine.map(pictures[0], "a seam", DreamConfig((32,), 16))

    for _ in range(opens // 2):
        open_one()
    before = state()
    for _ in range(opens - opens // 2):
        open_one()
    after = state()
    with Engine.open(bundle, device="cpu", threads=2) as engine:
        # A stream, and calls of their own; each text another, so that their cache is filled and stays bounded.
        def score(first: int, last: int) -> None:
            for number in range(first, last, 8):
                texts = [f"a seam {number + index}" for index in range(8)]
                rows = engine.score(pictures, texts, batch_size=1 + number % 5)
                assert all(row.error is None for row in rows)

        score(0, scores // 2)
        middle = state()
        score(scores // 2, scores)
        last = state()
    return Left(
        (after[0] - before[0]) / (opens - opens // 2),
        (last[0] - middle[0]) / (scores - scores // 2),
        after[1] - before[1],
        last[1] - middle[1],
        last[2] - before[2],
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--bundle", help="by default a small one that is built for it; realm-tiny is the real one"
    )
    parser.add_argument("--opens", type=int, default=1000)
    parser.add_argument("--scores", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = asked.bundle
        if bundle is None:
            from bundles import build_bundle

            bundle = str(build_bundle(Path(folder) / "test-bundle"))
        left = run(bundle, asked.opens, asked.scores)
    if asked.json:
        print(json.dumps(asdict(left)))
        return
    print(
        f"{asked.opens} times opened: {left.bytes_per_open:.0f} bytes and {left.files_opens} files left by each half"
    )
    print(f"{asked.scores} scores: {left.bytes_per_score:.1f} bytes each, {left.files_scores} files")
    print(f"threads left: {left.threads}")


if __name__ == "__main__":
    main()
