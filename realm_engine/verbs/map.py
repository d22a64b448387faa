"""The work behind `realm-engine map`: pictures and values of where images do not look real."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from realm_engine.bundle.bundle import MANIFEST
from realm_engine.engine import Engine, EngineOptions
from realm_engine.errors import UsageError
from realm_engine.maps.files import MapFolder, parse_formats
from realm_engine.maps.realness_map import Quantity, choose_config
from realm_engine.tables.made import MapsMade
from realm_engine.verbs.console import Console, open_engine, say_terms
from realm_engine.verbs.inputs import Inputs
from realm_engine.verbs.map_kinds import AttributionMaps, MapKind, RealnessMaps
from realm_engine.verbs.map_run import MapRun
from realm_engine.verbs.map_scores import SHOWN_IN, MapScores


@dataclass(frozen=True)
class MapOptions:
    """What `realm-engine map` is asked for; see its help.

    `metric` None: maps of realness, which alone take texts, windows and a `quantity`. `score`: the score of a picture
    stands beside its map.
    """

    inputs: Inputs
    preset: str | None
    windows_px: tuple[int, ...]
    stride_px: int | None
    aggregate: str | None
    quantity: str | None
    output: Path
    formats: str
    limits: tuple[float, float] | None
    regions: int | None
    resume: str | None = None
    metric: str | None = None
    score: bool = True

    def __post_init__(self) -> None:
        if self.metric is not None:
            self._check_metric(self.metric)

    def _check_metric(self, metric: str) -> None:
        given = {
            "--text": self.inputs.texts.given,
            "--descriptions": self.inputs.texts.descriptions,
            "--missing-text error": self.inputs.texts.required,
            "--preset": self.preset,
            "--window": self.windows_px,
            "--stride": self.stride_px,
            "--aggregate": self.aggregate,
            "--quantity": self.quantity,
        }
        refused = [option for option, value in given.items() if value]
        if refused:
            raise UsageError(
                f"--metric {metric} takes no {' and no '.join(refused)}: its map has no text and no windows; leave "
                f"{'it' if len(refused) == 1 else 'them'} out"
            )


def map_images(options: MapOptions, how: EngineOptions, stdout: IO[str], console: Console) -> int:
    """Map images and write their files; returns how many failed. The regions of a single one go to `stdout`.

    Raises RealmError where nothing can be done.
    """
    inputs = options.inputs
    if options.metric is not None:  # no text is looked at, so none is looked for
        inputs = replace(inputs, texts=replace(inputs.texts, none=True))
    seen = inputs.look()
    entries = seen.entries
    folder = MapFolder(options.output, parse_formats(options.formats), options.limits, options.regions)
    seen.say(console)
    if options.metric is not None and how.encoder != "auto":
        raise UsageError(
            f"--encoder is about windows, which the map of {options.metric} has none of; leave it out"
        )
    with open_engine(how, lambda engine: _part(engine, options.metric), console) as engine:
        kind = _kind(engine, options)
        say_terms(kind.terms, console)
        kind.check(entries)
        scores = _scores(engine, options, console)
        made = MapsMade(
            options.output, run_identity(engine, kind, options, scores), options.resume == "continue"
        )
        run = MapRun(engine, kind, scores, folder, entries, made)
        run.make(stdout, console)
    return run.failed


def _scores(engine: Engine, options: MapOptions, console: Console) -> MapScores | None:
    """What stands beside the maps: the measure that a map attributes says its own numbers."""
    shown = SHOWN_IN & set(parse_formats(options.formats))
    if not (options.score and shown and options.metric is None):
        return None
    scores = MapScores.of(engine, console)
    if scores is not None:
        say_terms(scores.terms, console)
    return scores


def _part(engine: Engine, metric: str | None) -> str:
    """The part whose device and precision are said. Raises UsageError for a measure that has no map."""
    return engine.map_part if metric is None else engine.with_map(metric).part.name


def _kind(engine: Engine, options: MapOptions) -> MapKind:
    """The kind of maps that are asked for."""
    if options.metric is not None:
        return AttributionMaps(engine, options.metric)
    config = choose_config(
        engine.presets(),
        options.preset,
        options.windows_px,
        options.stride_px,
        options.aggregate,
        options.quantity or Quantity.REALNESS,
    )
    return RealnessMaps(engine, config, bool(options.inputs.texts.given))


def run_identity(
    engine: Engine, kind: MapKind, options: MapOptions, scores: MapScores | None
) -> dict[str, str]:
    """What must be equal for the maps of two runs to lie in one folder."""
    used = engine.describe(kind.part)
    manifest = Path(used["bundle_path"]) / MANIFEST
    return {
        "bundle": str(used["bundle"]),
        "manifest": hashlib.sha256(manifest.read_bytes()).hexdigest()[:16],
        "precision": str(used["precision"]),
        "formats": ",".join(parse_formats(options.formats)),
        "range": "own" if options.limits is None else "{:g} {:g}".format(*options.limits),
        "regions": "the bundle's" if options.regions is None else str(options.regions),
        "scores": "none" if scores is None else scores.identity,
        **kind.identity,
    }
