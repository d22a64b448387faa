"""Where the measures of a bundle lie on RAISE-TD's training split, so that `score --combine` can add them up.

    python recipes/measure_scales.py realm-tiny --data path/to/raise-td --output out/scales.json
    python -m export --into realm-tiny --scales out/scales.json --output out/realm-tiny

Of each measure's first column: the 5th and the 95th percentile over all pictures, without their descriptions (a text
that one generator has and another lacks must not decide). Nothing is fitted. CORE learned from these pictures: its
scale is a unit, not a promise.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from realm_engine import Engine
from realm_engine.arrays import Float64
from realm_engine.errors import RealmError
from realm_train.raise_td import read_split

SET = "RAISE-TD, training split, without descriptions"


def scale(values: Float64, pictures: str) -> dict[str, float | str]:
    """The scale of a measure by its values on some pictures, as the manifest holds it."""
    p5, p95 = np.percentile(values, [5, 95])
    return {"p5": round(float(p5), 6), "p95": round(float(p95), 6), "set": pictures}


def scales(
    engine: Engine, paths: Sequence[Path], metrics: Sequence[str]
) -> Mapping[str, Mapping[str, object]]:
    """Scales by measure. Raises RealmError; a picture without an answer ends the recipe."""
    columns = {measure.name: measure.columns[0].name for measure in engine.chosen(metrics).listed}
    rows = engine.score(paths, metrics=metrics)
    failed = [row for row in rows if row.error is not None]
    if failed:
        sys.exit(f"error: {len(failed)} of {len(rows)} pictures have no answer, first {failed[0].error}")
    return {
        name: scale(np.array([row[column] for row in rows], dtype=np.float64), SET)
        for name, column in columns.items()
    }


def main() -> None:
    """Measure all pictures and write a JSON object by measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", help="name or folder of the bundle")
    parser.add_argument("--data", type=Path, required=True, help="RAISE-TD")
    parser.add_argument("--metric", default="core,niqe,brisque", help="measures, separated by commas")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        paths = [row.path for row in read_split(arguments.data)]
        with Engine.open(arguments.bundle) as engine:
            found = scales(engine, paths, arguments.metric.split(","))
    except RealmError as error:
        sys.exit(f"error: {error}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
