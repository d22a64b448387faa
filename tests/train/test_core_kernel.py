import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import KFold
from sklearn.svm import SVR
from train_data import tiny_config, write_data, write_text_tower

from realm_train import raise_td
from realm_train.core.checkpoint import load_core, save_run
from realm_train.core.config import CoreConfig, CoreModelConfig
from realm_train.core.kernel import ALIKE, KernelHead, KernelMachine
from realm_train.core.loaded import LoadedCore
from realm_train.core.train import Trained, train_core
from realm_train.errors import ConfigError, TowerError
from realm_train.towers import load_strictly


def kernel_config(text: Path, **model: object) -> CoreConfig:
    """Kernel head on statistics of two stages; random towers, 32 x 48 pixels."""
    config = tiny_config(text, freeze_text=True, freeze_image="all", svr_c=3.0, svr_epsilon=0.02)
    options: dict[str, object] = {
        "head": "kernel",
        "image_pooling": "stages",
        "missing_text": "none",
    }
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, **(options | model)),
        augment=dataclasses.replace(config.augment, flip=0.0),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernel")
    write_data(folder / "data", 14)
    write_text_tower(folder / "bert")
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> Trained:
    rows = raise_td.read_split(folder / "data")
    config = kernel_config(folder / "bert")
    return train_core(rows, config, folder / "run", cpu=True, show_progress=False)


def examples(rows: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, width)) / np.sqrt(width)
    return x, np.sin(3 * x[:, 0]) + x[:, 1] + 0.1 * rng.normal(size=rows)


@pytest.mark.parametrize(("c", "gamma", "epsilon"), [(1.0, 0.7, 0.1), (10.0, 2.0, 0.01)])
def test_machine_is_scikit_learns(c: float, gamma: float, epsilon: float) -> None:
    x, y = examples(60, 24)
    machine = KernelMachine(24)
    machine.fit(x, y, c, gamma, epsilon)
    reference = SVR(kernel="rbf", C=c, gamma=gamma / x.var(axis=0).sum(), epsilon=epsilon).fit(x, y)
    new, _ = examples(40, 24, seed=1)
    for points in (x, new, 4 * new):
        found = machine(torch.tensor(points, dtype=torch.float32)).numpy()
        np.testing.assert_allclose(found, reference.predict(points), atol=1e-5)
    assert len(machine.support) == len(reference.support_) < 60
    assert not list(machine.parameters())  # nothing that an optimizer could move


