"""What a probe is worth, in numbers: how well it tells labels apart in every view, what its band does, and for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import average_precision_score, roc_auc_score

from realm_engine.arrays import Bool, Float64, Int64
from realm_train.probe.band import FAKE, REAL, UNCERTAIN, Calls
from realm_train.probe.data import Labelled, labels
from realm_train.probe.nested import HeldOut

RESAMPLES = 1000


def worth(
    found: Mapping[str, HeldOut], pictures: Sequence[Labelled], main: Bool, seed: int = 0
) -> dict[str, Any]:
    """Numbers of nested cross-validation, ready for JSON.

    Args:
        found: What probes said by view, the first as pictures are.
        pictures: The N pictures.
        main: bool [N], the data set that is reported; both labels among them. Other pictures are reported by source
            alone, as photographs of other cameras that were added.
        seed: Of the bootstrap.
    """
    fake = labels(pictures)[main]
    views = {name: _of_view(held_out, main, fake, seed) for name, held_out in found.items()}
    together = np.concatenate([held_out.verdicts[:, main] for held_out in found.values()])
    sources = sorted({(picture.fake, picture.source) for picture in pictures})
    clean = next(iter(found.values()))
    return {
        "images": {"real": int((~fake).sum()), "fake": int(fake.sum())},
        "seeds": len(clean.p),
        "views": views,
        "all_views": rounded(_calls(Calls.of(together, fake))),
        "sources": {
            source: rounded(
                _of_source(
                    clean, np.array([p.source == source and p.fake == is_fake for p in pictures]), is_fake
                )
            )
            for is_fake, source in sources
        },
    }


def _of_view(held_out: HeldOut, main: Bool, fake: Bool, seed: int) -> dict[str, Any]:
    """AUC with an interval over pictures, average precision, balanced accuracy at .5, and calls: means over seeds."""
    p, verdicts = held_out.p[:, main], held_out.verdicts[:, main]
    low, high = auc_interval(p.mean(axis=0), fake, seed)
    numbers = {
        "auc": float(np.mean([roc_auc_score(fake, row) for row in p])),
        "average_precision": float(np.mean([average_precision_score(fake, row) for row in p])),
        "balanced_accuracy": float(((p[:, fake] >= 0.5).mean() + (p[:, ~fake] < 0.5).mean()) / 2),
        **_calls(Calls.of(verdicts, fake)),
    }
    return {**rounded(numbers), "auc_interval": [round(low, 4), round(high, 4)]}


def auc_interval(p: Float64, fake: Bool, seed: int) -> tuple[float, float]:
    """Percentile interval, 95 %, of the AUC over pictures, labels drawn apart."""

    def auc(ps: Float64, photographs: Float64) -> float:
        return float(
            roc_auc_score(np.r_[np.ones(len(ps)), np.zeros(len(photographs))], np.r_[ps, photographs])
        )

    found = bootstrap(
        (p[fake], p[~fake]),
        auc,
        vectorized=False,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _of_source(held_out: HeldOut, rows: Bool, is_fake: bool) -> dict[str, float]:
    """Shares of a source that are called rightly, wrongly (with Wilson's interval) and not at all."""
    verdicts = held_out.verdicts[:, rows]
    right, wrong = (FAKE, REAL) if is_fake else (REAL, FAKE)
    count = int(rows.sum())
    interval = binomtest(round(_share(verdicts, wrong) * count), count).proportion_ci(method="wilson")
    return {
        "images": count,
        "right": _share(verdicts, right),
        "wrong": _share(verdicts, wrong),
        "wrong_low": float(interval.low),
        "wrong_high": float(interval.high),
        "uncertain": _share(verdicts, UNCERTAIN),
    }


def _share(verdicts: Int64, verdict: int) -> float:
    return float((verdicts == verdict).mean())


def _calls(calls: Calls) -> dict[str, float]:
    return {
        "real_called_fake": calls.real_called_fake,
        "fake_called_real": calls.fake_called_real,
        "uncertain": calls.uncertain,
    }


def rounded(numbers: Mapping[str, float]) -> dict[str, float]:
    """To four digits behind the point."""
    return {key: round(value, 4) for key, value in numbers.items()}


def table(report: Mapping[str, Any]) -> list[str]:
    """The views as lines of text."""
    lines = [
        f"{'view':<10}{'AUC':>6}{'AP':>7}{'bal.acc.':>10}{'real->fake':>12}{'fake->real':>12}{'uncertain':>11}"
    ]
    keys = (
        "auc",
        "average_precision",
        "balanced_accuracy",
        "real_called_fake",
        "fake_called_real",
        "uncertain",
    )
    for name, numbers in report["views"].items():
        cells = (
            f"{numbers[key]:.3f}".rjust(width)
            for key, width in zip(keys, (6, 7, 10, 12, 12, 11), strict=True)
        )
        lines.append(f"{name:<10}{''.join(cells)}")
    every = report["all_views"]
    cells = (f"{every[key]:.3f}".rjust(width) for key, width in zip(keys[3:], (12, 12, 11), strict=True))
    lines.append(f"{'all views':<33}{''.join(cells)}")
    for source, numbers in report["sources"].items():
        lines.append(
            f"{source}: {numbers['images']} pictures as they are, {numbers['right']:.1%} called rightly, "
            f"{numbers['wrong']:.1%} wrongly ({numbers['wrong_low']:.1%} to {numbers['wrong_high']:.1%}), "
            f"{numbers['uncertain']:.1%} uncertain"
        )
    return lines
