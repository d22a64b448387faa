"""Judge maps against masks of what is flawed, beside priors, with the right text and with a wrong one.

Here the flaws are put into photographs; `exam` has real ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from realm_engine.arrays import Bool, Float32, UInt8
from realm_engine.maps.windows import WindowGrid, spread_mean
from realm_train.clip import map_metrics
from realm_train.clip.model import Clip
from realm_train.clip.pairs import cut
from realm_train.defects import clean_description
from realm_train.defects.planted import Planted
from realm_train.errors import ConfigError, DataError

Mapper = Callable[[UInt8, Sequence[str]], list[Float32]]
"""An image and texts -> one map of unrealness (high = unreal, H x W) per text."""


@dataclass(frozen=True)
class Agreement:
    """Means over images of how well maps agree with masks of what is flawed; see `map_metrics` for the statistics.

    Attributes:
        auc: pixel ROC-AUC of the map against the mask.
        auc_wrong_text: the same with a description of another flaw.
        auc_centre: of the centre prior.
        auc_texture: of the local-texture prior.
        right_beats_wrong: share of images where the right text has the higher AUC.
    """

    images: int
    auc: float
    auc_wrong_text: float
    auc_judd: float
    nss: float
    cc: float
    iou: float
    auc_centre: float
    auc_texture: float
    right_beats_wrong: float

    def to_json(self) -> dict[str, object]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True)
class MapQuality(Agreement):
    """Means over planted flaws.

    Attributes:
        auc_clean_text: AUC with a text that says that nothing is wrong, its sign turned.
        flatness: spread (5th to 95th percentile) of the map of the photograph without the flaw, divided by that
            of the map with it; low = flat.
        contrast: mean of the map inside the mask less the mean outside.
        by_kind: AUC for each kind of flaw.
    """

    auc_clean_text: float
    flatness: float
    contrast: float
    by_kind: dict[str, float]


def judge_maps(planted: Sequence[Planted], mapper: Mapper, seed: int = 0) -> MapQuality:
    """Measure maps over planted flaws.

    Raises:
        DataError: nothing was planned.
    """
    if not planted:
        raise DataError("no flaw shows in any of the photographs: are they plain, or smaller than 64 px?")
    rows: list[dict[str, float]] = []
    kinds: dict[str, list[float]] = {}
    rng = np.random.default_rng(seed)
    for item in planted:
        mask = item.defect.mask
        texts = [item.defect.description, item.wrong_description, clean_description(rng)]
        right, wrong, clean_text = mapper(item.defect.image, texts)
        flat = mapper(item.clean, texts[:1])[0]
        row = agreement(item.defect.image, mask, right, wrong)
        rows.append(
            row
            | {
                "auc_clean_text": map_metrics.auc(-clean_text, mask),
                "flatness": _spread(flat) / max(_spread(right), 1e-9),
                "contrast": float(right[mask].mean() - right[~mask].mean()),
            }
        )
        kinds.setdefault(item.defect.kind, []).append(row["auc"])
    return MapQuality(
        images=len(rows),
        **means(rows),
        by_kind={kind: float(np.mean(values)) for kind, values in sorted(kinds.items())},
    )


def agreement(image: UInt8, mask: Bool, right: Float32, wrong: Float32) -> dict[str, float]:
    """What `Agreement` holds the means of, for one image: maps of the right and of a wrong text, and the priors."""
    auc, wrong_auc = map_metrics.auc(right, mask), map_metrics.auc(wrong, mask)
    return {
        "auc": auc,
        "auc_wrong_text": wrong_auc,
        "auc_judd": map_metrics.auc_judd(right, mask),
        "nss": map_metrics.nss(right, mask),
        "cc": map_metrics.cc(right, mask),
        "iou": map_metrics.best_iou(right, mask),
        "auc_centre": map_metrics.auc(map_metrics.centre_prior(*mask.shape), mask),
        "auc_texture": map_metrics.auc(map_metrics.texture_prior(image), mask),
        "right_beats_wrong": float(auc > wrong_auc),
    }


def means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each key over rows that have the same keys."""
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _spread(values: Float32) -> float:
    low, high = np.percentile(values, (5, 95))
    return float(high - low)


def window_maps(
    clip: Clip, windows_px: Sequence[int] = (64,), stride_px: int = 8, batch: int = 128
) -> Mapper:
    """Maps of similarity by PyTorch; several window sizes are averaged."""

    @torch.no_grad()  # not inference_mode: what a tower caches on the way is trained with afterwards
    def mapper(image: UInt8, texts: Sequence[str]) -> list[Float32]:
        text = clip.encode_texts(texts)
        total = np.zeros((len(texts), *image.shape[:2]))
        for side in windows_px:
            grid = WindowGrid(image.shape[0], image.shape[1], side, stride_px)
            tops, lefts = grid.origins()
            similarity = []
            for i in range(0, grid.count, batch):
                windows = [
                    cut(image, y, x, side, clip.image_size_px)
                    for y, x in zip(tops[i : i + batch], lefts[i : i + batch], strict=True)
                ]
                similarity.append(clip.encode_windows(torch.from_numpy(np.stack(windows))) @ text.T)
            values = torch.cat(similarity).T.double().cpu().numpy()
            for k in range(len(texts)):
                total[k] += spread_mean(values[k].reshape(grid.rows, grid.cols), grid)
        return [np.asarray(values / len(windows_px), np.float32) for values in total]

    return mapper


def bundle_maps(bundle: Path | str, preset: str | None = None) -> Mapper:
    """Maps of similarity by the engine: what a user of the bundle gets.

    Raises:
        RealmError: the bundle cannot be opened, or has no such preset.
    """
    from realm_engine import Engine

    engine = Engine.open(str(bundle))
    presets = engine.presets()
    if preset is not None and preset not in presets:
        raise ConfigError(f"{bundle}: has no preset {preset!r}; it has {', '.join(presets)}")
    chosen = presets[preset] if preset is not None else next(iter(presets.values()))
    config = replace(chosen, quantity="similarity")

    def mapper(image: UInt8, texts: Sequence[str]) -> list[Float32]:
        # A pixel that no window covers is like no text, as it was published.
        return [np.nan_to_num(engine.map(image, text, config).values, nan=0.0) for text in texts]

    return mapper


# What `Agreement` and `MapQuality` say about texts, which a map of a measure's number does not take.
ABOUT_TEXTS = ("auc_wrong_text", "auc_clean_text", "right_beats_wrong")


def attribution_maps(bundle: Path | str, metric: str) -> Mapper:
    """Maps of what pixels add to the number of a measure, by the engine: the same for every text.

    Raises:
        RealmError: the bundle cannot be opened, or has no such measure with a map.
    """
    from realm_engine import Engine

    engine = Engine.open(str(bundle))
    engine.with_map(metric)

    def mapper(image: UInt8, texts: Sequence[str]) -> list[Float32]:
        return [engine.map(image, metric=metric).values] * len(texts)

    return mapper
