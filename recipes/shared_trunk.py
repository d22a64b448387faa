"""What it would cost if score and map shared a trunk: CORE's regression on the features of DREAM's, cross-validated.

    python recipes/shared_trunk.py runs/realm-tiny/clip --data path/to/raise-td --image-weights FILE

Prints the SROCC with the ratings from the image alone, the mean of five folds and of the pooled predictions: for the
three stages that CORE has, for the stages that DREAM's trunk has with the weights it began with, and with those that
learned to see flaws.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from realm_engine.arrays import Float64, UInt8
from realm_engine.errors import RealmError
from realm_engine.pictures.decode import load_image
from realm_train import splits
from realm_train.clip.model import open_clip_run
from realm_train.clip.trunk import WindowTrunk, load_imagenet, spread_of
from realm_train.core.kernel import CLIP, KernelHead, KernelMachine
from realm_train.core.model import build_core
from realm_train.core.presets import core_preset
from realm_train.raise_td import read_split, resize

BATCH = 16

Features = Callable[[torch.Tensor], torch.Tensor]
"""Pixels float32 [B, 3, H, W] in 0..255 -> [B, F]."""


@torch.inference_mode()
def features(pictures: UInt8, of: Features) -> Float64:
    """Features of pictures (N, H, W, 3) and of their mirror images, (2, N, F)."""
    found = []
    for start in range(0, len(pictures), BATCH):
        pixels = torch.from_numpy(pictures[start : start + BATCH].copy()).permute(0, 3, 1, 2).float()
        found.append(torch.stack([of(pixels), of(pixels.flip(3))]))
    return np.asarray(torch.cat(found, dim=1).double().numpy())


def pooled(trunk: WindowTrunk, mean: torch.Tensor, std: torch.Tensor) -> Features:
    """Mean and deviation of the trunk's stages over a picture, squeeze-and-excite averaging over all of it."""

    def of(pixels: torch.Tensor) -> torch.Tensor:
        stages = trunk.stages((pixels / 255.0 - mean) / std)
        moments = ((s.mean((2, 3)), spread_of(s.var((2, 3), unbiased=False))) for s in stages)
        return torch.cat([moment for both in moments for moment in both], dim=1)

    return of


def cross_validated(
    found: Float64, mos: Float64, folds: list[splits.Split], groups: Sequence[int]
) -> tuple[float, float]:
    """SROCC of the regression that CORE has: mean of the folds, and of all predictions together."""
    settings = core_preset("tiny").train
    predicted, by_fold = np.zeros(len(mos)), []
    for fold in folds:
        train, held_out = np.array(fold.train), np.array(fold.validation)
        mean, deviation = found[0, train].mean(0), np.maximum(found[0, train].std(0), 1e-6)
        x = np.clip((found - mean) / deviation, -CLIP, CLIP) / np.sqrt(found.shape[2])
        machine = KernelMachine(found.shape[2], groups)
        seen = x[:, train].reshape(-1, found.shape[2])
        c, gamma, epsilon = settings.svr_c / 2, settings.svr_gamma, settings.svr_epsilon
        machine.fit(seen, np.tile(mos[train], 2), c, gamma, epsilon)
        predicted[held_out] = machine.answer(x[0, held_out])
        by_fold.append(spearmanr(predicted[held_out], mos[held_out])[0])
    return float(np.mean(by_fold)), float(spearmanr(predicted, mos)[0])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="run folder of realm-train clip")
    parser.add_argument("--data", type=Path, required=True, help="RAISE-TD")
    parser.add_argument("--image-weights", required=True, help="ImageNet weights that both began with")
    arguments = parser.parse_args()
    try:
        rows = read_split(arguments.data)
        config = core_preset("tiny").model
        core, _ = build_core(config, arguments.image_weights, "pretrained")
        clip = open_clip_run(arguments.run)
        size = (config.image_height_px, config.image_width_px, config.interpolation)
        pictures = np.stack([resize(load_image(row.path), *size) for row in rows])
        begun = WindowTrunk()
        load_imagenet(begun, arguments.image_weights)
        trained = clip.model.visual.trunk
    except RealmError as error:
        sys.exit(f"error: {error}")
    mos = np.array([row.mos for row in rows])
    folds = splits.folds(mos, 5)
    mean, std = core.pixel_mean, core.pixel_std
    assert isinstance(core.head, KernelHead)
    with torch.no_grad():
        stages = begun.eval().stages(torch.zeros(1, 3, 64, 64))
    own = [stage.shape[1] for stage in stages for _ in range(2)]
    print("trunk                               SROCC, folds  pooled")
    for name, of, groups in (
        ("CORE's, to stride 32, ImageNet", core.eval().encode_image, core.head.image.groups),
        ("DREAM's, to stride 16, ImageNet", pooled(begun, mean, std), own),
        ("DREAM's, to stride 16, trained", pooled(trained.eval(), mean, std), own),
    ):
        by_fold, together = cross_validated(features(pictures, of), mos, folds, groups)
        print(f"{name:34}  {by_fold:12.3f}  {together:6.3f}", flush=True)


if __name__ == "__main__":
    main()
