"""What HTTP costs: pictures sent to a server on loopback, beside `Engine.score` of the same files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks import names
from benchmarks.cases import Descriptions, image_files
from benchmarks.measure import Contender, Spread, paired_ratios, percentile, run_rounds
from benchmarks.models import MODELS, export
from benchmarks.results import Book, Table
from benchmarks.serving import processor_s, server
from benchmarks.settings import Settings, UnavailableError
from benchmarks.suites.common import Say
from realm_engine import Engine

IMAGES, QUICK_IMAGES = 128, 32
# Pictures of a request, connections at once.
LOADS = ((1, 1), (1, 8), (8, 1), (8, 4), (32, 4))
COLUMNS = (
    "load",
    "rounds",
    "per_second",
    "share",
    "share_low",
    "share_high",
    "p50_s",
    "p99_s",
    "processor_s",
)


def run(settings: Settings, book: Book, say: Say) -> None:
    """Two tables, of the embedded default: throughput and latency by load, and the server's memory."""
    if "tiny" not in settings.models:
        say("serve: measured on the embedded default only, which is not among --models")
        return
    bundle = export(MODELS["tiny"], settings.cache, say, settings.torch_device == "cuda").bundle
    count = QUICK_IMAGES if settings.quick else IMAGES
    paths, texts = image_files(settings.cache, count, settings.seed), Descriptions(settings.seed)
    table = Table("serve", names.SERVE, list(COLUMNS))
    memory = Table("serve", names.SERVE_MEMORY, ["when", "megabytes"])
    book.tables += [table, memory]
    with (
        Engine.open(bundle, "cpu", "fp32", settings.threads, tuned=False) as engine,
        server(Path(bundle), settings.threads) as asked,
    ):
        latencies: dict[str, list[float]] = {}
        spent: dict[str, list[float]] = {}

        def score() -> None:
            begun = processor_s()
            for row in engine.score(list(paths), texts(count)):
                if row.error is not None:
                    raise UnavailableError(row.error)
            spent.setdefault("score", []).append(processor_s() - begun)

        def serve(key: str, together: int, clients: int) -> None:
            asked.seconds.clear()
            begun = asked.processor_s()
            asked.score(paths, texts(count), together, clients)
            spent.setdefault(key, []).append(asked.processor_s() - begun)
            latencies.setdefault(key, []).extend(asked.seconds)

        say(f"serve: {count} pictures, {len(LOADS)} loads")
        contenders = [Contender("score", score)]
        for together, clients in LOADS:
            key = f"{together} a request, {clients} at once"
            contenders.append(Contender(key, partial(serve, key, together, clients)))
        memory.rows.append(["before the first request", asked.memory_mb()])
        samples = run_rounds(contenders, settings.repeats, settings.most_rounds, 3 * settings.budget_s)
        memory.rows.append(["after the last one", asked.memory_mb()])
    for key, found in samples.items():
        if not found.seconds:
            raise UnavailableError(f"{key}: {found.error}")
        share = Spread.of(paired_ratios(samples["score"].seconds, found.seconds))
        times = latencies.get(key, [])
        table.rows.append(
            [
                key,
                len(found.seconds),
                count / percentile(found.seconds, 50),
                share.median,
                share.low,
                share.high,
                percentile(times, 50),
                percentile(times, 99),
                percentile(spent[key], 50) / count,
            ]
        )
