"""What further measures of a picture, and maps of them, cost beside the first one, what their heads cost alone, and
what each is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks import names
from benchmarks.cases import Descriptions, image_files
from benchmarks.measure import Contender, Spread, paired_ratios, percentile, run_rounds
from benchmarks.models import MODELS, export
from benchmarks.results import Book, Table
from benchmarks.settings import Settings, UnavailableError
from benchmarks.suites.common import Say, attempt
from realm_engine import Engine
from realm_engine.bundle.manifest import GraphSpec

IMAGES, QUICK_IMAGES = 16, 4
HEAD_CALLS = 200
# What finds the numbers in "metrics" of a measure, by its kind: they are not measured again here.
COMMANDS = {
    "core": "realm-train core --data RAISE-TD --cross-validate 5 --output RUN",
    "niqe": "python recipes/nss_worth.py BUNDLE --data RAISE-TD --output FILE",
    "brisque": "python recipes/nss_worth.py BUNDLE --data RAISE-TD --output FILE",
    "head": "realm-train probe --data RAISE-TD --bundle BUNDLE --output RUN",
}
UNKNOWN_COMMAND = "see the manifest"


def run(settings: Settings, book: Book, say: Say) -> None:
    """Three tables, of the embedded default."""
    if "tiny" not in settings.models:
        say("measures: measured on the embedded default only, which is not among --models")
        return
    bundle = export(MODELS["tiny"], settings.cache, say, settings.torch_device == "cuda").bundle
    with Engine.open(bundle, "cpu", "fp32", settings.threads, tuned=False) as engine:
        attempt(book, "measures, cost", partial(_cost, engine, settings, book, say))
        attempt(book, "measures, heads", partial(_heads, engine, settings, book, say))
        attempt(book, "measures, worth", partial(_worth, engine, book))


def combinations(listed: Sequence[str]) -> list[tuple[str, ...]]:
    """The first measure alone, with each of the others, and all together (where that is not one of these)."""
    first, *others = listed
    found = [(first,), *((first, other) for other in others)]
    return found if len(others) < 2 else [*found, (first, *others)]


def _cost(engine: Engine, settings: Settings, book: Book, say: Say) -> None:
    columns = ["command", "rounds", "seconds", "ratio", "ratio_low", "ratio_high"]
    table = Table("measures", names.MEASURES, columns)
    book.tables.append(table)
    count = QUICK_IMAGES if settings.quick else IMAGES
    paths = image_files(settings.cache, count, settings.seed)
    texts = Descriptions(settings.seed)
    chosen = combinations([measure.name for measure in engine.measures])
    say(f"measures: {'; '.join(map(','.join, chosen))}")
    contenders = [
        Contender(f"score --metric {','.join(each)}", partial(_score, engine, paths, texts, each), 1 / count)
        for each in chosen
    ]
    contenders += [
        Contender(f"map --metric {measure.name}", partial(_map, engine, paths, measure.name), 1 / count)
        for measure in engine.measures
        if measure.attribution is not None
    ]
    samples = run_rounds(contenders, settings.repeats, settings.most_rounds, settings.budget_s)
    alone = samples[contenders[0].key]
    for key, found in samples.items():
        if not found.seconds:
            raise UnavailableError(f"{key}: {found.error}")
        ratio = Spread.of(paired_ratios(found.seconds, alone.seconds))
        table.rows.append(
            [key, len(found.seconds), percentile(found.seconds, 50), ratio.median, ratio.low, ratio.high]
        )


def _score(engine: Engine, paths: Sequence[Path], texts: Descriptions, metrics: Sequence[str]) -> None:
    """One pass; texts are new to the engine, so that none is remembered."""
    for row in engine.score(list(paths), texts(len(paths)), metrics=metrics):
        if row.error is not None:
            raise UnavailableError(row.error)


def _map(engine: Engine, paths: Sequence[Path], metric: str) -> None:
    """One pass, files left unwritten."""
    for mapped in engine.iter_maps(list(paths), metric=metric):
        if mapped.error is not None:
            raise UnavailableError(mapped.error)


def _heads(engine: Engine, settings: Settings, book: Book, say: Say) -> None:
    table = Table("measures", names.HEADS, ["measure", "graph", "rounds", "seconds"])
    book.tables.append(table)
    calls = {f"{measure}\n{graph}": call for measure, graph, call in heads(engine, settings.threads)}
    say(f"measures: {len(calls)} graphs that see features alone")
    contenders = [Contender(key, partial(_repeated, call), 1 / HEAD_CALLS) for key, call in calls.items()]
    samples = run_rounds(contenders, settings.repeats, settings.most_rounds, settings.budget_s)
    for key, found in samples.items():
        measure, graph = key.split("\n")
        table.rows.append([measure, graph, len(found.seconds), percentile(found.seconds, 50)])


def heads(engine: Engine, threads: int) -> Iterator[tuple[str, str, Callable[[], object]]]:
    """Measure, graph and one call on a single picture's features, of all graphs of measures that see no pixels."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    for measure in engine.measures:
        for graph in measure.outputs:
            spec = engine.bundle.graphs[graph]
            if "pixels" in spec.input_names:
                continue
            file = engine.bundle.file(spec.variants["fp32"])
            session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            yield measure.name, graph, partial(session.run, None, _one(spec))


def _one(spec: GraphSpec) -> dict[str, np.ndarray]:
    """Inputs of one picture: every dimension that is free is 1."""
    shapes = {
        tensor.name: [size if isinstance(size, int) else 1 for size in tensor.shape] for tensor in spec.inputs
    }
    return {name: np.full(shape, 0.1, dtype=np.float32) for name, shape in shapes.items()}


def _repeated(call: Callable[[], object]) -> None:
    for _ in range(HEAD_CALLS):
        call()


def _worth(engine: Engine, book: Book) -> None:
    table = Table("measures", names.WORTH, ["measure", "what", "value", "command"])
    book.tables.append(table)
    for measure in engine.measures:
        command = COMMANDS.get(measure.kind, UNKNOWN_COMMAND)
        table.rows += [[measure.name, what, value, command] for what, value in numbers(measure.worth)]


def numbers(worth: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """What a manifest says of a measure's worth: what it is, "auc clean", and its value, as text.

    Of an object of objects, as views of pictures, the first: the manifest has the rest.
    """
    for key, value in worth.items():
        name = f"{within} {key}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            objects = [each for each in value.items() if isinstance(each[1], Mapping)]
            yield from numbers(dict(objects[:1]) if objects else value, name)
        elif isinstance(value, list):
            yield name, " to ".join(map(str, value)) if len(value) == 2 else ", ".join(map(str, value))
        else:
            yield name, str(value)
