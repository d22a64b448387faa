"""How well a map of unrealness agrees with a mask of what is unreal: the statistics of saliency research.

Maps are float (H, W), high = unreal; masks are bool (H, W). Sources: Bylinskii et al., "What do different
evaluation metrics tell us about saliency models?" (2016).
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from realm_engine.arrays import Bool, Float64, UInt8

Map = NDArray[np.floating]


def auc(values: Map, mask: Bool) -> float:
    """Area under the ROC curve of pixels, ties counted half; nan where the mask is empty or full."""
    inside = int(mask.sum())
    outside = mask.size - inside
    if not inside or not outside:
        return float("nan")
    ranks = rankdata(values, axis=None).reshape(mask.shape)
    return float((ranks[mask].sum() - inside * (inside + 1) / 2) / (inside * outside))


def auc_judd(values: Map, mask: Bool) -> float:
    """AUC-Judd: thresholds at the map's values inside the mask only; false positives among all other pixels."""
    inside, outside = np.sort(values[mask]), np.sort(values[~mask])
    if not len(inside) or not len(outside):
        return float("nan")
    thresholds = np.unique(inside)[::-1]  # equal values are found together
    hits, false_alarms = (
        1 - np.searchsorted(part, thresholds, side="left") / len(part) for part in (inside, outside)
    )
    return float(
        np.trapezoid(np.concatenate([[0.0], hits, [1.0]]), np.concatenate([[0.0], false_alarms, [1.0]]))
    )


def nss(values: Map, mask: Bool) -> float:
    """Normalised scanpath saliency: mean of the standardised map inside the mask; 0 for a constant map."""
    spread = float(values.std())
    return float((values[mask].mean() - values.mean()) / spread) if spread > 0 else 0.0


def cc(values: Map, mask: Bool) -> float:
    """Pearson's correlation of map and mask; 0 for a constant map."""
    if values.std() == 0 or mask.std() == 0:
        return 0.0
    return float(np.corrcoef(values.ravel(), mask.ravel().astype(np.float64))[0, 1])


def best_iou(values: Map, mask: Bool, thresholds: int = 100) -> float:
    """Intersection over union with the mask at the best of so many thresholds (quantiles of the map)."""
    order = np.argsort(values, axis=None)[::-1]
    hits = np.cumsum(mask.ravel()[order])
    ranked = values.ravel()[order]
    cuts = ranked[np.linspace(1, mask.size, thresholds).astype(np.int64) - 1]
    counts = np.unique(np.searchsorted(-ranked, -cuts, side="right"))  # all pixels at or above the cut
    intersection = hits[counts - 1]
    return float((intersection / (counts + mask.sum() - intersection)).max())


def centre_prior(height: int, width: int) -> Float64:
    """A Gaussian about the centre, with a spread of a quarter of each side."""
    y = (np.arange(height)[:, None] - (height - 1) / 2) / (height / 4)
    x = (np.arange(width)[None, :] - (width - 1) / 2) / (width / 4)
    return np.exp(-(y**2 + x**2) / 2)


def texture_prior(image: UInt8, window_px: int = 64) -> Float64:
    """Standard deviation of brightness in a window about each pixel."""
    grey = image.astype(np.float64).mean(axis=2)
    size = (window_px, window_px)
    mean = cv2.blur(grey, size)
    variance = cv2.blur(grey * grey, size) - mean * mean
    return np.asarray(np.sqrt(np.maximum(variance, 0)), np.float64)
