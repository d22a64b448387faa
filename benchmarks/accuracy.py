"""How far a contender's answers are from the published loop's in fp32."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

MAP_GATES = {"fp32": 0.999, "fp16": 0.999, "bf16": 0.999, "int8": 0.99}
MOS_GATE = 0.01  # fp32, fp16, bf16: largest difference
SROCC_GATE = 0.005  # int8: largest loss of rank order against fp32


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


def passes_gate(precision: str, accuracy: dict[str, float]) -> bool:
    """Whether measured differences are within the project's gate of that precision; unmeasured is no."""
    if "pearson" in accuracy:
        return accuracy["pearson"] >= MAP_GATES[precision]
    if "srocc" in accuracy:
        if precision == "int8":
            return accuracy["srocc"] >= 1 - SROCC_GATE
        return accuracy["mos_max_abs_diff"] <= MOS_GATE
    return False
