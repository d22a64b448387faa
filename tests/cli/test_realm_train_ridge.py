"""`realm-train ridge` as a user runs it: from pictures and ratings to a measure of a bundle, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from bundles import read_manifest, write_manifest
from click.testing import CliRunner, Result
from command_line import run_export
from measures import NATIVE, add_graph, add_measures, column, measure
from PIL import Image

from export.errors import ExportError
from export.parts.ridge import OwnRatings
from realm_engine import Engine
from realm_engine.bundle.bundle import Bundle
from realm_engine.cli.main import main as realm_engine
from realm_engine.errors import BundleError
from realm_engine.opened import Contents
from realm_train.bundle_tower import BundleTower
from realm_train.cli.main import main
from realm_train.ridge.run import read_ridge

FEW_ALPHAS = ("--set", "alphas=1,1000")
TERMS = ("--licence", "CC0-1.0", "--training-data", "24 pictures of a test", "--commercial-use")


def ridge(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["ridge", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def bundle(bundle_path, tmp_path_factory) -> Path:
    """A bundle with a tower that gives features: the mean of each channel."""
    folder = shutil.copytree(bundle_path, tmp_path_factory.mktemp("ridge") / "listed")
    add_graph(folder, "tower")
    red = measure("graph", [column("red", "calls", 0, 255)], graph="tower", view=NATIVE)
    return add_measures(folder, {"red": red})


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """24 pictures of one colour each and how bright they are, 0 to 5."""
    folder = tmp_path_factory.mktemp("rated")
    rng = np.random.default_rng(0)
    lines = ["filename,rating"]
    for number in range(24):
        level = int(rng.integers(20, 236))
        noise = rng.normal(level, 12, (40, 56, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{level / 51:.3f}")
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def trained(bundle, data, tmp_path_factory) -> tuple[Path, Path, Result]:
    """The run folder, the bundle with its measure, and what was said."""
    folder = tmp_path_factory.mktemp("runs")
    result = ridge(
        *("--data", data, "--ratings", data / "ratings.csv", "--name", "how-bright", "--output", folder / "run"),
        *(*FEW_ALPHAS, "--into", bundle, folder / "new", *TERMS),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder / "run", folder / "new", result


def test_ratings_become_a_measure_of_the_bundle(trained, bundle, data):
    run, new, result = trained
    assert (
        "how-bright: 24 ratings" in result.stdout
        and "held out in 5 folds, 95 % intervals: SROCC" in result.stdout
    )
    assert result.stderr.splitlines()[0].startswith("warning: 24 ratings are few: SROCC ")
    manifest = read_manifest(new)
    entry = manifest["measures"]["how-bright"]
    saved = read_ridge(run)
    assert entry["kind"] == "head" and entry["metrics"] == saved.metrics and entry["metrics"]["images"] == 24
    assert entry["licence"] == {"weights": "CC0-1.0", "commercial_use": True}
    assert entry["training_data"] == "24 pictures of a test"
    assert entry["fitted_on"] == {"tower": Bundle.open(bundle).sha256("tower")}
    assert entry["tower"] == "tower"
    assert manifest["towers"] == {"tower": {"graph": "tower", "output": "features", "view": NATIVE}}
    for file, listed in read_manifest(bundle)["files"].items():
        assert manifest["files"][file] == listed
    (only,) = entry["columns"]
    assert (only["name"], only["better"]) == ("how_bright", "high")
    assert (only["low"], only["high"]) == saved.range and only["decimals"] == 2

    pictures = [data / f"{number}.png" for number in range(4)]
    with BundleTower.open(str(bundle)) as tower:
        expected = saved.ridge.predict(tower.features(pictures))
    with Engine.open(new, device="cpu", threads=1) as engine:
        rows = engine.score(pictures, metrics=["core", "how-bright"])
    np.testing.assert_allclose([row["how_bright"] for row in rows], expected, atol=2e-3)


def test_a_measure_that_follows_the_ratings_ranks_what_it_has_not_seen(trained):
    run, _, _ = trained
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["held_out"]["srocc"]["value"] > 0.9


def test_the_export_adds_the_same_measure_and_names_a_file_that_is_there(trained, bundle, tmp_path):
    run, new, _ = trained
    again = run_export("--into", bundle, "--ridge", run, *TERMS, "--output", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    ours, theirs = read_manifest(tmp_path / "again"), read_manifest(new)
    aside = {
        "name": "",
        "files": {},
        "fidelity": {},
    }  # files say the name, and differences are of the last bits
    assert ours | aside == theirs | aside and list(ours["files"]) == list(theirs["files"])
    twice = run_export("--into", new, "--ridge", run, *TERMS, "--output", tmp_path / "twice")
    assert twice.returncode == 2 and "has a measure how-bright already" in twice.stderr


# --------------------------------------------------------------------------------- heads and their towers


def with_another_tower(bundle: Path, folder: Path) -> Path:
    """The bundle with a tower that has other bytes."""
    shutil.copytree(bundle, folder)
    with (folder / "tower.onnx").open("ab") as file:
        file.write(b"\x7a\x00")  # an unknown field of length 0, which readers skip
    write_manifest(folder, read_manifest(folder))
    return folder


def test_a_head_is_left_out_beside_a_tower_that_it_was_not_fitted_on(trained, bundle, tmp_path):
    run, new, _ = trained
    changed = with_another_tower(new, tmp_path / "changed")
    digest = read_ridge(run).fitted_on["tower"]
    contents = Contents(Bundle.open(changed))
    why = (
        f"it was fitted on another tower graph ({digest[:4]}...); "
        "fit it again with realm-train, or use that bundle"
    )
    assert contents.measures.unknown == {"how-bright": why}
    assert "how-bright" not in [measure.name for measure in contents.measures.all]
    for command in (
        ["score"],
        ["compare", "--output", tmp_path / "compared"],
        ["map", "--output", tmp_path / "maps"],
    ):
        folders = [tmp_path / "one", tmp_path / "two"] if command[0] == "compare" else [tmp_path / "one"]
        for shade, folder in enumerate(folders):
            folder.mkdir(exist_ok=True)
            Image.new("RGB", (64, 64), (9, 99, 199 + shade)).save(folder / "picture.png")
        done = CliRunner().invoke(
            realm_engine,
            [*map(str, command), *map(str, folders), "--bundle", str(changed), "--metric", "how-bright"],
        )
        assert done.exit_code == 2, done.output
        assert f"measure 'how-bright' cannot be read: {why}" in " ".join(done.stderr.split())
    other = with_another_tower(bundle, tmp_path / "other")
    with pytest.raises(
        ExportError, match=r"fitted on another tower graph .* fit it again with realm-train ridge"
    ):
        OwnRatings(read_ridge(run), Bundle.open(other))


def test_a_head_is_left_out_where_its_tower_is_not_there(trained, tmp_path):
    folder = shutil.copytree(trained[1], tmp_path / "changed")
    manifest = read_manifest(folder)
    manifest["measures"]["how-bright"]["fitted_on"] = {"gone": "ab" * 32}
    write_manifest(folder, manifest)
    found = Contents(Bundle.open(folder)).measures.unknown
    assert found["how-bright"].startswith("it was fitted on another gone graph (abab...); ")


@pytest.mark.parametrize("fitted_on", [[], {"tower": 3}])
def test_fitted_on_of_another_form_is_refused(trained, tmp_path, fitted_on):
    folder = shutil.copytree(trained[1], tmp_path / "changed")
    manifest = read_manifest(folder)
    manifest["measures"]["how-bright"]["fitted_on"] = fitted_on
    write_manifest(folder, manifest)
    with pytest.raises(BundleError):
        Contents(Bundle.open(folder))


# ------------------------------------------------------------------------------------------- what is refused


def one_line(result: Result) -> str:
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    return line


def test_what_is_wrong_is_one_line_before_any_work(data, tmp_path):
    ratings = ("--ratings", data / "ratings.csv", "--output", tmp_path / "run")
    pictures = (*ratings, "--data", data)
    np.save(tmp_path / "f.npy", np.zeros((24, 3)))
    into = ("--into", "realm-tiny", tmp_path / "new")
    for arguments, words in (
        ((*pictures, "--name", "Mine"), "--name Mine: a measure's name has lower case letters"),
        ((*ratings, "--name", "mine"), "--data is missing"),
        ((*pictures, "--name", "mine", "--features", tmp_path / "f.npy"), "--names FILE belong together"),
        ((*pictures, "--name", "mine", *into), "--into: say --licence and --training-data"),
        ((*pictures, "--name", "mine", *TERMS), "without --into; leave them out"),
        ((*pictures, "--name", "mine", "--features", "nss", *into, *TERMS), "that gives the features nss"),
        ((*pictures, "--name", "mine", "--bundle", "nowhere"), "bundle 'nowhere' not found"),
        ((*pictures, "--name", "mine", "--set", "alphas=0"), "alphas"),
    ):
        assert words in one_line(ridge(*arguments))
        assert not (tmp_path / "run").exists()


def test_a_picture_that_cannot_be_read_is_named(bundle, data, tmp_path):
    folder = shutil.copytree(data, tmp_path / "rated")
    (folder / "3.png").write_bytes(b"no picture")
    line = one_line(
        ridge("--data", folder, "--ratings", folder / "ratings.csv", "--name", "m", "--bundle", bundle,
              "--output", tmp_path / "run")
    )  # fmt: skip
    assert "3.png" in line


def test_own_features_need_no_pictures_and_go_into_no_bundle(data, bundle, tmp_path):
    names = "\n".join(f"{number}.png" for number in range(24))
    (tmp_path / "names.txt").write_text(names)
    np.save(tmp_path / "f.npy", np.random.default_rng(0).normal(size=(24, 3)))
    result = ridge(
        *("--ratings", data / "ratings.csv", "--name", "mine", "--output", tmp_path / "run", *FEW_ALPHAS),
        *("--features", tmp_path / "f.npy", "--names", tmp_path / "names.txt"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    with pytest.raises(ExportError, match="no bundle has a graph that gives its features"):
        OwnRatings(read_ridge(tmp_path / "run"), Bundle.open(bundle))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--ridge without --into"),
        (("--into", "realm-tiny"), "--ridge: say --licence and --training-data"),
        (("--into", "realm-tiny", *TERMS, "--niqe"), "--ridge is none of --niqe; leave it out"),
        (
            ("--into", "realm-tiny", *TERMS, "--precision", "fp16"),
            "--precision is none of --ridge; leave it out",
        ),
    ],
)
def test_export_options_that_do_not_go_together(trained, tmp_path, options, words):
    from click.testing import CliRunner as Runner

    from export.__main__ import export

    result = Runner().invoke(
        export, ["--ridge", str(trained[0]), *options, "--output", str(tmp_path / "new")]
    )
    assert isinstance(result.exception, ExportError) and words in str(result.exception)
