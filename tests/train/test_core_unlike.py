"""How far a picture is from those of the training: against a Gaussian written down in full."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from train_data import tiny_config, write_data, write_text_tower

from realm_train import raise_td
from realm_train.core import unlike as unlike_module
from realm_train.core.checkpoint import load_core
from realm_train.core.config import CoreConfig
from realm_train.core.train import train_core
from realm_train.core.unlike import Unlike
from realm_train.errors import TowerError
from realm_train.runs import RunFolder
from realm_train.towers import load_strictly


def spreads(rows: int, width: int, seed: int = 0, odd: float = 0.0) -> np.ndarray:
    """Spreads whose logarithms vary in few directions, as those of pictures do; `odd`: moved along one of them."""
    mixing = np.random.default_rng(0).normal(size=(6, width)) * np.array([[4, 3, 2, 1, 0.5, 0.3]]).T / 4
    rng = np.random.default_rng((1, seed))
    return np.exp((rng.normal(size=(rows, 6)) + odd) @ mixing + 0.05 * rng.normal(size=(rows, width)) - 1.5)


def fitted(x: np.ndarray) -> Unlike:
    machine = Unlike(x.shape[-1])
    machine.fit(torch.from_numpy(x if x.ndim == 3 else x[None]))
    return machine


def distances(train: np.ndarray, x: np.ndarray, kept: int) -> np.ndarray:
    """By the eigenvectors of the correlations of logarithms, picture by picture."""
    logs, others = np.log(train), np.log(x)
    centre, scale = logs.mean(axis=0), logs.std(axis=0)
    values, vectors = np.linalg.eigh(np.corrcoef(logs.T))
    found = []
    for row in (others - centre) / scale:
        squares = [(row @ vectors[:, i]) ** 2 for i in range(len(values))]
        inside = np.mean([squares[i] / values[i] for i in range(len(values) - kept, len(values))])
        found.append(np.sqrt(inside + sum(squares[:-kept]) / values[:-kept].sum()))
    return np.array(found)


@pytest.mark.parametrize("dimensions", [3, 6])
def test_distance_is_that_of_the_eigenvectors(monkeypatch, dimensions) -> None:
    monkeypatch.setattr(unlike_module, "DIMENSIONS", dimensions)
    train, others = spreads(200, 20), np.random.default_rng(5).uniform(1e-5, 9, size=(30, 20))
    machine = fitted(train)
    wanted = distances(train, np.r_[train, others], dimensions)
    found = machine.answer(np.r_[train, others]) * float(machine.unit)
    np.testing.assert_allclose(found, wanted, rtol=1e-3)


def test_one_of_a_hundred_unseen_pictures_is_beyond_one_and_odd_ones_are(monkeypatch) -> None:
    monkeypatch.setattr(unlike_module, "DIMENSIONS", 6)
    machine = fitted(spreads(500, 30))
    assert 0.002 <= (machine.answer(spreads(4000, 30, seed=9)) > 1).mean() <= 0.03
    assert (machine.answer(spreads(20, 30, seed=3, odd=8)) > 1).all()
    assert machine.answer(np.zeros((1, 30)))[0] > 1  # plain: no spread at all, and no infinity


def test_views_and_what_is_too_little() -> None:
    x = spreads(60, 12)
    both = fitted(np.stack([x, x * np.e**0.1]))
    assert both.fitted and float(both.centre[0]) == pytest.approx(np.log(x[:, 0]).mean() + 0.05, abs=1e-5)
    few = fitted(x[: unlike_module.LEAST_ROWS - 1])
    assert not few.fitted and torch.isfinite(few(torch.zeros(2, 12))).all()
    flat = fitted(np.ones((20, 12)))  # all pictures equal
    assert np.isfinite(flat.answer(np.zeros((1, 12)))).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unlike")
    write_data(folder / "data", 14)
    write_text_tower(folder / "bert")
    return folder


def kernel_config(folder: Path) -> CoreConfig:
    config = tiny_config(folder / "bert", freeze_text=True, freeze_image="all")
    changes = {"head": "kernel", "image_pooling": "stages", "missing_text": "none"}
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, **changes),
        augment=dataclasses.replace(config.augment, flip=0.0),
    )


def test_a_run_fits_saves_and_loads_it_and_an_older_one_lacks_it(folder) -> None:
    rows = raise_td.read_split(folder / "data")
    config = dataclasses.replace(kernel_config(folder))
    config = dataclasses.replace(config, split=dataclasses.replace(config.split, kind="none"))
    train_core(rows, config, folder / "run", cpu=True, show_progress=False)
    loaded = load_core(folder / "run")
    assert loaded.model.knows_unlike and loaded.model.unlike is not None
    pixels = torch.zeros(2, 3, config.model.image_height_px, config.model.image_width_px)
    with torch.no_grad():
        encoded = loaded.model.encode_image(pixels)
        apart = loaded.model.distance(encoded)
        stages = loaded.model.image.stage_maps(
            (pixels / 255 - loaded.model.pixel_mean) / loaded.model.pixel_std, config.model.stages
        )
        deviations = [torch.sqrt(maps.var((2, 3), correction=0) + 1e-6) for maps in stages]
        wanted = loaded.model.unlike(torch.cat(deviations, dim=1))
    assert apart.shape == (2,) and torch.allclose(apart, wanted, rtol=1e-4) and (apart > 0).all()

    run = RunFolder(folder / "run")
    state = run.load_checkpoint()
    older = {key: value for key, value in state.items() if not key.startswith("unlike.")}
    assert len(state) - len(older) == 6
    run.save_checkpoint(older, {"format": "realm-core", "epoch": "1", "kept": "fitted"})
    before = load_core(folder / "run")
    assert not before.model.knows_unlike
    for key, value in before.model.state_dict().items():
        if not key.startswith("unlike."):
            assert torch.equal(value, loaded.model.state_dict()[key])
    del state["unlike.unit"]  # half of it is no older checkpoint
    with pytest.raises(TowerError, match=r"1 keys missing \(first: unlike.unit\)"):
        load_strictly(before.model, state, "run")
