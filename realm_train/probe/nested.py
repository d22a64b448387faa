"""What a probe is worth: nested cross-validation, in which nothing is chosen on the pictures that are reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from realm_engine.arrays import Float32, Float64, Int64
from realm_train.probe.band import Band, choose_band
from realm_train.probe.data import Labelled, folds, labels
from realm_train.probe.linear import LinearProbe, fit_linear, log_loss, with_temperature

Say = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    """How a probe is chosen on the pictures it may see.

    `c`: strengths to choose from, by the log loss of inner held-out pictures. `folds`: inner ones. `wrong`: the share
    of each label that a band may call wrongly. `unlike_percentile`: of the training views, beyond which a picture is
    like none that was seen.
    """

    c: tuple[float, ...] = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0, 10.0)
    folds: int = 4
    wrong: float = 0.04  # of pictures never seen a little more are, and 5 % is what is promised
    unlike_percentile: float = 99.5


@dataclass(frozen=True)
class Fitted:
    """A probe with its band, and what was chosen for it."""

    probe: LinearProbe
    band: Band
    c: float


def fit(
    training: Float32, judged: Float32, pictures: Sequence[Labelled], choice: Choice, seed: int
) -> Fitted:
    """Fit a probe to pictures: strength, temperature and band by inner held-out pictures, weights by all.

    Args:
        training: float32 [views, N, F], what is fitted to.
        judged: float32 [views, N, F], of which all together the band may call few wrongly.
        pictures: N of them.
        choice: What to choose from.
        seed: Of the inner folds.

    Raises:
        DataError: a label has fewer groups than there are inner folds.
    """
    fake = labels(pictures)
    splits = folds(pictures, choice.folds, seed)

    def held_out(c: float) -> tuple[Float64, Float64]:
        """Logits of the views that are fitted to, and of those that are judged."""
        found = np.empty(training.shape[:2]), np.empty(judged.shape[:2])
        for split in splits:
            seen, unseen = list(split.train), list(split.validation)
            probe = fit_linear(training[:, seen], fake[seen], c)
            for logits, features in zip(found, (training, judged), strict=True):
                logits[:, unseen] = probe.logit(features[:, unseen])
        return found

    logits = {c: held_out(c) for c in choice.c}
    best = min(choice.c, key=lambda c: log_loss(logits[c][0], fake))
    probe = with_temperature(fit_linear(training, fake, best), logits[best][0], fake)
    unlike_above = float(np.percentile(probe.unlike(training), choice.unlike_percentile))
    p = expit(logits[best][1] / probe.temperature)
    sources = [picture.source for picture in pictures]
    return Fitted(probe, choose_band(p, fake, sources, choice.wrong, unlike_above), best)


@dataclass(frozen=True)
class HeldOut:
    """What probes say of pictures that they had not seen: p float64 and verdicts int64, [seeds, N]."""

    p: Float64
    verdicts: Int64


def nested(
    training: Float32,
    judged: Mapping[str, Float32],
    pictures: Sequence[Labelled],
    choice: Choice,
    outer: int,
    seeds: Sequence[int],
    say: Say = lambda text: None,
) -> dict[str, HeldOut]:
    """Cross-validate; strength, temperature and band are chosen anew on the training part of every outer fold.

    Args:
        training: float32 [views, N, F], what is fitted to.
        judged: Views that the probe is judged by, each float32 [N, F]; the band, by all of them together.
        pictures: N of them.
        choice: See `fit`.
        outer: Number of outer folds.
        seeds: One cross-validation each.
        say: Told what was chosen in every fold.

    Returns:
        By view what is said of the N pictures by probes that had not seen them.

    Raises:
        DataError: see `folds`.
    """
    shape = (len(seeds), len(pictures))
    found = {name: HeldOut(np.empty(shape), np.empty(shape, np.int64)) for name in judged}
    together = np.stack(list(judged.values()))
    for row, seed in enumerate(seeds):
        for number, split in enumerate(folds(pictures, outer, seed), start=1):
            seen, unseen = list(split.train), list(split.validation)
            known = [pictures[i] for i in seen]
            fitted = fit(training[:, seen], together[:, seen], known, choice, seed)
            for name, features in judged.items():
                p = fitted.probe.p_fake(features[unseen])
                found[name].p[row, unseen] = p
                found[name].verdicts[row, unseen] = fitted.band.verdicts(
                    p, fitted.probe.unlike(features[unseen])
                )
            band = fitted.band
            say(
                f"seed {seed}, fold {number} of {outer}: C {fitted.c:g}, temperature {fitted.probe.temperature:.2f}, "
                f"uncertain from {band.real_below:.2f} to {band.fake_above:.2f}"
            )
    return found
