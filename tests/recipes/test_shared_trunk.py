"""A shared trunk: its features are those of its stages, and the regression predicts what is held out."""

import numpy as np
import torch

from realm_train import splits
from realm_train.clip.trunk import WindowTrunk
from recipes.shared_trunk import cross_validated, features, pooled


def test_features_are_moments_of_the_stages_for_both_sides() -> None:
    torch.manual_seed(0)
    trunk = WindowTrunk().eval()
    mean, std = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    found = features(pictures, pooled(trunk, mean, std))
    assert found.shape == (2, 2, trunk.num_features)
    for side, picture in ((0, pictures[1]), (1, pictures[1, :, ::-1])):
        pixels = (torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 255 - mean) / std
        with torch.no_grad():
            stages = [stage[0].flatten(1).numpy() for stage in trunk.stages(pixels[None])]
        expected = np.concatenate(
            [moment for s in stages for moment in (s.mean(1), np.sqrt(s.var(1) + 1e-5))]
        )
        np.testing.assert_allclose(found[side, 1], expected, rtol=1e-4, atol=1e-5)


def test_a_rating_that_features_tell_is_predicted_and_noise_is_not() -> None:
    rng = np.random.default_rng(1)
    seen = rng.normal(size=(120, 6))
    both = np.stack([seen, seen + 0.05 * rng.normal(size=seen.shape)])
    folds = splits.folds(seen[:, 0], 5)
    assert min(cross_validated(both, seen[:, 0], folds, (2, 4))) > 0.85
    assert max(map(abs, cross_validated(both, rng.normal(size=120), folds, (2, 4)))) < 0.4
