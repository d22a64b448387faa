"""What niqe and brisque are worth on RAISE-TD, for the manifest and the table of docs/measures.md.

    python -m export --niqe --brisque --output out/nss
    python recipes/nss_worth.py out/nss --data path/to/raise-td --output out/nss-worth.json

Of the training split's pictures: rank correlation with people's ratings, of all and of the generated ones alone, and
how well the value tells photographs from generated pictures (ROC-AUC of "the worse value is generated"). Nothing is
fitted. A low value is good, so a useful measure has a negative correlation; it is shown with its sign turned.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import rankdata, spearmanr

from realm_engine import Engine
from realm_engine.arrays import Float64
from realm_engine.errors import RealmError
from realm_train.raise_td import read_split

PHOTOGRAPHS = "r"  # how the names of RAISE-TD's photographs begin


def auc(photographs: Float64, generated: Float64) -> float:
    """Share of pairs in which the generated picture has the higher value, ties half."""
    ranks = rankdata(np.concatenate([photographs, generated]))[len(photographs) :]
    above = ranks.sum() - len(generated) * (len(generated) + 1) / 2
    return float(above / (len(photographs) * len(generated)))


def worth(values: Float64, mos: Float64, photograph: np.ndarray) -> dict[str, object]:
    """The numbers of one measure of which low is good; `photograph`: bool [pictures]."""
    return {
        "protocol": "RAISE-TD, training split, nothing fitted; it sees noise, blur and compression, not realness",
        "images": len(values),
        "srocc_mos": round(-float(spearmanr(values, mos)[0]), 3),
        "srocc_mos_generated": round(-float(spearmanr(values[~photograph], mos[~photograph])[0]), 3),
        "auc_photograph_generated": round(auc(values[photograph], values[~photograph]), 3),
    }


def main() -> None:
    """Measure all pictures and write a JSON object by measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="bundle with niqe and brisque")
    parser.add_argument("--data", type=Path, required=True, help="RAISE-TD")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        rows = read_split(arguments.data)
        with Engine.open(arguments.bundle) as engine:
            names = [measure.name for measure in engine.measures if measure.name in ("niqe", "brisque")]
            scores = engine.score([row.path for row in rows], metrics=names)
    except RealmError as error:
        sys.exit(f"error: {error}")
    failed = [score for score in scores if score.error is not None]
    if failed:
        sys.exit(f"error: {len(failed)} of {len(rows)} pictures have no answer, first {failed[0].error}")
    mos = np.array([row.mos for row in rows])
    photograph = np.array([row.path.name.startswith(PHOTOGRAPHS) for row in rows])
    found = {
        name: worth(np.array([score[name] for score in scores], dtype=np.float64), mos, photograph)
        for name in names
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
