"""How far a contender's answers are from the published loop's in fp32."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr


def compare_maps(values: Any, reference: Any) -> dict[str, float]:
    """Pearson, Spearman and largest difference over all pixels of two maps (H, W)."""
    a, b = (np.asarray(array, dtype=np.float64).ravel() for array in (values, reference))
    return {
        "pearson": float(pearsonr(a, b).statistic),
        "spearman": float(spearmanr(a, b).statistic),
        "max_abs_diff": float(np.abs(a - b).max()),
    }


def compare_scores(values: Any, reference: Any) -> dict[str, float]:
    """SROCC and differences of two vectors of MOS (N,)."""
    a, b = (np.asarray(array, dtype=np.float64) for array in (values, reference))
    return {
        "srocc": float(spearmanr(a, b).statistic) if len(a) > 2 else float("nan"),
        "mos_max_abs_diff": float(np.abs(a - b).max()),
        "mos_mean_abs_diff": float(np.abs(a - b).mean()),
    }
