"""What a tower sees in a pool, once, for all queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from realm_engine.pictures.find import collect_images
from realm_train.active.config import QueryConfig
from realm_train.active.pool import FEATURES, NAMES, PoolConfig
from realm_train.active.views import views_of
from realm_train.bundle_tower import BundleTower
from realm_train.features import Progress, features_of_views
from realm_train.runs import open_run, replacing


def start_pool(
    folder: Path, bundle: str, choose: QueryConfig, output: Path, resume: bool, progress: Progress
) -> int:
    """Write the run folder of a pool, and return how many pictures it has; a killed start goes on with `resume`.

    Raises:
        ImageError, DataError: there is no picture, or one cannot be read.
        BundleError: the bundle has no trunk that gives features.
        ConfigError: the acquisition needs labels that nobody has given.
        RunError: the folder is taken, or was started otherwise.
    """
    files = collect_images([folder])
    with BundleTower.open(bundle) as tower:
        config = PoolConfig(str(folder.resolve()), bundle, tower.sha256, choose)
        run = open_run(output, config, resume)
        name, views = views_of(choose)
        paths = [file.path for file in files]
        found = features_of_views(tower, paths, {name: views}, output / "features", progress)
    with replacing(output / FEATURES) as temporary, temporary.open("wb") as stream:
        np.save(stream, found[name], allow_pickle=False)
    run.write_json(NAMES, {"names": [file.name for file in files]})
    return len(files)
