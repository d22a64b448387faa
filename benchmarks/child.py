"""One contender alone in a process: what it costs from nothing to the first answer, and its peak memory.

`python -m benchmarks.child SPEC` prints one JSON line. SPEC is a `Job` as JSON.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import dataclasses  # noqa: E402  the clock starts before anything is imported
import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

# Runs the command line as its users do, then says on stderr what memory the process had at most.
_COMMAND = """
import sys
from benchmarks.child import peak_memory_mb
from realm_engine.cli.main import main
sys.argv = sys.argv[1:]
try:
    main()
finally:
    print("peak_memory_mb", peak_memory_mb(), file=sys.stderr)
"""


class ChildError(Exception):
    """A process failed; the message is its last line."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What a child process does.

    Attributes:
        part: Name of the work, key of `work.WORKS`.
        model: Key of the model.
        family: See `contenders.Spec`.
        device: See `contenders.Spec`.
        precision: See `contenders.Spec`.
        bundle: Its bundle.
        units: Windows or images of one pass.
        threads: CPU threads.
        cache: Folder of the benchmarks' cache.
        seed: Of images and texts.
    """

    part: str
    model: str
    family: str
    device: str
    precision: str
    bundle: str
    units: int
    threads: int
    cache: str
    seed: int


def run_job(job: Job, timeout_s: float = 600) -> dict[str, float]:
    """Run a job in a new process.

    Returns:
        process_s (from start to exit), ready_s (imports and opening), first_s, second_s (two equal passes),
        peak_memory_mb and, on a GPU, device_memory_mb.

    Raises:
        ChildError: it failed; the message is its last line.
    """
    return _run([sys.executable, "-m", "benchmarks.child", json.dumps(dataclasses.asdict(job))], timeout_s)


def run_command(arguments: list[str], timeout_s: float = 600) -> dict[str, float]:
    """Run `realm-engine ARGUMENTS` in a new process: process_s and peak_memory_mb."""
    return _run([sys.executable, "-c", _COMMAND, "realm-engine", *arguments], timeout_s)


def _run(command: list[str], timeout_s: float) -> dict[str, float]:
    before = time.perf_counter()
    # Not -P as elsewhere: `benchmarks` is not installed, so the clone it lies in is the working folder on purpose,
    # and never the one that the user stands in.
    root = Path(__file__).parent.parent
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, cwd=root, check=False
        )
    except subprocess.TimeoutExpired:
        raise ChildError(f"no answer within {timeout_s:g} s") from None
    process_s = time.perf_counter() - before
    lines = (done.stderr.strip() or "no message").splitlines()
    if done.returncode != 0:
        words = [line for line in lines if not line.startswith("peak_memory_mb")]
        raise ChildError(words[-1] if words else f"exit status {done.returncode}")
    if lines[-1].startswith("peak_memory_mb"):
        return {"process_s": process_s, "peak_memory_mb": float(lines[-1].split()[1])}
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return {"process_s": process_s, **found}


def peak_memory_mb() -> float:
    """Largest resident set of this process, MB (10^6 bytes).

    Read from /proc where there is one: `getrusage` also counts what the parent held when it started us.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    import resource

    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


def _pass(job: Job) -> Callable[[], object]:
    from benchmarks.cases import GRIDS, Descriptions, image_files, picture
    from benchmarks.engines import EngineCore, EngineDream, Spec
    from benchmarks.work import MAPS

    spec = Spec(job.family, job.device, job.precision)
    if job.family != "engine":
        return _torch_pass(job)
    if job.part == MAPS.name:
        mapper = EngineDream(job.bundle, spec, job.threads, None)
        image, config = picture(), GRIDS[job.units]
        return lambda: mapper.fresh(image, config)
    scorer, texts = EngineCore(job.bundle, spec, job.threads, None), Descriptions(job.seed)
    paths = image_files(Path(job.cache), job.units, job.seed)
    return lambda: scorer.score(paths, texts(job.units))


def _torch_pass(job: Job) -> Callable[[], object]:
    """The same in PyTorch, with batches of 32."""
    from benchmarks.cases import GRIDS, TEXT, Descriptions, image_files, picture
    from benchmarks.eager import TorchCore, TorchDream
    from benchmarks.models import MODELS, core_model, dream_model
    from benchmarks.settings import use_threads
    from benchmarks.work import MAPS

    use_threads(job.threads)
    info, batched = MODELS[job.model], job.family != "published"
    if job.part == MAPS.name:
        model = dream_model(info, job.bundle)
        mapper = TorchDream(model, TEXT, job.device, job.precision, batched)
        image, config = picture(), GRIDS[job.units]
        return lambda: mapper.map(image, config)
    scorer = TorchCore(core_model(info, Path(job.cache)), job.device, job.precision, batched)
    paths, texts = image_files(Path(job.cache), job.units, job.seed), Descriptions(job.seed)
    return lambda: scorer.score(paths, texts(job.units))


def _device_memory_mb() -> dict[str, float]:
    """What is taken of the GPU at the end; the pools of both runtimes keep what they needed at most."""
    import torch

    free, total = torch.cuda.mem_get_info()
    return {"device_memory_mb": (total - free) / 1e6}


def main() -> None:
    """Do the job in argv and print what it cost."""
    try:
        print(json.dumps(_measure(Job(**json.loads(sys.argv[1])))))
    except Exception as error:
        from benchmarks.measure import one_line

        sys.exit(one_line(error))


def _measure(job: Job) -> dict[str, float]:
    work = _pass(job)
    marks: list[Any] = [time.perf_counter()]
    for _ in range(2):
        work()
        marks.append(time.perf_counter())
    found = {
        "ready_s": marks[0] - STARTED,
        "first_s": marks[1] - marks[0],
        "second_s": marks[2] - marks[1],
        "peak_memory_mb": peak_memory_mb(),
    }
    if job.device == "cuda":
        found |= _device_memory_mb()
    return found


if __name__ == "__main__":
    main()
