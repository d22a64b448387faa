"""A ridge of few ratings: the arithmetic against plain loops, how it is measured, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import pearsonr, spearmanr
from sklearn.model_selection import KFold

from realm_engine.errors import ImageError, RealmError
from realm_train.errors import ConfigError, DataError, RunError
from realm_train.ridge import curve
from realm_train.ridge.examples import Examples, brought_examples, statistics_of
from realm_train.ridge.fit import fit_ridge, held_out_predictions
from realm_train.ridge.ratings import read_rated, read_ratings
from realm_train.ridge.run import RidgeConfig, read_ridge, train_ridge

ALPHAS = (0.1, 10.0, 1000.0)


def problem(rows: int = 60, width: int = 90, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """More features than rows, of scales that differ a thousandfold, and ratings 0 to 100 that follow five of them."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-3, 3, width)
    x = rng.normal(size=(rows, width))
    y = x[:, :5].sum(axis=1) + rng.normal(size=rows)
    return (x * scale + 5 * scale).astype(np.float32), 50 + 12 * y


def plain_ridge(x: np.ndarray, y: np.ndarray, alpha: float) -> tuple[np.ndarray, float]:
    """Weight and bias for raw features by the normal equations in float64."""
    x = x.astype(np.float64)
    mean, std = x.mean(axis=0), x.std(axis=0)
    z = (x - mean) / std
    weight = np.linalg.solve(z.T @ z + alpha * np.eye(x.shape[1]), z.T @ (y - y.mean())) / std
    return weight, float(y.mean() - mean @ weight)


def plain_choice(x: np.ndarray, y: np.ndarray) -> float:
    """The penalty of the least squared error over five inner folds, features standardised once."""
    z = (x - x.astype(np.float64).mean(axis=0)) / x.astype(np.float64).std(axis=0)
    errors = dict.fromkeys(ALPHAS, 0.0)
    for train, test in KFold(5, shuffle=True, random_state=0).split(z):
        centre, middle = z[train].mean(axis=0), y[train].mean()
        for alpha in ALPHAS:
            inside = z[train] - centre
            weight = np.linalg.solve(
                inside.T @ inside + alpha * np.eye(z.shape[1]), inside.T @ (y[train] - middle)
            )
            errors[alpha] += float(np.mean((middle + (z[test] - centre) @ weight - y[test]) ** 2))
    return min(errors, key=errors.__getitem__)


@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_the_normal_equations_with_the_penalty_of_inner_folds(seed):
    x, y = problem(seed=seed)
    fitted = fit_ridge(x, y, ALPHAS)
    assert fitted.alpha == plain_choice(x, y)
    weight, bias = plain_ridge(x, y, fitted.alpha)
    np.testing.assert_allclose(fitted.predict(x), x @ weight + bias, rtol=1e-8)
    folded, offset = fitted.folded
    np.testing.assert_allclose(folded, weight, rtol=1e-6, atol=1e-12)
    assert offset == pytest.approx(bias, rel=1e-6)


def test_a_feature_that_never_varies_has_no_say():
    x, y = problem()
    x[:, 3] = 7
    fitted = fit_ridge(x, y, ALPHAS)
    assert fitted.weight[3] == 0 and np.isfinite(fitted.predict(x)).all()


def test_a_held_out_prediction_has_not_seen_its_row():
    x, y = problem(rows=40)
    before = held_out_predictions(x, y, ALPHAS)
    changed = y.copy()
    changed[7] += 1000
    after = held_out_predictions(x, changed, ALPHAS)
    fold = next(test for _, test in KFold(5, shuffle=True, random_state=0).split(x) if 7 in test)
    others = np.setdiff1d(np.arange(40), fold)
    np.testing.assert_array_equal(before[fold], after[fold])
    assert (before[others] != after[others]).all()


def test_nothing_is_found_in_ratings_that_are_chance():
    x, _ = problem(rows=200)
    y = np.random.default_rng(1).normal(size=200)
    assert abs(spearmanr(held_out_predictions(x, y, ALPHAS), y)[0]) < 0.25


# ------------------------------------------------------------------------------------------------ the curve


@pytest.mark.parametrize(
    ("rows", "counts"), [(510, [50, 100, 200, 408]), (62, [49]), (64, [50, 51]), (39, []), (40, [32])]
)
def test_a_curve_has_the_sizes_that_are_there(rows, counts):
    assert curve.label_counts(rows) == counts


def test_draws_test_every_row_equally_often_and_never_one_that_teaches():
    tested = np.zeros(53, int)
    orders = []
    for pool, test in curve.draws(53, 20):
        assert not set(pool) & set(test) and len(pool) + len(test) == 53
        tested[test] += 1
        orders.append(tuple(pool[:10]))
    assert (tested == 4).all() and len(set(orders)) == 20


