"""What planted flaws take from a score."""

from pathlib import Path

import numpy as np
import pytest
import torch
from clip_data import picture

from realm_train.core.flaw_features import read_flaw_features, write_flaw_features
from realm_train.core.flaws import FlawAxis, planted_triples
from realm_train.core.kernel import KernelHead
from realm_train.defects.photographs import benign
from realm_train.errors import DataError

PHOTOGRAPHS = [picture(seed, 240, 320) for seed in range(3)]


def example(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rated features (N, 6) and triples (3, P, 6): feature 2 says little else than flaws, feature 0 most of all."""
    rng = np.random.default_rng(seed)
    spread = np.array([5.0, 1.0, 0.5, 1.0, 1.0, 1.0])
    rated, clean = (rng.normal(0, 1, (n, 6)) * spread for n in (200, 300))
    flaw = np.array([1.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    flawed = clean - flaw + rng.normal(0, 0.2, (300, 6))
    return rated, np.stack([clean, flawed, clean + rng.normal(0, 0.1, (300, 6))])


def test_the_direction_is_fishers() -> None:
    rated, triples = example()
    axis = FlawAxis(6)
    axis.fit(rated, triples, 0.1, 0.0)
    found = axis.axis.double().numpy()
    clean, flawed, edited = triples
    every = np.concatenate([clean, edited, rated])
    middle = every - every.mean(0)
    within = middle.T @ middle / (len(every) - 1)
    moved = clean - flawed
    within += 0.5 * np.cov(moved.T) + (clean - edited).T @ (clean - edited) / len(clean)

    def worth(direction: np.ndarray) -> float:
        return float((moved.mean(0) @ direction) ** 2 / (direction @ within @ direction))

    rng = np.random.default_rng(1)
    assert all(worth(found) >= worth(found + rng.normal(0, 0.02, 6)) - 1e-12 for _ in range(200))
    assert abs(found[2]) > 5 * abs(found[0])  # what varies anyway counts little
    assert np.std(rated @ found) == pytest.approx(0.1, rel=1e-5)
    assert (
        axis(torch.from_numpy(clean).float()) > axis(torch.from_numpy(flawed).float())
    ).float().mean() > 0.9


def test_a_feature_that_edits_change_counts_less() -> None:
    rated, triples = example()
    plain, wary = FlawAxis(6), FlawAxis(6)
    plain.fit(rated, triples, 0.1, 0.0)
    shaken = triples.copy()
    shaken[2, :, 2] += np.random.default_rng(2).normal(0, 3, 300)
    wary.fit(rated, shaken, 0.1, 0.0)
    share = [abs(float(each.axis[2])) / float(each.axis.abs().sum()) for each in (plain, wary)]
    assert share[1] < share[0]


def test_it_is_added_to_the_image_alone_and_with_a_text() -> None:
    torch.manual_seed(0)
    head = KernelHead(6, 4)
    head.image.support, head.image.coefficient = torch.randn(3, 6), torch.randn(3)
    head.text.support, head.text.coefficient = torch.randn(3, 4), torch.randn(3)
    head.blend.copy_(torch.tensor([0.1, 0.7, 0.4]))
    image, text = torch.randn(5, 6) * 3, torch.randn(5, 4)
    known = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0])
    before = head(image, text, known)
    head.flaws.axis.copy_(torch.randn(6))
    taken = image.clamp(-5, 5).double() @ head.flaws.axis.double()
    expected = before.double() + torch.where(known > 0.5, 0.7, 1.0) * taken
    torch.testing.assert_close(head(image, text, known).double(), expected, atol=1e-5, rtol=1e-5)


def test_triples_depend_on_seed_and_number_alone() -> None:
    first = list(planted_triples(PHOTOGRAPHS, 4, 48, 64, seed=3))
    assert [each.shape for each in first] == [(3, 48, 64, 3)] * 4 and first[0].dtype == np.uint8
    later = list(planted_triples(PHOTOGRAPHS, 2, 48, 64, seed=3, first=2))
    assert all(np.array_equal(a, b) for a, b in zip(later, first[2:], strict=True))
    other = next(planted_triples(PHOTOGRAPHS, 1, 48, 64, seed=4))
    assert not np.array_equal(other, first[0])
    for clean, flawed, edited in first:
        assert not np.array_equal(clean, flawed) and not np.array_equal(clean, edited)


def test_a_plain_photograph_among_others_does_no_harm() -> None:
    plain = np.full((240, 320, 3), 128, np.uint8)
    found = list(planted_triples([plain, PHOTOGRAPHS[0]], 3, 48, 64, seed=0))
    assert len(found) == 3 and all(np.any(clean != flawed) for clean, flawed, _ in found)


def test_photographs_in_which_no_flaw_shows_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[int, ...]] = []

    def never(image: np.ndarray, *_: object) -> None:
        tried.append(image.shape)
        raise ValueError("no visible defect fits this image")

    monkeypatch.setattr("realm_train.core.flaws.make_defect", never)
    with pytest.raises(DataError, match="no flaw shows in any of the photographs"):
        next(planted_triples(PHOTOGRAPHS, 1, 48, 64, seed=0))
    assert len(tried) == len(PHOTOGRAPHS)


def test_benign_edits_keep_the_picture() -> None:
    rng, seen = np.random.default_rng(0), set()
    image = PHOTOGRAPHS[0]
    for _ in range(60):
        found = benign(image, rng)
        assert found.dtype == np.uint8 and found.ndim == 3
        assert all(0.58 * a <= b <= a for a, b in zip(image.shape[:2], found.shape[:2], strict=True))
        assert abs(float(found.mean()) - float(image.mean())) < 45
        seen.add(found.shape[:2])
    assert len(seen) > 10


class Tower(torch.nn.Module):
    """Stands for a CORE: four means over the picture, times `gain`."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        from realm_train.core.config import CoreModelConfig

        self.config = CoreModelConfig(image_height_px=48, image_width_px=64)
        self.gain = torch.nn.Parameter(torch.tensor(gain))

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        quarters = pixels.mean(1).unfold(1, 24, 24).unfold(2, 32, 32).mean((3, 4)).flatten(1)
        return self.gain * quarters / 255


def test_features_are_kept_and_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Tower()
    monkeypatch.setattr("realm_train.core.flaw_features.PIECE", 3)
    steps: list[int] = []
    write_flaw_features(model, PHOTOGRAPHS, 5, tmp_path / "flaws", 1, lambda: steps.append(1))  # type: ignore[arg-type]
    assert len(steps) == 2 and len(list((tmp_path / "flaws").iterdir())) == 2
    found = read_flaw_features(tmp_path / "flaws", model)  # type: ignore[arg-type]
    assert found.shape == (3, 6, 4)
    fourth = next(planted_triples(PHOTOGRAPHS, 1, 48, 64, 1, first=3))
    means = fourth.reshape(3, 2, 24, 2, 32, 3).mean((2, 4, 5)).reshape(3, 4) / 255
    np.testing.assert_allclose(found[:, 3], means, atol=1e-5)
    (tmp_path / "flaws" / "0001.safetensors").unlink()
    write_flaw_features(model, PHOTOGRAPHS, 5, tmp_path / "flaws", 1)  # type: ignore[arg-type]
    np.testing.assert_array_equal(read_flaw_features(tmp_path / "flaws", model), found)  # type: ignore[arg-type]


def test_features_of_another_tower_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realm_train.core.flaw_features.PIECE", 2)
    write_flaw_features(Tower(), PHOTOGRAPHS, 2, tmp_path)  # type: ignore[arg-type]
    for work in (
        lambda: read_flaw_features(tmp_path, Tower(1.5)),  # type: ignore[arg-type]
        lambda: write_flaw_features(Tower(1.5), PHOTOGRAPHS, 2, tmp_path),  # type: ignore[arg-type]
    ):
        with pytest.raises(DataError, match="features of another image tower"):
            work()
    with pytest.raises(
        DataError, match=r"holds no features of flaws; make them with recipes/flaw_features.py"
    ):
        read_flaw_features(tmp_path / "nowhere", Tower())  # type: ignore[arg-type]
    (tmp_path / "0000.safetensors").write_bytes(b"no such thing")
    with pytest.raises(DataError, match=r"0000\.safetensors: holds no features of flaws"):
        read_flaw_features(tmp_path, Tower())  # type: ignore[arg-type]
