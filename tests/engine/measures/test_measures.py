"""Measures of a bundle: a user's own graphs, heads on shared towers, one decode for all, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from bundles import build_bundle, read_manifest, write_manifest
from measures import (
    NATIVE,
    WHOLE,
    add_graph,
    add_measures,
    build_guests,
    check_measure,
    column,
    measure,
)
from PIL import Image

from realm_engine import Engine
from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import BundleError, UsageError
from realm_engine.opened import Contents
from realm_engine.pictures import decode


def brightness(image: np.ndarray) -> list[float]:
    return [float(image.astype(np.float64).mean() / 255.0)]


def red(image: np.ndarray) -> list[float]:
    small = Image.fromarray(image).resize((16, 8), Image.Resampling.BILINEAR)
    return [float(np.asarray(small)[:, :, 0].mean())]


@pytest.fixture(scope="module")
def guests(bundle_path, tmp_path_factory) -> Path:
    return build_guests(bundle_path, tmp_path_factory.mktemp("guests") / "guests")


@pytest.fixture(scope="module")
def opened(guests):
    with Engine.open(guests, device="cpu", threads=1) as engine:
        yield engine


@pytest.fixture
def images(photo):
    sizes = [(40, 56), (33, 20), (40, 56), (8, 16), (40, 56), (33, 20)]
    return [photo(*size, seed=seed) for seed, size in enumerate(sizes)]


@pytest.mark.parametrize(("name", "expected", "atol"), [("brightness", brightness, 1e-6), ("red", red, 0.51)])
def test_a_graph_of_a_users_own_holds_what_every_measure_holds(opened, images, name, expected, atol):
    check_measure(opened, name, images, expected, atol)


def test_a_head_reads_a_tower_and_a_line_is_clipped(opened, images):
    def expected(image):
        means = image.astype(np.float64).mean(axis=(0, 1))
        return [means.sum(), min(100.0, means[0] * 100 / 128)]

    check_measure(opened, "sums", images, expected, 1e-3)
    bright = np.full((9, 9, 3), 255, np.uint8)
    (row,) = opened.score(bright, metrics="sums")
    assert row["percent"] == 100.0


def test_several_measures_of_one_picture_share_one_decode(opened, images, tmp_path, monkeypatch):
    paths = []
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
        paths.append(tmp_path / f"{index}.png")
    decoded = []
    original = decode.load_image
    monkeypatch.setattr(
        "realm_engine.pictures.intake.load_image",
        lambda source, admit: decoded.append(source) or original(source, admit),
    )
    rows = opened.score(paths, metrics=["core", "brightness", "sums"])
    assert len(decoded) == len(paths)
    assert [list(row.values) for row in rows] == [["mos", "realness", "brightness", "total", "percent"]] * 6
    for name in ("core", "brightness", "sums"):
        for alone, together in zip(opened.score(paths, metrics=name), rows, strict=True):
            for key, value in alone.values.items():
                assert together[key] == pytest.approx(value, abs=1e-5)


def test_a_tower_runs_once_for_all_its_measures(bundle_path, tmp_path, photo, monkeypatch):
    folder = Path(shutil.copytree(bundle_path, tmp_path / "shared"))
    add_graph(folder, "tower")
    add_graph(folder, "head")
    tower = {"graph": "tower", "output": "features", "view": NATIVE}
    heads = {
        "one": measure("head", [column("total", "total", 0, 765)], tower="colours", graph="head"),
        "two": measure("head", [column("first", "first", 0, 255)], tower="colours", graph="head"),
        "raw": measure("graph", [column("red", "calls", 0, 255)], graph="tower", view=NATIVE),
    }
    add_measures(folder, heads, {"colours": tower})
    with Engine.open(folder, device="cpu", threads=1) as engine:
        session = engine._main.session("tower")._session
        calls = []
        run = session.run
        monkeypatch.setattr(
            session, "run", lambda feeds, outputs: calls.append(outputs) or run(feeds, outputs)
        )
        image = photo(20, 30)
        (row,) = engine.score(image, metrics=["one", "two", "raw"])
    assert calls == [["calls", "features"]]
    assert row["first"] == pytest.approx(row["red"]) == pytest.approx(image[:, :, 0].mean(), abs=1e-3)


def test_nan_of_one_measure_leaves_the_others(opened, photo):
    pictures = [photo(40, 56, seed=1), np.zeros((40, 56, 3), np.uint8), photo(40, 56, seed=2)]
    rows = opened.score(pictures, metrics=["brightness", "darkness"], batch_size=3)
    assert [row.error is None for row in rows] == [True, False, True]
    assert rows[1]["brightness"] == 0.0 and rows[1]["darkness"] is None
    assert rows[1].error.startswith(
        "darkness: graph log_brightness: 1 of 1 values of value are NaN or infinite"
    )
    assert all(row["darkness"] is not None for row in (rows[0], rows[2]))


def test_the_first_measure_is_the_default(opened, photo):
    (row,) = opened.score(photo())
    assert list(row.values) == ["mos", "realness"] and row.mos == row["mos"]
    with pytest.raises(AttributeError, match=r"no column 'niqe', only mos, realness"):
        _ = row.niqe


# ------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("licence"), "'licence' must be a JSON object"),
        (lambda m: m["columns"][0].update(better="up"), "'better' is 'up', must be one of high, low"),
        (lambda m: m["columns"][0].pop("better"), "'better' is missing"),
        (lambda m: m["columns"][0].update(low=1.0), "'low' must be below 'high'"),
        (lambda m: m["columns"][0].update(name="error"), "a column cannot be called 'error'"),
        (lambda m: m["columns"][0].update(name="a b"), "'a b' cannot be a name"),
        (lambda m: m["columns"][0].update(output="gone"), "graph 'brightness' has no output 'gone'"),
        (lambda m: m["columns"].clear(), "must list numbers of different names"),
        (lambda m: m["columns"].append(dict(m["columns"][0])), "must list numbers of different names"),
        (lambda m: m["columns"][0].update(name="mos"), "two measures have a column 'mos'"),
        (lambda m: m.update(graph="gone"), "there is no graph 'gone'"),
        (lambda m: m.pop("view"), "'view'.* must be a JSON object"),
        (lambda m: m.update(view={**WHOLE, "height_px": 0}), "'height_px' is 0, below 1"),
        (lambda m: m.update(view={**WHOLE, "interpolation": "nearest"}), "must be one of bilinear, bicubic"),
        (lambda m: m["columns"][0].update(low=float("nan")), "NaN is no number of JSON"),
    ],
)
def test_a_measure_with_a_fault_names_the_field(bundle_path, tmp_path, change, message):
    folder = Path(shutil.copytree(bundle_path, tmp_path / "b"))
    add_graph(folder, "brightness")
    entry = measure("graph", [column("brightness")], graph="brightness", view=NATIVE)
    add_measures(folder, {"brightness": entry})
    manifest = read_manifest(folder)
    change(manifest["measures"]["brightness"])
    write_manifest(folder, manifest)
    with pytest.raises(BundleError, match=message) as caught:
        Contents(Bundle.open(folder))
    assert "\n" not in str(caught.value)


def test_two_measures_with_one_column_cannot_stand_in_one_table(bundle_path, tmp_path, photo):
    folder = build_bundle(tmp_path / "mine", core=False, dream=False, name="mine")
    add_graph(folder, "brightness")
    add_measures(folder, {"light": measure("graph", [column("mos")], graph="brightness", view=NATIVE)})
    with (
        Engine.open(bundle_path, device="cpu", threads=1, more=[folder]) as engine,
        pytest.raises(
            UsageError, match="core and light both have a column 'mos'; ask for them one at a time"
        ),
    ):
        engine.score(photo(), metrics=["core", "light"])


def test_a_bundle_of_format_1_0_has_core_all_the_same(bundle_path):
    contents = Contents(Bundle.open(bundle_path))
    (core,) = contents.measures.all
    assert (core.name, core.kind, core.terms.licence) == ("core", "core", "CC0-1.0")
    assert [each.name for each in core.columns] == ["mos", "realness"]