def test_an_additive_machine_is_the_mean_of_kernels_on_groups() -> None:
    x, y = examples(60, 10)
    machine = KernelMachine(10, (3, 5, 2))
    machine.fit(x, y, 2.0, 0.7, 0.05)

    def kernel(points: np.ndarray) -> np.ndarray:
        terms = [
            rbf_kernel(points[:, part], x[:, part], gamma=0.7 / x[:, part].var(axis=0).sum())
            for part in (slice(0, 3), slice(3, 8), slice(8, 10))
        ]
        return np.mean(terms, axis=0)

    reference = SVR(kernel="precomputed", C=2.0, epsilon=0.05).fit(kernel(x), y)
    new, _ = examples(40, 10, seed=1)
    found = machine(torch.tensor(new, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(found, reference.predict(kernel(new)), atol=1e-5)
    other = KernelMachine(10, (3, 5, 2))
    load_strictly(other, machine.state_dict(), "file")
    assert torch.equal(other(torch.tensor(new).float()), torch.from_numpy(found))
    with pytest.raises(ValueError, match="are not 10"):
        KernelMachine(10, (3, 5))
    with pytest.raises(TowerError, match="shapes differ"):
        load_strictly(KernelMachine(10), machine.state_dict(), "file")


def test_weights_go_into_a_machine_of_another_size() -> None:
    x, y = examples(30, 8)
    fitted = KernelMachine(8)
    fitted.fit(x, y, 1.0, 0.7, 0.1)
    state = fitted.state_dict()
    other = KernelMachine(8)
    other.fit(*examples(9, 8, seed=3), 1.0, 0.7, 0.0)
    assert len(other.support) != len(fitted.support)
    points = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    for load in (KernelMachine.load_state_dict, lambda m, s: load_strictly(m, s, "file")):
        for machine in (KernelMachine(8), other):
            load(machine, state)
            assert torch.equal(machine(points), fitted(points))
    nested = torch.nn.Sequential(KernelMachine(8))
    load_strictly(nested, {f"0.{key}": value for key, value in state.items()}, "file")
    assert torch.equal(nested(points), fitted(points))
    with pytest.raises(TowerError, match=r"shapes differ \(first: support"):
        load_strictly(KernelMachine(7), state, "file")
    with pytest.raises(RuntimeError, match="size mismatch"):
        KernelMachine(7).load_state_dict(state)


def test_head_answers_by_what_there_is() -> None:
    """Against scikit-learn alone: two machines, and a blend fitted to predictions for rows they had not seen."""
    rng = np.random.default_rng(0)
    image, text = (torch.tensor(rng.normal(size=(40, n)), dtype=torch.float32) for n in (10, 6))
    image[0, 0], text[1, 2] = 50.0, -80.0  # cut at 5, so that these rows stay within reach
    mirrored = image + 0.1 * torch.randn(40, 10, generator=torch.Generator().manual_seed(1))
    mos = image[:, 1].double().numpy() + text[:, 0].double().numpy() + 0.2 * rng.normal(size=40)
    has_text = torch.tensor([float(i % 4 != 3) for i in range(40)])
    head = KernelHead(10, 6)
    head.fit(torch.stack([image, mirrored]), text, has_text, mos, 2.0, 0.7, 0.05)

    first, second, words = (
        (part.clamp(-5, 5) / part.shape[1] ** 0.5).double().numpy() for part in (image, mirrored, text)
    )
    described = np.flatnonzero(has_text.numpy() > 0)

    def machines(rows: np.ndarray, text_rows: np.ndarray) -> tuple[SVR, SVR]:
        seen, target = np.concatenate([first[rows], second[rows]]), np.concatenate([mos[rows]] * 2)
        return (
            SVR(C=1.0, epsilon=0.05, gamma=0.7 / seen.var(0).sum()).fit(seen, target),
            SVR(C=2.0, epsilon=0.05, gamma=0.7 / words[text_rows].var(0).sum()).fit(
                words[text_rows], mos[text_rows]
            ),
        )

    answers = np.zeros((len(described), 2))
    for train, held_out in KFold(5, shuffle=True, random_state=0).split(described):
        by_image, by_text = machines(described[train], described[train])
        answers[held_out, 0] = by_image.predict(first[described[held_out]])
        answers[held_out, 1] = by_text.predict(words[described[held_out]])
    spread, held = (answers[:, 0] - answers[:, 1]).var(), mos[described]

    def loss(w: np.ndarray) -> float:
        """Squares, and what holds the two weights alike."""
        residuals = held - w[0] - answers @ w[1:]
        return float((residuals**2).sum() + ALIKE * len(held) * spread * ((w[1] - w[2]) / 2) ** 2)

    blend = minimize(loss, np.array([0.0, 0.5, 0.5]), method="BFGS", options={"gtol": 1e-9}).x
    by_image, by_text = machines(np.arange(40), described)
    alone = by_image.predict(first)
    expected = np.where(
        has_text.numpy() > 0, blend[0] + blend[1] * alone + blend[2] * by_text.predict(words), alone
    )
    found = head(image, text, has_text)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
    assert (head.blend[1:] > 0.2).all()  # both carry half of what there is to know
    other = head(image, torch.randn(40, 6), has_text).numpy()
    undescribed = has_text.numpy() == 0
    np.testing.assert_array_equal(other[undescribed], found.numpy()[undescribed])
    assert np.abs(other - found.numpy())[described].min() > 0


def test_groups_are_the_means_and_the_deviations_of_each_stage(folder: Path) -> None:
    rows = raise_td.read_split(folder / "data")
    config = kernel_config(folder / "bert", kernel="additive")
    made = train_core(rows, config, folder / "additive", cpu=True, show_progress=False)
    model = load_core(made.run.path).model
    assert isinstance(model.head, KernelHead)
    widths = [model.image.stage_widths[stage] for stage in (1, 3)]
    assert model.head.image.groups == (widths[0], widths[0], widths[1], widths[1])
    assert model.head.image.gamma.shape == (4,) and model.head.text.gamma.shape == ()


def test_too_few_descriptions_leave_the_image_alone() -> None:
    rng = np.random.default_rng(0)
    image, text = (torch.tensor(rng.normal(size=(12, n)), dtype=torch.float32) for n in (4, 3))
    has_text = torch.tensor([1.0] * 9 + [0.0] * 3)
    head = KernelHead(4, 3)
    head.fit(image[None], text, has_text, rng.normal(size=12), 1.0, 0.7, 0.05)
    assert torch.equal(head(image, text, has_text), head(image, text, torch.zeros(12)))


def test_fitted_core(folder: Path, trained: Trained) -> None:
    """The head is a regression on the standardised features of the towers; the run folder holds it all."""
    loaded = load_core(trained.run.path)
    model = loaded.model
    assert isinstance(model.head, KernelHead) and model.trained_without_text
    assert model.image_width == 2 * sum(model.image.stage_widths[stage] for stage in (1, 3))
    rows = raise_td.read_split(folder / "data")
    names = trained.run.read_json("split.json")
    pixels, _ = raise_td.load_pixels(rows, 32, 48)
    at = {row.filename: i for i, row in enumerate(rows)}
    train = [at[name] for name in names["train"]]

    @torch.no_grad()
    def features(which: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        image = torch.stack([torch.from_numpy(pixels[i].copy()).permute(2, 0, 1).float() for i in which])
        texts = []
        for i in which:
            ids = torch.tensor([loaded.tokenizer.encode(rows[i].description).ids])
            texts.append(model.encode_text(ids, torch.ones_like(ids))[0])
        return model.encode_image(image), torch.stack(texts)

    image, text = features(train)
    torch.testing.assert_close(
        model.image_norm(image).mean(0), torch.zeros(model.image_width), atol=1e-3, rtol=0
    )
    described = torch.tensor([bool(rows[i].description) for i in train])
    mos = np.array([rows[i].mos for i in train])
    scaled = (model.image_norm(image).clamp(-5, 5) / model.image_width**0.5).double().numpy()
    keep = described.numpy()
    machine = SVR(C=3.0, epsilon=0.02, gamma=0.7 / scaled.var(0).sum()).fit(scaled, mos)
    with torch.no_grad():
        found = model.fuse(image, text, described.float()).numpy()
        alone = model.fuse(image, text, torch.zeros(len(train))).numpy()
    np.testing.assert_allclose(alone, machine.predict(scaled), atol=1e-3)
    np.testing.assert_array_equal(found[~keep], alone[~keep])
    expected = model.head.blend[0] + model.head.blend[1] * torch.tensor(alone)[keep]
    words = model.head.text(model.text_norm(text).clamp(-5, 5) / model.text_width**0.5)[keep]
    np.testing.assert_allclose(found[keep], (expected + model.head.blend[2] * words).numpy(), atol=1e-4)
    assert np.abs(alone - mos).max() < 0.3  # noise whose strength is the MOS is easy

    assert trained.epoch == 1 and trained.run.checkpoint_metadata()["kept"] == "fitted"
    assert (trained.run.path / "predictions.csv").is_file()
    rows_again = train_core(
        rows, kernel_config(folder / "bert"), trained.run.path, resume=True, cpu=True, show_progress=False
    )
    assert rows_again == trained  # finished: nothing is fitted again


def test_round_trip_of_a_run(trained: Trained, tmp_path: Path) -> None:
    loaded = load_core(trained.run.path)
    save_run(tmp_path / "copy", loaded, {"format": "realm-core", "epoch": "1"})
    copy: LoadedCore = load_core(tmp_path / "copy")
    expected, found = loaded.model.state_dict(), copy.model.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_init_from_a_fitted_run(folder: Path, trained: Trained, tmp_path: Path) -> None:
    """Another fit, with other settings, on the towers of the first."""
    rows = raise_td.read_split(folder / "data")
    config = kernel_config(folder / "bert")
    config = dataclasses.replace(
        config, train=dataclasses.replace(config.train, init=str(trained.run.path), svr_c=0.05)
    )
    second = train_core(rows, config, tmp_path / "run", cpu=True, show_progress=False).run.load_checkpoint()
    first = trained.run.load_checkpoint()
    assert all(torch.equal(first[key], second[key]) for key in first if not key.startswith("head."))
    assert (
        second["head.image.coefficient"].abs().max()
        <= 0.05 + 1e-6
        < first["head.image.coefficient"].abs().max()
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "kernel"}, "set feature_normalisation=standardise"),
        ({"head": "forest"}, "head is 'forest', expected one of mlp, kernel"),
        ({"image_pooling": "stages"}, "give stage indices"),
        ({"stages": (1,)}, "give stage indices"),
        ({"text_layers": -1}, "text_layers is -1"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CoreModelConfig(**settings)  # type: ignore[arg-type]
