"""`python -m benchmarks`: measure the engine against PyTorch on this machine and write a report."""

from __future__ import annotations

import datetime
import importlib
import logging
import os
import shlex
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from benchmarks.results import Book

from benchmarks.settings import CACHE, ROOT, SAMPLES, Settings, use_threads
from realm_engine.errors import heeding_interrupts
from realm_engine.machine.packages import MissingPackageError, needs
from realm_engine.machine.processor import busy_load, system_load
from realm_engine.verbs.usage import in_one_line

SUITES = ("dream", "core", "fast", "startup", "sizes", "measures", "auto", "hosts")
BY_NAME = ("gpu", "serve")  # suites that run where they are asked for
MODELS = ("tiny", "vitb32", "vitb16", "vitl14", "resnet-bert")
QUICK_MODELS = ("tiny", "vitb32", "resnet-bert")
WINDOWS = (15, 48, 165, 2337, 26227)
DEVICES = ("cpu", "openvino", "cuda")
OUTPUT = ROOT / "out" / "benchmarks"
EPILOG = """\b
Suites:
  dream    maps of 165, 2337 and 26227 windows against the published loop, eager
           PyTorch in batches (fp32, half) and torch.compile
  core     scores of 1 to 256 images against the same, and batch sizes
  fast     fewer windows: share of the windows against the error of the map
  startup  whole commands from a cold start, building of sessions, peak memory
  sizes    images of 256 to 4096 pixels a side
  measures several measures of a picture beside the first alone, their heads, and
           what each is worth
  auto     what auto takes by itself, beside the fastest that tune finds
  hosts    the C++ host against the Python engine: cold start, scores, maps
  gpu      asked for by name: what a GPU does with the engine beside its CPU and
           PyTorch, in six minutes
  serve    asked for by name: a server on loopback beside score of the same files
\b
Examples:
  python -m benchmarks --quick            all suites, less of each
  python -m benchmarks dream --models vitb32 --windows 165
  python -m benchmarks --threads 4 --output results
\b
Needs the whole installation: make test, or in the clone
pip install -c constraints.txt -e '.[all]'. Results: results.json (every
sample), results.md, *.png. Progress is on stderr. Bundles of the random models are
exported once into out/benchmarks/cache. Run it on an idle machine.
"""


def _names(known: tuple[str, ...]) -> Any:
    class Names(click.ParamType):  # type: ignore[type-arg]
        name = "list"

        def convert(
            self, value: object, param: click.Parameter | None, context: click.Context | None
        ) -> tuple[str, ...]:
            if isinstance(value, tuple):
                return value
            names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",") if part.strip()))
            unknown = [name for name in names if name not in known]
            if unknown or not names:
                self.fail(f"{unknown[0] if unknown else value!r} is unknown; choose from {', '.join(known)}")
            return names

    return Names()


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=EPILOG
)
@click.argument("suites", nargs=-1, type=click.Choice([*SUITES, *BY_NAME]), metavar="[SUITE]...")
@click.option("--quick", is_flag=True, help="Fewer models, rounds and sizes; made for under five minutes.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=OUTPUT,
    metavar="DIR",
    help="Folder of the results.  [default: out/benchmarks]",
)
@click.option(
    "--device",
    type=click.Choice([*DEVICES, "all"]),
    default="all",
    show_default=True,
    help="The engine's devices; PyTorch runs on the GPU where cuda is among them.",
)
@click.option(
    "--models", type=_names(MODELS), metavar="LIST", help=f"Of {', '.join(MODELS)}.  [default: all]"
)
@click.option(
    "--windows",
    type=_names(tuple(map(str, WINDOWS))),
    metavar="LIST",
    help="Window counts of dream, of 15, 48, 165, 2337, 26227.  [default: the last three, or what a model affords]",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    metavar="N",
    show_default=False,
    help="Least rounds of a case.  [default: 3, quick: 2]",
)
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads.  [default: all usable]"
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of samples, images and texts.")
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=SAMPLES,
    metavar="DIR",
    help="Images with image_descriptions.csv, for fast.  [default: samples]",
)
def command(
    suites: tuple[str, ...],
    quick: bool,
    output: Path,
    device: str,
    models: tuple[str, ...] | None,
    windows: tuple[str, ...] | None,
    repeats: int | None,
    threads: int | None,
    seed: int,
    images: Path,
) -> None:
    """Measure the engine against PyTorch on this machine: the same weights, images and process, round by round."""
    _quiet()
    from realm_engine.machine.processor import default_threads
    from realm_engine.runtimes.devices import available

    states = available()
    works = tuple(name for name in DEVICES if not states[name].startswith("not available"))
    if device != "all" and device not in works:
        raise click.UsageError(f"--device {device}: {states[device]}")
    chosen = works if device == "all" else (device,)
    settings = Settings(
        suites=tuple(dict.fromkeys(suites)) or SUITES,
        models=models or (QUICK_MODELS if quick else MODELS),
        windows=tuple(map(int, windows or ())),
        devices=chosen,
        quick=quick,
        output=output,
        threads=threads or default_threads(),
        seed=seed,
        repeats=repeats or (2 if quick else 3),
        images=images,
        cache=CACHE,
    )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--output {output}: {error.strerror}; give another folder") from error
    failures = run(settings)
    for failure in failures:
        _say(f"not available: {failure}")
    _say(f"results in {output}: results.md, results.json")
    if failures:
        sys.exit(1)


