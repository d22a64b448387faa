"""What can be added to a bundle that is there: measures, and where they lie. From options to parts; knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.errors import ExportError
from export.files import Report
from export.info import bundle_info, json_object
from export.into import add_parts, export_measures
from export.manifest import BundleInfo
from export.scales import add_scales
from realm_engine.bundle.bundle import Bundle
from realm_engine.pictures.find import find_images

if TYPE_CHECKING:
    from export.parts.part import Part

_ALWAYS = frozenset(
    {"output", "overwrite", "into", "name", "description", "verify_images", "offline", "strict"}
)
_TERMS = frozenset({"licence", "commercial_use", "training_data"})
_MODELS = ("core_path", "clip_name", "graph_path")


@dataclass(frozen=True)
class Addition:
    """Something to add. `option`: that asks for it. `takes`: names of options that say something of it.

    `learnt`: from somebody's data, so that its terms have to be said. `alone`: a bundle can consist of it.
    """

    option: str
    takes: frozenset[str] = frozenset()
    learnt: bool = False
    alone: bool = False


_STATISTICS = frozenset({"niqe", "brisque", "metrics"})
ADDITIONS: Mapping[str, Addition] = {
    "niqe": Addition("--niqe", _STATISTICS, alone=True),
    "brisque": Addition("--brisque", _STATISTICS, alone=True),
    "ridge_path": Addition("--ridge", _TERMS, learnt=True),
    "real_fake_path": Addition("--real-fake", _TERMS | {"prior"}, learnt=True, alone=True),
    "scales": Addition("--scales"),
}


def check_additions(given: Mapping[str, str]) -> bool:
    """Whether something is to be added, and nothing that does not go with it.

    Args:
        given: The options that stand on the command line, by name.

    Raises:
        ExportError: an option says nothing of what is added, or one that it needs is missing.
    """
    asked = [name for name in ADDITIONS if name in given]
    if not asked:
        if "into" in given:
            listed = ", ".join(addition.option for addition in ADDITIONS.values())
            raise ExportError(f"--into without one of {listed}; say what to add")
        if "prior" in given:
            raise ExportError("--prior without --real-fake; give the run of its probe too")
        return False
    first = ADDITIONS[asked[0]]
    if any(name in given for name in _MODELS):
        raise ExportError(
            f"{first.option} goes into a bundle of its own, or into another with --into"
            if first.alone
            else f"{first.option} goes into a bundle that is there; give --into, and no model"
        )
    if not first.alone and "into" not in given:
        raise ExportError(f"{first.option} without --into; name the bundle that it goes into")
    together = " and ".join(ADDITIONS[name].option for name in asked if name in first.takes | {asked[0]})
    for name, option in given.items():
        if name not in _ALWAYS | first.takes | {asked[0]}:
            raise ExportError(f"{option} is none of {together}; leave it out")
    if first.learnt and not {"licence", "training_data"} <= given.keys():
        raise ExportError(
            f"{first.option}: say --licence and --training-data of what was learnt; a bundle states both"
        )
    return True


def add(output: Path, overwrite: bool, options: Mapping[str, Any], report: Report) -> None:
    """Write the bundle with what was asked for. Raises ExportError, and what reading runs and bundles raises."""
    if options["scales"] is not None:
        add_scales(options["into"], output, json_object(options["scales"]), overwrite, report)
        return
    info, images = bundle_info(output, options), find_images(options["verify_images"])
    if options["niqe"] or options["brisque"]:
        from export.parts.nss import Brisque, Niqe

        statistics = [kind() for name, kind in (("niqe", Niqe), ("brisque", Brisque)) if options[name]]
        info = replace(info, terms_of={part.measure: part.terms for part in statistics})
        export_measures(output, info, statistics, images, options["into"], overwrite, report)
        return
    if options["real_fake_path"] is not None:
        from export.parts.probe_tower import probe_tower
        from export.parts.real_fake import NAME

        tower = probe_tower(options["real_fake_path"], options["prior"])
        if tower is not None:
            info = replace(info, metrics={NAME: tower.metrics})
            export_measures(output, info, [tower], images, options["into"], overwrite, report)
            return
        if options["into"] is None:
            raise ExportError("--real-fake without --into; name the bundle whose trunk its probe stands on")
    part, info = _head(options, info)
    add_parts(options["into"], output, info, [part], images, overwrite, report)


def _head(options: Mapping[str, Any], info: BundleInfo) -> tuple[Part, BundleInfo]:
    """What was learnt on features of the bundle, with its metrics."""
    bundle = Bundle.open(options["into"])
    if options["ridge_path"] is not None:
        from export.parts.ridge import OwnRatings
        from realm_train.ridge.run import read_ridge

        ridge = OwnRatings(read_ridge(options["ridge_path"]), bundle)
        return ridge, replace(info, metrics={ridge.measure: ridge.saved.metrics})
    from export.parts.real_fake import NAME, RealFake
    from realm_train.probe.run import load_run

    probe = RealFake(load_run(options["real_fake_path"]), bundle, options["prior"])
    return probe, replace(info, metrics={NAME: probe.metrics})
