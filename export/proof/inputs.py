"""Real inputs of a bundle's graphs: what int8 is calibrated on, and what float16 must be able to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from export.errors import ExportError
from export.parts.part import Part
from realm_engine.pictures.decode import load_image
from realm_engine.pictures.find import find_images
from realm_engine.verbs.fidelity import MAP_IMAGES, make_trial

if TYPE_CHECKING:
    from export.graph.int8 import Feeds, Study

FEW = 4  # pictures to see how large values become


@dataclass(frozen=True)
class Photographs:
    """What a bundle is proved and made on.

    Attributes:
        verify: To compare its answers on.
        calibration: Folder of those that int8 is calibrated on, and that show which values float16 could not
            hold; only int8 needs one, fp16 takes `verify` otherwise.
    """

    verify: Sequence[Path]
    calibration: Path | None = None


def int8_studies(parts: Sequence[Part], photographs: Photographs) -> dict[str, Study]:
    """Calibration inputs of the graphs that get an int8 variant, by name.

    Raises:
        ExportError: no part is to get one, or there is no folder to calibrate on.
    """
    from export.proof.calibration import calibration_pictures

    if photographs.calibration is None:
        raise ExportError("int8 is calibrated on photographs; give --calibration-images DIR")
    if not parts:
        raise ExportError("int8: the part that it is for is not exported; leave --int8-part out")
    trial = make_trial(photographs.verify)
    pictures = calibration_pictures(photographs.calibration, trial.paths, trial.paths[:MAP_IMAGES])
    return {name: study for part in parts for name, study in part.studies(pictures, trial.texts).items()}


def half_probes(parts: Sequence[Part], photographs: Photographs) -> dict[str, Sequence[Feeds]]:
    """A few photographs, windows of them and descriptions, by graph.

    Raises:
        ExportError: there is no photograph.
    """
    folder = photographs.calibration
    paths = find_images(folder) if folder is not None else photographs.verify
    pictures = [load_image(path) for path in paths[:: max(1, len(paths) // FEW)][:FEW]]
    if not pictures:
        raise ExportError(f"{folder}: no image; fp16 is tried on photographs, give --calibration-images DIR")
    return {name: feeds for part in parts for name, feeds in part.probes(pictures).items()}
