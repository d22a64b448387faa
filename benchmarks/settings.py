"""What a run is asked to do."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples"
CACHE = ROOT / "out" / "benchmarks" / "cache"


class UnavailableError(Exception):
    """A contender that this machine, bundle or installation cannot run; the message says why."""


@dataclass(frozen=True)
class Settings:
    """One run of the benchmarks.

    Attributes:
        suites: Names of the suites, in order.
        models: Keys of `models.MODELS`.
        windows: Window counts, keys of `cases.GRIDS`.
        devices: Engine devices to try: cpu, openvino, cuda.
        quick: Fewer models, rounds and sizes.
        output: Folder of the results.
        threads: CPU threads of every runtime.
        seed: Of samples and texts. Weights always have the export's seed.
        repeats: Least rounds of every case.
        images: Folder of photographs with `image_descriptions.csv`, for the `fast` suite.
        cache: Folder of exported bundles.
    """

    suites: tuple[str, ...]
    models: tuple[str, ...]
    windows: tuple[int, ...]
    devices: tuple[str, ...]
    quick: bool
    output: Path
    threads: int
    seed: int
    repeats: int
    images: Path = SAMPLES
    cache: Path = CACHE

    @property
    def torch_device(self) -> str:
        """Where PyTorch's contenders run: the GPU where the engine has one, else the CPU."""
        return "cuda" if "cuda" in self.devices else "cpu"

    @property
    def half(self) -> str:
        """The machine's best half precision in eager PyTorch."""
        return "fp16" if self.torch_device == "cuda" else "bf16"

    @property
    def pass_s(self) -> float:
        """The longest pass that is measured whole; a longer one is sampled and scaled."""
        return 2.5 if self.quick else 6.0

    @property
    def most_rounds(self) -> int:
        """Rounds that are enough, for short passes."""
        return max(self.repeats, 10 if self.quick else 30)

    @property
    def budget_s(self) -> float:
        """Seconds of a case beyond its least rounds."""
        return 5.0 if self.quick else 20.0


def use_threads(threads: int) -> None:
    """Give PyTorch and the libraries below it this many threads."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    torch.set_num_threads(threads)
    logging.getLogger("torch").setLevel(logging.ERROR)  # remarks of torch.compile about the installation
