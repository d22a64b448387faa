"""The C++ host against the Python engine: cold starts of whole processes, throughput on one ONNX Runtime library."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import names
from benchmarks.cases import GRIDS, TEXT, Descriptions, image_files, picture
from benchmarks.measure import Contender, Spread, paired_ratios, percentile, run_rounds
from benchmarks.results import Book, Table
from benchmarks.settings import ROOT, Settings, UnavailableError
from benchmarks.suites.common import Say, attempt
from realm_engine.engine import Engine
from realm_engine.maps.realness_map import DreamConfig

SOURCE = ROOT / "hosts" / "cpp"
BUILD = ROOT / "out" / "hosts" / "cpp" / "release"
BUNDLE = ROOT / "realm_engine" / "bundles" / "realm-tiny"
IMAGES = 32
_COMMAND = "from realm_engine.cli.main import main; main()"
Call = Callable[[], object]


def run(settings: Settings, book: Book, say: Say) -> None:
    """Cold starts, then scores and maps."""
    table = Table(
        "hosts", names.HOSTS, ["work", "rounds", "python_s", "cpp_s", "ratio", "ratio_low", "ratio_high"]
    )
    samples = Table("hosts", names.HOST_SAMPLES, ["work", "host", "seconds"])
    say("building hosts/cpp")
    folder = build()
    book.tables += [table, samples]
    attempt(book, "hosts, commands", partial(_commands, folder, settings, table, samples, say))
    attempt(book, "hosts, passes", partial(_passes, folder, settings, table, samples, say))


def build() -> Path:
    """The folder of the release programs, built with the ONNX Runtime of this environment.

    Raises:
        UnavailableError: there is no compiler, CMake, Ninja, or no such library.
    """
    import onnxruntime

    missing = [name for name in ("cmake", "ninja", "g++") if shutil.which(name) is None]
    library = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"), None)
    if missing or library is None:
        raise UnavailableError(
            f"needs {', '.join(missing) or 'libonnxruntime.so of the onnxruntime package'}"
        )
    configure = ["cmake", "--preset", "release", "-B", str(BUILD), f"-DONNXRUNTIME_LIBRARY={library}"]
    for command in (configure, ["cmake", "--build", str(BUILD), "-j2"]):
        done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UnavailableError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-300:]}")
    return BUILD


def _commands(folder: Path, settings: Settings, table: Table, samples: Table, say: Say) -> None:
    files = image_files(settings.cache, 2 * IMAGES, settings.seed)
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "picture.png"
        Image.fromarray(np.asarray(picture())).save(file)
        map_ = [str(file), "--text", TEXT, "--output", str(Path(temporary) / "maps")]
        # The Python command takes its text from the file of descriptions beside the picture.
        (Path(temporary) / "image_descriptions.csv").write_text(
            f'filename,description\npicture.png,"{TEXT}"\n', encoding="utf-8"
        )
        for work, verb, arguments in (
            ("one score, whole command", "score", [str(file)]),
            ("one map of 2337 windows, whole command", "map", map_),
            (f"{len(files)} scores, whole command", "score", [str(path) for path in files]),
        ):
            say(work)
            threads = ["--threads", str(settings.threads)]
            python = [sys.executable, "-c", _COMMAND, verb, *arguments, "--device", "cpu", *threads]
            cpp = [str(folder / "realm_host"), verb, *arguments, "--bundle", str(BUNDLE), *threads]
            calls = {"python": partial(_process, python), "cpp": partial(_process, cpp)}
            _compare(work, calls, settings, table, samples)


def _passes(folder: Path, settings: Settings, table: Table, samples: Table, say: Say) -> None:
    files = image_files(settings.cache, IMAGES, settings.seed)
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "picture.png"
        Image.fromarray(np.asarray(picture())).save(file)
        paths = [file, *files[1:]]
        images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
        texts = Descriptions(settings.seed)
        engine = Engine.open(BUNDLE, device="cpu", precision="fp32", threads=settings.threads, tuned=False)
        with engine, _served(folder, paths, settings.threads) as ask:
            work = f"{IMAGES} scores of 512 x 384"
            say(work)
            calls: dict[str, Call] = {
                "python": lambda: engine.score(images, texts(IMAGES)),
                "cpp": lambda: ask({"texts": texts(IMAGES)}),
            }
            _compare(work, calls, settings, table, samples)
            # Right after the other process ran, a short pass finds its threads and caches elsewhere: several in a row.
            for windows, passes in ((165, 8), (2337, 1)):
                config = GRIDS[windows]
                request = {
                    "windows_px": list(config.windows_px),
                    "stride_px": config.stride_px,
                    "aggregate": config.aggregate,
                }
                work = (
                    f"{passes} maps of {windows} windows" if passes > 1 else f"one map of {windows} windows"
                )
                say(work)

                def python(config: DreamConfig = config, passes: int = passes) -> None:
                    for text in texts(passes):
                        engine.map(images[0], text, config)

                def cpp(request: Mapping[str, object] = request, passes: int = passes) -> None:
                    for text in texts(passes):
                        ask({"text": text, **request})

                calls = {"python": python, "cpp": cpp}
                _compare(work, calls, settings, table, samples)


def _compare(work: str, calls: Mapping[str, Call], settings: Settings, table: Table, samples: Table) -> None:
    contenders = [Contender(host, call) for host, call in calls.items()]
    least = max(5, settings.repeats)
    found = run_rounds(contenders, least, max(least, settings.most_rounds), settings.budget_s)
    for host, sample in found.items():
        if sample.error:
            raise UnavailableError(f"{work}, {host}: {sample.error}")
        samples.rows.append([work, host, sample.seconds])
    python, cpp = (found[host].seconds for host in ("python", "cpp"))
    ratio = Spread.of(paired_ratios(python, cpp))
    medians = [percentile(seconds, 50) for seconds in (python, cpp)]
    table.rows.append([work, ratio.count, *medians, ratio.median, ratio.low, ratio.high])


def _process(command: list[str]) -> None:
    # The clone is the working folder on purpose; see `benchmarks.child`.
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise UnavailableError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no answer")


@contextmanager
def _served(folder: Path, files: list[Path], threads: int) -> Iterator[Callable[[object], str]]:
    """A C++ engine in another process that holds these images; yields a function that has it do one pass."""
    command = [str(folder / "host_bench"), str(BUNDLE), str(threads), *map(str, files)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def ask(request: object) -> str:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            answer = stdout.readline()
            if not answer:
                raise UnavailableError("the C++ host ended")
            return answer

        yield ask
        stdin.close()
