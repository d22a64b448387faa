"""Features of a bundle's tower, and their cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from measures import build_guests
from PIL import Image

from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import BundleError
from realm_engine.machine.files import sha256_of
from realm_train.bundle_tower import BundleTower
from realm_train.errors import DataError
from realm_train.features import CHUNK, features_of_views


@pytest.fixture(scope="module")
def guests(bundle_path, tmp_path_factory) -> Path:
    return build_guests(bundle_path, tmp_path_factory.mktemp("tower") / "guests")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Path]:
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(3)
    paths = [folder / f"{index}.png" for index in range(CHUNK + 3)]
    for path in paths:
        size = (*random.integers(5, 9, 2), 3)
        Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(path)
    return paths


class Counting:
    """A tower that counts what it is asked."""

    def __init__(self, tower: BundleTower, stop_after: int | None = None) -> None:
        self.sha256, self.width = tower.sha256, tower.width
        self._tower, self._stop_after = tower, stop_after
        self.calls = 0

    def features(self, pictures):
        self.calls += 1
        if self.calls == self._stop_after:
            raise KeyboardInterrupt
        return self._tower.features(pictures)


def both(pixels: np.ndarray) -> list[np.ndarray]:
    return [pixels, 255 - pixels]


def test_features_are_those_of_the_graph_that_serves_them(guests, pictures) -> None:
    with BundleTower.open(str(guests)) as tower:
        found = tower.features(pictures)
        graph = Bundle.open(str(guests)).graphs[tower.graph]
        assert tower.sha256 == sha256_of(guests / graph.variants["fp32"])
        assert (tower.tower, tower.width) == ("tower", 3)
        assert tower.features([]).shape == (0, 3)
    expected = [np.asarray(Image.open(path), float).mean(axis=(0, 1)) for path in pictures]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_bundle_without_features_and_a_picture_that_is_none_say_so(bundle_path, guests, tmp_path) -> None:
    with pytest.raises(BundleError, match="features"):
        BundleTower.open(str(bundle_path))
    (tmp_path / "x.png").write_bytes(b"nothing")
    with BundleTower.open(str(guests)) as tower, pytest.raises(DataError, match=r"x\.png"):
        tower.features([tmp_path / "x.png"])


def test_features_of_views_are_computed_once_and_a_killed_run_goes_on(guests, pictures, tmp_path) -> None:
    with BundleTower.open(str(guests)) as opened:
        killed = Counting(opened, stop_after=CHUNK + 2)
        with pytest.raises(KeyboardInterrupt):
            features_of_views(killed, pictures, {"both": both}, tmp_path)
        tower, seen = Counting(opened), []
        found = features_of_views(tower, pictures, {"both": both}, tmp_path, lambda *done: seen.append(done))
        assert tower.calls == 3 and seen == [(CHUNK, CHUNK + 3), (CHUNK + 3, CHUNK + 3)]
        assert found["both"].shape == (2, CHUNK + 3, 3)
        np.testing.assert_allclose(found["both"][1], 255 - found["both"][0], rtol=1e-4)
        again = Counting(opened)
        np.testing.assert_array_equal(
            features_of_views(again, pictures, {"both": both}, tmp_path)["both"], found["both"]
        )
        assert again.calls == 0
        features_of_views(again, pictures, {"both, seed 1": both}, tmp_path)
        assert again.calls == CHUNK + 3
