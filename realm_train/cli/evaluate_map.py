"""`realm-train evaluate map`."""

import json
from pathlib import Path

import click
from click.core import ParameterSource

from realm_engine.verbs.paths import GivenPath
from realm_train.errors import ConfigError


@click.command("map")
@click.argument("run", type=GivenPath(path_type=Path))
@click.option("--data", "root", type=GivenPath(path_type=Path, file_okay=False), required=True)
@click.option(
    "--photographs", default=None, metavar="PATTERN", help="As in training.  [default: the run's, else r*]"
)
@click.option(
    "--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True,
    help="Which of the photographs that training held out.",
)  # fmt: skip
@click.option(
    "--unseen", is_flag=True, help="RUN was trained on other data: deal out DATA's photographs as by default."
)
@click.option(
    "--kinds", type=click.Choice(["training", "held-out", "all"]), default="all", show_default=True,
    help="Kinds of flaw: those trained on, those never trained on, or both.",
)  # fmt: skip
@click.option(
    "--exam", type=GivenPath(path_type=Path, dir_okay=False), metavar="FILE",
    help="Real flaws instead of planted ones: JSON with boxes drawn on pictures of the data.",
)  # fmt: skip
@click.option("--preset", help="Preset of a bundle.  [default: the recommended one]")
@click.option(
    "--metric",
    metavar="NAME",
    help="The map of a bundle's measure: where its number comes from, not DREAM's.",
)
@click.option(
    "--window", "windows_px", type=int, multiple=True, metavar="PX", help="A run's window; repeatable."
)
@click.option(
    "--stride", "stride_px", type=int, default=8, show_default=True, metavar="PX", help="A run's stride."
)
@click.option("--per-photograph", type=click.IntRange(1), default=4, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=2025, show_default=True)
@click.option(
    "-o", "--output", type=GivenPath(path_type=Path, dir_okay=False), help="JSON file for the result."
)
@click.pass_context
def evaluate_map(
    context: click.Context,
    run: Path,
    root: Path,
    photographs: str | None,
    split: str,
    unseen: bool,
    kinds: str,
    exam: Path | None,
    preset: str | None,
    metric: str | None,
    windows_px: tuple[int, ...],
    stride_px: int,
    per_photograph: int,
    seed: int,
    output: Path | None,
) -> None:
    """How well maps find flaws that were put into photographs never trained on, or the real ones of an exam.

    RUN is a run folder of `realm-train clip`, or a bundle. Reports pixel ROC-AUC, AUC-Judd, NSS, CC and the best IoU,
    beside a centre prior and a local-texture prior, with the right description and with a wrong one; --metric has none.
    """
    from realm_train.clip.config import ClipConfig
    from realm_train.clip.exam import judge_drawn, load_exam
    from realm_train.clip.judge import ABOUT_TEXTS, Agreement, attribution_maps, bundle_maps, judge_maps
    from realm_train.clip.model import CONFIG_NAME, open_clip_run
    from realm_train.clip.one_pass import maps_of
    from realm_train.clip.train import load_photographs
    from realm_train.defects import HELD_OUT_KINDS, KINDS, TRAINING_KINDS
    from realm_train.defects.planted import planted_defects
    from realm_train.runs import RunFolder
    from realm_train.said import phase

    if output is not None and not output.parent.is_dir():
        raise ConfigError(f"{output.parent}: no such folder; make it, or give another --output")
    for name in ("photographs", "split", "unseen", "kinds", "per_photograph") if exam is not None else ():
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise ConfigError(
                f"--{name.replace('_', '-')} is about planted flaws, --exam about real ones; leave one out"
            )
    config = ClipConfig()
    if (run / CONFIG_NAME).is_file():
        if preset is not None:
            raise ConfigError("--preset belongs to a bundle; a run takes --window and --stride")
        if metric is not None:
            raise ConfigError("--metric belongs to a bundle; a run of realm-train clip has no measures")
        folder = RunFolder(run)
        config = config if unseen else folder.read_config(ClipConfig)
        photographs = photographs or str(folder.read_json("config.json").get("photographs", "r*"))
        mapper = maps_of(open_clip_run(run), windows_px or (64,), stride_px)
    else:
        if windows_px:
            raise ConfigError("--window belongs to a run; a bundle takes --preset")
        if unseen:
            raise ConfigError("--unseen belongs to a run; of a bundle it is always assumed")
        if metric is not None and preset is not None:
            raise ConfigError(
                "--preset is about windows, which the map of a measure has none of; leave it out"
            )
        mapper = bundle_maps(run, preset) if metric is None else attribution_maps(run, metric)
    quality: Agreement
    if exam is not None:
        with phase("mapping"):
            quality = judge_drawn(load_exam(exam, root, seed), mapper, seed)
    else:
        chosen = {"training": TRAINING_KINDS, "held-out": HELD_OUT_KINDS, "all": tuple(KINDS)}[kinds]
        images = load_photographs(root, config, photographs or "r*", only=split)
        with phase("mapping"):
            quality = judge_maps(
                planted_defects(getattr(images, split), seed, per_photograph, chosen), mapper
            )
    values = {
        name: value for name, value in quality.to_json().items() if not metric or name not in ABOUT_TEXTS
    }
    if output is not None:
        output.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    for name, value in values.items():
        if not isinstance(value, dict):
            click.echo(f"{name:18} {value:.4g}")
    by_kind = values.get("by_kind", {})
    assert isinstance(by_kind, dict)
    for kind, value in by_kind.items():
        click.echo(f"  {kind:24} AUC {value:.3f}{'  (never trained on)' if kind in HELD_OUT_KINDS else ''}")