def test_a_point_is_median_and_percentiles_of_what_its_draws_found():
    x, y = problem(rows=64, width=6)
    point = curve.learning_curve(x, y, ALPHAS)[0]
    found = []
    for pool, test in curve.draws(64):
        predicted = fit_ridge(x[pool[:50]], y[pool[:50]], ALPHAS).predict(x[test])
        cubic = np.polyval(np.polyfit(predicted, y[test], 3), predicted)
        pairs = (spearmanr(predicted, y[test]), pearsonr(predicted, y[test]), pearsonr(cubic, y[test]))
        found.append([pair[0] for pair in pairs])
    assert point.labels == 50 and point.draws == 20 and not point.everything
    for column, name in enumerate(("srocc", "plcc", "plcc_after_cubic")):
        values = sorted(each[column] for each in found)
        spread = point.agreement[name]
        assert spread.median == pytest.approx((values[9] + values[10]) / 2, abs=1e-6)
        assert values[0] <= spread.low <= values[1] and values[18] <= spread.high <= values[19]


# ---------------------------------------------------------------------------------------------- the table


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "sub/c.webp", "sub/a.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    return folder


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_ratings_are_read_as_spreadsheets_write_them(tmp_path, pictures):
    table = write(tmp_path / "r.csv", "filename;note;Rating\na.png;x;3,5\nc.png;;4\nb;y;\n\nsub/a.png;z;-1\n")
    rated = read_rated(table, pictures)
    assert [(each.name, each.path.relative_to(pictures).as_posix(), each.rating) for each in rated] == [
        ("a.png", "a.png", 3.5),
        ("c.png", "sub/c.webp", 4.0),
        ("sub/a.png", "sub/a.png", -1.0),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: no column 'filename'; found nothing"),
        ("filename,stars\na.png,3\n", "line 1: no column 'rating' or 'MOS'; found filename, stars"),
        ("filename,rating\na.png,3\nb.jpg,good\n", "line 3: rating 'good' is no number"),
        ("filename,rating\na.png,inf\n", "line 2: rating 'inf' is no number"),
        ("filename,rating\n,3\n", "line 2: the file name is empty"),
        ("filename,rating\na.png,3,4\n", "line 2: 3 cells, the header has 2"),
        ("filename,rating\na.png,3\nd.png,3\n", "line 3: no picture d.png in "),
        ('filename,rating\n"sub/c\n.webp",3\n', "line 2: no picture"),
        ("filename,rating\nb,3\na.png,2\nb.jpg,3\n", "line 4: b.jpg is rated on line 2 already"),
        ("filename,rating\na.png,\n", "has no rating; write numbers into the column 'rating'"),
        ("filename,rating\n\"a.png,3\n", "cannot be read as UTF-8 CSV"),
    ],
)  # fmt: skip
def test_a_table_that_is_wrong_names_the_line(tmp_path, pictures, text, words):
    table = write(tmp_path / "r.csv", text)
    with pytest.raises(DataError) as raised:
        read_rated(table, pictures)
    assert str(table) in str(raised.value) and words in str(raised.value) and "\n" not in words


def test_a_name_that_several_pictures_have_is_refused(tmp_path, pictures):
    Image.new("RGB", (8, 8)).save(pictures / "sub" / "b.png")
    Image.new("RGB", (8, 8)).save(pictures / "b.bmp")
    with pytest.raises(DataError, match=r"line 2: several pictures in .* are called b; write its path"):
        read_rated(write(tmp_path / "r.csv", "filename,rating\nb,3\n"), pictures)


# ------------------------------------------------------------------------------------------- own features


def brought(tmp_path: Path, values: object, names: str, ratings: str = "b,2\na,1\n") -> Examples:
    np.save(tmp_path / "f.npy", values)
    table = write(tmp_path / "r.csv", "filename,rating\n" + ratings)
    listed = write(tmp_path / "n.txt", names)
    return brought_examples(read_ratings(table), table, tmp_path / "f.npy", listed)


def test_own_features_are_found_by_name(tmp_path):
    found = brought(tmp_path, np.arange(6.0).reshape(3, 2), "a\nb\nc\n")
    assert found.names == ("b", "a") and found.fitted_on == {}
    np.testing.assert_array_equal(found.features, [[2, 3], [0, 1]])
    np.testing.assert_array_equal(found.ratings, [2, 1])


