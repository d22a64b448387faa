"""When the published training keeps its weights, lowers its rate and ends: a function of the accuracies so far."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

LEAST_RATE = 1e-6
FIRST_GAIN, LATER_GAIN = 0.001, 0.002


@dataclass(frozen=True)
class Progress:
    """Where a training stands after an epoch.

    Attributes:
        rate: Learning rate of the next epoch.
        keep: Whether the epoch's weights become the checkpoint.
        stop: Whether it was the last epoch.
        best: Accuracy that has to be beaten; None where the next epoch is kept whatever it is.
        waited: Epochs since then.
        gain: By how much it has to be beaten.
    """

    rate: float
    keep: bool = False
    stop: bool = False
    best: float | None = None
    waited: int = 0
    gain: float = FIRST_GAIN

    def after(self, accuracy: float, patience: int) -> "Progress":
        """Where it stands after one more epoch.

        After `patience` epochs without a gain the rate falls to a tenth, and the search for the best begins anew: the
        next epoch is kept even where it is worse than what it replaces. That is a defect of the published code.
        """
        if self.best is None or accuracy >= self.best + self.gain:
            return replace(self, keep=True, best=accuracy, waited=0)
        if self.waited + 1 < patience:
            return replace(self, keep=False, waited=self.waited + 1)
        rate = self.rate / 10
        return Progress(rate, stop=rate < LEAST_RATE, gain=LATER_GAIN)


def progress_after(accuracies: Iterable[float], rate: float, patience: int) -> Progress:
    """Where a training stands that began with that rate and has reached these accuracies, epoch by epoch."""
    found = Progress(rate)
    for accuracy in accuracies:
        found = found.after(accuracy, patience)
    return found