def run(settings: Settings) -> list[str]:
    """Run the suites; after each of them the results so far are on disk. Returns what failed."""
    from benchmarks import machine
    from benchmarks.measure import one_line
    from benchmarks.results import Book, clean

    use_threads(settings.threads)
    described = machine.describe()
    load = system_load()
    described["load_before"] = None if load is None else round(load, 2)
    if busy_load() is not None:
        _say(f"warning: the machine is busy (load {described['load_before']}); the ratios will spread")
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    asked = clean(shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]))
    book = Book(
        described,
        {
            "command": asked,
            "date": date,
            "models": settings.models,
            "windows": settings.windows,
            "devices": settings.devices,
            "quick": settings.quick,
            "threads": settings.threads,
            "seed": settings.seed,
            "repeats": settings.repeats,
            "slug": machine.slug(described),
        },
    )
    _peaks(settings, book)
    for name in settings.suites:
        before = time.perf_counter()
        _say(f"== {name}")
        try:
            importlib.import_module(f"benchmarks.suites.{name}").run(settings, book, _say)
        except Exception as error:  # one suite never takes the others' results with it
            logging.getLogger(__name__).debug("suite %s", name, exc_info=True)
            book.fail(name, one_line(error))
        finally:
            book.suite_seconds[name] = time.perf_counter() - before
            _write(settings, book)
    return book.failures


def _peaks(settings: Settings, book: Book) -> None:
    from benchmarks.measure import one_line
    from benchmarks.peak import measure_peaks

    try:
        book.machine["peaks"] = measure_peaks(
            settings.torch_device, settings.half, 0.2 if settings.quick else 0.8
        )
    except Exception as error:
        book.fail("matrix peak", one_line(error))


def _write(settings: Settings, book: Book) -> None:
    from benchmarks.plots import draw
    from benchmarks.report import render

    book.save(settings.output / "results.json")
    draw(book, settings.output)
    (settings.output / "results.md").write_text(render(book), encoding="utf-8")


def _quiet() -> None:
    """Libraries' remarks stay off the terminal."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore")
    logging.basicConfig(level=logging.ERROR)


def _say(line: str) -> None:
    click.echo(line, err=True)


def main() -> None:
    """Run the command; an error of the user's is one line on stderr and exit status 2."""
    try:
        with in_one_line(), heeding_interrupts(), needs("python -m benchmarks", "all"):
            command.main(prog_name="python -m benchmarks", standalone_mode=False)
    except MissingPackageError as error:
        _say(f"error: {error}")
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        sys.exit(130)


if __name__ == "__main__":
    main()