@pytest.mark.parametrize(
    ("values", "names", "words"),
    [
        (np.zeros((2, 2)), "a\nb\nc\n", "3 names for 2 rows"),
        (np.zeros((2, 2)), "a\na\n", "a stands twice"),
        (np.zeros((2, 2)), "a\nc\n", "line 2: b is not in"),
        (np.zeros(2), "a\nb\n", "expected numbers \\[pictures, features\\]"),
        (np.array([["x", "y"]]), "a\n", "expected numbers"),
        (np.array([[0, 1], [np.nan, 1]]), "a\nb\n", "row 2 holds a number that is not finite"),
        (np.array([[{}]], dtype=object), "a\n", "no .npy file of numbers"),
    ],
)
def test_own_features_that_do_not_fit_are_refused(tmp_path, values, names, words):
    with pytest.raises(DataError, match=words):
        brought(tmp_path, values, names)


def test_plain_statistics_are_those_of_brisque_and_niqe(tmp_path, photo):
    import nss_reference

    picture = photo(200, 220)
    Image.fromarray(picture).save(tmp_path / "p.png")
    found = statistics_of(tmp_path / "p.png")
    assert found.shape == (72,) and found.dtype == np.float32
    np.testing.assert_allclose(found[36:], nss_reference.brisque_features(picture), rtol=2e-3, atol=2e-3)
    for size in (90, 200):
        Image.new("RGB", (size, 200)).save(tmp_path / "flat.png")
        with pytest.raises(ImageError, match=r"flat\.png: "):
            statistics_of(tmp_path / "flat.png")


# -------------------------------------------------------------------------------------------- the run folder


def examples(rows: int = 40, width: int = 6) -> Examples:
    x, y = problem(rows, width)
    return Examples(tuple(f"{row}.png" for row in range(rows)), x, y, {"core": "ab" * 32})


def test_a_run_is_read_as_it_was_fitted(tmp_path):
    config = RidgeConfig("mine", "trunk", alphas=ALPHAS)
    ridge, report = train_ridge(examples(), config, tmp_path / "run")
    saved = read_ridge(tmp_path / "run")
    assert saved.config == config and saved.fitted_on == {"core": "ab" * 32}
    x, y = problem(40, 6)
    np.testing.assert_array_equal(saved.ridge.predict(x), ridge.predict(x))
    assert saved.range == (y.min(), y.max()) and saved.metrics["images"] == 40
    assert saved.metrics["srocc"] == pytest.approx(report.held_out["srocc"].value, abs=1e-4)
    assert saved.metrics["srocc"] == pytest.approx(
        spearmanr(held_out_predictions(x, y, ALPHAS), y)[0], abs=1e-4
    )
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("config.json", "checkpoint.safetensors", "metrics.json"),
        *("curve.csv", "curve.png", "predictions.csv"),
    }
    with pytest.raises(RunError, match="already holds a run"):
        train_ridge(examples(), config, tmp_path / "run")


def test_ratings_that_are_set_aside_teach_nothing(tmp_path):
    config = RidgeConfig("mine", "trunk", labels=30, alphas=ALPHAS)
    ridge, report = train_ridge(examples(), config, tmp_path / "run")
    aside = np.random.default_rng(0).permutation(40)[30:]
    x, y = problem(40, 6)
    expected = spearmanr(ridge.predict(x[aside]), y[aside])[0]
    assert report.rows == 30 and report.unseen["srocc"].value == pytest.approx(expected)
    y[aside] = 0
    other, _ = train_ridge(Examples(examples().names, x, y), config, tmp_path / "other")
    np.testing.assert_array_equal(ridge.weight, other.weight)


@pytest.mark.parametrize(
    ("ratings", "labels", "words"),
    [
        (np.arange(9.0), None, "9 ratings are too few to learn from; give at least 10"),
        (np.arange(20.0), 9, "9 ratings are too few"),
        (np.full(20, 3.0), None, "all 20 ratings are 3; there is nothing to learn"),
        (np.arange(20.0), 21, "--labels 21: there are 20 ratings"),
    ],
)
def test_what_cannot_teach_is_refused(tmp_path, ratings, labels, words):
    x, _ = problem(len(ratings), 6)
    names = tuple(map(str, range(len(ratings))))
    with pytest.raises(RealmError, match=words):
        train_ridge(Examples(names, x, ratings), RidgeConfig("mine", "trunk", labels), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("change", [{"name": "Mine"}, {"alphas": ()}, {"alphas": (0.0,)}, {"seed": -1}])
def test_a_configuration_that_is_none_is_refused(change):
    with pytest.raises(ConfigError):
        RidgeConfig(**{"name": "mine", "features": "trunk", **change})


def test_another_run_is_none_of_a_ridge(tmp_path):
    train_ridge(examples(), RidgeConfig("mine", "trunk", alphas=ALPHAS), tmp_path / "run")
    metrics = tmp_path / "run" / "metrics.json"
    metrics.write_text(json.dumps({"alpha": 1}))
    with pytest.raises(RunError, match="no run of realm-train ridge"):
        read_ridge(tmp_path / "run")
