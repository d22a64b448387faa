"""Deterministic splits of N training rows into training and validation, as row numbers."""

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedKFold, train_test_split

from realm_train.errors import DataError


@dataclass(frozen=True)
class Split:
    """Row numbers to train on and to validate on; `validation` may be empty."""

    train: tuple[int, ...]
    validation: tuple[int, ...]


def everything(rows: int) -> Split:
    """All rows for training, none held out."""
    return Split(tuple(range(rows)), ())


def holdout(rows: int, fraction: float = 0.2, seed: int = 42) -> Split:
    """The published split: scikit-learn's `train_test_split` over the rows in CSV order (510 -> 408 and 102).

    Raises:
        DataError: Too few rows to have one on either side.
    """
    if rows < 2:
        raise DataError(f"{rows} rows cannot be split into training and validation; give at least 2")
    train, validation = train_test_split(np.arange(rows), test_size=fraction, random_state=seed)
    return Split(tuple(int(i) for i in train), tuple(int(i) for i in validation))


def folds(mos: "np.typing.ArrayLike", count: int, seed: int = 42) -> list[Split]:
    """K-fold cross-validation, stratified by quantile bins of the MOS.

    Raises:
        DataError: Fewer than 2 folds, or fewer rows than folds.
    """
    values = np.asarray(mos, np.float64)
    if count < 2:
        raise DataError(f"cross-validation needs at least 2 folds, not {count}")
    if len(values) < count:
        raise DataError(f"{len(values)} rows cannot be split into {count} folds")
    # At least `count` rows in each bin, so that every fold gets one of each; ten bins are fine enough.
    bins = max(1, min(10, len(values) // count))
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    strata = order * bins // len(values)
    splitter = StratifiedKFold(count, shuffle=True, random_state=seed)
    return [
        Split(tuple(int(i) for i in train), tuple(int(i) for i in validation))
        for train, validation in splitter.split(np.zeros(len(values)), strata)
    ]
