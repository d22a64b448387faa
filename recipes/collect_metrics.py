"""The measured numbers of a recipe as one JSON object, for the manifest of its bundle."""

import argparse
import json
from pathlib import Path
from typing import Any

MAP_KEYS = (
    "images",
    "auc",
    "auc_wrong_text",
    "right_beats_wrong",
    "auc_centre",
    "auc_texture",
    "auc_judd",
    "nss",
    "cc",
    "iou",
    "flatness",
)


def core_metrics(report: dict[str, Any]) -> dict[str, Any]:
    """What a cross-validation's metrics.json says; intervals are 95 % bootstrap."""
    found: dict[str, Any] = {
        "protocol": f"{len(report['folds'])}-fold cross-validation, predictions of all folds pooled",
        "images": report["rows"],
    }
    for part in ("text", "image_only"):
        for name, estimate in report[part].items():
            found[f"{name}_{part}"] = round(estimate["value"], 4)
            found[f"{name}_{part}_interval"] = [round(estimate["low"], 4), round(estimate["high"], 4)]
    return found


def map_metrics(report: dict[str, Any]) -> dict[str, Any]:
    """What `realm-train evaluate map --output` wrote."""
    return {
        "protocol": "flaws put into photographs never trained on",
        **{key: round(report[key], 4) for key in MAP_KEYS},
        "auc_by_kind": {kind: round(auc, 4) for kind, auc in report["by_kind"].items()},
    }


def real_metrics(report: dict[str, Any]) -> dict[str, Any]:
    """What `realm-train evaluate map --exam --output` wrote; the interval is 95 % bootstrap over pictures."""
    return {
        "protocol": "real flaws of generated pictures, in boxes that a vision-language model drew",
        **{key: round(report[key], 4) for key in MAP_KEYS if key in report},
        "auc_interval": [round(report["auc_low"], 4), round(report["auc_high"], 4)],
    }


def main() -> None:
    """Read the three reports and write one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", type=Path, required=True, help="metrics.json of a cross-validation")
    parser.add_argument("--map", type=Path, required=True, help="evaluate map, all kinds of flaw")
    parser.add_argument("--map-held-out", type=Path, required=True, help="the same, kinds never trained on")
    parser.add_argument("--map-real", type=Path, required=True, help="the same, real flaws in drawn boxes")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    core, every, held_out, real = (
        json.loads(path.read_text(encoding="utf-8"))
        for path in (arguments.core, arguments.map, arguments.map_held_out, arguments.map_real)
    )
    metrics = {
        "core": core_metrics(core),
        "map": map_metrics(every),
        "map_kinds_never_trained_on": map_metrics(held_out),
        "map_real_flaws": real_metrics(real),
    }
    arguments.output.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
