"""Features of photographs, of the same with a planted flaw, and of the same mildly edited, for CORE's sense of flaws.

A killed run goes on where it was. `realm-train core --set flaws=DIR` reads them.
"""

import argparse
import sys
from pathlib import Path

from realm_engine.errors import RealmError
from realm_engine.pictures.decode import load_image
from realm_train.core.flaw_features import PIECE, write_flaw_features
from realm_train.core.model import build_core
from realm_train.core.presets import core_preset
from realm_train.errors import DataError
from realm_train.raise_td import pictures_alone
from realm_train.said import progress


def main() -> None:
    """Write a folder of safetensors files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=Path, required=True, help="folder of pictures without a CSV")
    parser.add_argument("--preset", default="tiny", help="of realm-train core")
    parser.add_argument("--image-weights", required=True, help="of its image tower")
    parser.add_argument("--count", type=int, default=4000, help="triples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        paths = [row.path for row in pictures_alone(arguments.photographs)]
        if not paths:
            raise DataError(f"{arguments.photographs}: no folder of pictures without a CSV")
        photographs = [load_image(path) for path in paths]
        model, _ = build_core(core_preset(arguments.preset).model, arguments.image_weights, "pretrained")
        with progress("flaws", -(-arguments.count // PIECE), True) as step:
            write_flaw_features(
                model, photographs, arguments.count, arguments.output, arguments.seed, lambda: step("")
            )
    except RealmError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
