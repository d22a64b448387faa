"""A run of a linear probe: features of views, what it is worth, the probe itself; and its run folder.

config.json             a ProbeConfig
features/               what the tower saw, by which a killed run goes on
probe.json              the tower that it was fitted on, its band, the pictures
metrics.json            nested cross-validation; not with --no-validation
checkpoint.safetensors  mean, std, weight float64 [F]; bias, temperature float64 [1]; a backbone's under backbone.*
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from realm_engine.arrays import Array, Float32
from realm_train.errors import RunError
from realm_train.features import Progress, Tower, Views, features_of_views
from realm_train.probe.band import Band
from realm_train.probe.config import ProbeConfig
from realm_train.probe.data import Labelled
from realm_train.probe.linear import LinearProbe
from realm_train.probe.nested import Fitted, Say, fit, nested
from realm_train.probe.views import FIXED, training_views
from realm_train.probe.worth import worth
from realm_train.runs import RunFolder, replacing

ARRAYS = ("mean", "std", "weight", "bias", "temperature")


@dataclass(frozen=True)
class LookedAt:
    """What a tower saw: of the views that a probe is fitted to float32 [views, N, F], and of those it is judged by."""

    training: Float32
    judged: dict[str, Float32]


def look_at(
    tower: Tower,
    pictures: Sequence[Labelled],
    config: ProbeConfig,
    cache: Path,
    progress: Progress = lambda done, total: None,
) -> LookedAt:
    """Let a tower see all views of all pictures. Raises DataError for a picture that cannot be read."""
    views: dict[str, Views] = {
        f"training, {config.views} views, seed {config.seed}": partial(
            training_views, count=config.views, seed=config.seed
        ),
        f"fixed: {', '.join(FIXED)}": lambda pixels: [view(pixels) for view in FIXED.values()],
    }
    training, fixed = features_of_views(
        tower, [picture.path for picture in pictures], views, cache, progress
    ).values()
    return LookedAt(training, dict(zip(FIXED, fixed, strict=True)))


def measure(
    seen: LookedAt, pictures: Sequence[Labelled], added: frozenset[str], config: ProbeConfig, say: Say
) -> dict[str, Any]:
    """Nested cross-validation, ready for JSON. `added`: sources that are fitted to, and reported apart."""
    seeds = range(config.seed, config.seed + config.seeds)
    found = nested(seen.training, seen.judged, pictures, config.choice, config.outer_folds, seeds, say)
    main = np.array([picture.source not in added for picture in pictures])
    protocol = (
        f"nested cross-validation: {config.outer_folds} folds, {config.seeds} seeds, strength and band chosen on "
        f"{config.choice.folds} inner folds; p and verdicts of pictures that the probe had not seen"
    )
    return {"protocol": protocol, **worth(found, pictures, main, config.seed)}


def fit_all(seen: LookedAt, pictures: Sequence[Labelled], config: ProbeConfig) -> Fitted:
    """The probe that ships: fitted to all pictures."""
    return fit(seen.training, np.stack(list(seen.judged.values())), pictures, config.choice, config.seed)


@dataclass(frozen=True)
class ProbeRun:
    """A probe as its run folder holds it.

    `tower`: what it was fitted on, with "sha256". `pictures`: how many of each source. `metrics`: None unmeasured.
    """

    config: ProbeConfig
    probe: LinearProbe
    band: Band
    tower: dict[str, str]
    pictures: dict[str, int]
    metrics: dict[str, Any] | None


def save_run(
    folder: RunFolder,
    config: ProbeConfig,
    fitted: Fitted,
    tower: dict[str, str],
    pictures: Sequence[Labelled],
    metrics: dict[str, Any] | None,
    backbone: Mapping[str, Array] | None = None,
) -> None:
    """Write a run, its weights last; `backbone`: those of a tower that no bundle holds. Raises RunError."""
    folder.write_config(config)
    counted = Counter(f"{'fake' if picture.fake else 'real'}/{picture.source}" for picture in pictures)
    folder.write_json(
        "probe.json",
        {
            "tower": tower,
            "band": asdict(fitted.band),
            "c": fitted.c,
            "pictures": dict(sorted(counted.items())),
        },
    )
    if metrics is not None:
        folder.write_json("metrics.json", metrics)
    probe = fitted.probe
    arrays = {key: np.atleast_1d(np.asarray(getattr(probe, key), np.float64)) for key in ARRAYS}
    arrays |= backbone or {}
    with replacing(folder.checkpoint) as temporary:
        save_file(arrays, temporary, {"format": "realm-probe"})


def load_run(path: Path) -> ProbeRun:
    """Read a run folder. Raises RunError for what is missing or of another form."""
    folder = RunFolder(path)
    config, facts = folder.read_config(ProbeConfig), folder.read_json("probe.json")
    try:
        arrays = load_file(folder.checkpoint)
        probe = LinearProbe(
            arrays["mean"],
            arrays["std"],
            arrays["weight"],
            float(arrays["bias"][0]),
            float(arrays["temperature"][0]),
        )
        if not probe.mean.shape == probe.std.shape == probe.weight.shape or probe.weight.ndim != 1:
            raise ValueError("mean, std and weight are of different sizes")
        band, tower = Band(**facts["band"]), {key: str(value) for key, value in facts["tower"].items()}
        pictures = {key: int(value) for key, value in facts["pictures"].items()}
        if not tower.get("sha256"):
            raise ValueError("it does not say which tower it was fitted on")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: not a complete run of a probe ({error!r}); train it again") from error
    metrics = folder.read_json("metrics.json") if (path / "metrics.json").is_file() else None
    return ProbeRun(config, probe, band, tower, pictures, metrics)
