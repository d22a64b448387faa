"""`realm-train evaluate map --metric`: the map of a measure against boxes and planted flaws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from attributed_bundle import NAME, Reference, build_attributed
from click.testing import CliRunner
from clip_data import picture, write_pictures
from sklearn.metrics import roc_auc_score

from realm_engine.pictures.decode import load_image
from realm_train.cli.main import main
from realm_train.clip.judge import attribution_maps, judge_maps
from realm_train.defects.planted import planted_defects


def invoke(*arguments: object):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def attributed(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_attributed(bundle_path, tmp_path_factory.mktemp("attributed") / "attributed")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    folder = tmp_path_factory.mktemp("exam")
    write_pictures(folder / "data", 3)
    box = {"top": 9, "left": 20, "height": 30, "width": 40}
    pictures = [{"name": name, "boxes": [box]} for name in ("r0", "g3")]
    (folder / "exam.json").write_text(json.dumps({"pictures": pictures}), encoding="utf-8")
    return ["--data", folder / "data", "--exam", folder / "exam.json"]


def test_real_flaws(attributed: Path, places: list[object], tmp_path: Path) -> None:
    result = tmp_path / "maps.json"
    done = invoke("evaluate", "map", attributed, *places, "--metric", NAME, "--output", result)
    assert done.exit_code == 0, done.output
    quality = json.loads(result.read_text())
    assert not {"auc_wrong_text", "right_beats_wrong"} & quality.keys() and "wrong_text" not in done.stdout
    assert list(quality["by_picture"]) == ["r0", "g3"]
    for name, auc in quality["by_picture"].items():
        (path,) = Path(str(places[1])).rglob(f"{name}.*")
        image = load_image(path)
        mask = np.zeros(image.shape[:2], bool)
        mask[9:39, 20:60] = True
        expected = roc_auc_score(mask.ravel(), Reference().map(image).ravel())
        assert auc == pytest.approx(expected, abs=2e-3)


def test_planted_flaws(attributed: Path) -> None:
    planted = planted_defects([picture(1), picture(2)], seed=4, per_photograph=1)
    quality = judge_maps(planted, attribution_maps(attributed, NAME))
    assert quality.images == len(planted) > 0 and 0 < quality.auc < 1
    assert quality.auc == quality.auc_wrong_text and quality.right_beats_wrong == 0


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (("--metric", "core"), f"no map says where the number of core comes from; with a map: {NAME}"),
        (("--metric", NAME, "--preset", "tiny"), "--preset is about windows"),
    ],
)
def test_refusals(attributed: Path, places: list[object], extra: tuple[str, ...], named: str) -> None:
    done = invoke("evaluate", "map", attributed, *places, *extra)
    assert done.exit_code == 2 and named in done.stderr
