"""Writes the model repository: a folder per model, complete or not there at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from realm_engine.bundle.bundle import MANIFEST, Bundle
from realm_engine.bundle.columns import numbers_of
from realm_engine.bundle.manifest import GraphSpec
from realm_engine.bundle.onnx_file import external_locations
from realm_engine.errors import BundleError, OutputError, UsageError
from realm_engine.maps.spec import PART as MAP_PART
from realm_engine.opened import Contents
from realm_engine.triton import client
from realm_engine.triton.config import (
    TritonOptions,
    graph_config,
    is_batched,
    map_config,
    model_name,
    sample_shape,
    score_config,
    warmup_file,
    warmup_samples,
)
from realm_engine.triton.pbtxt import render
from realm_engine.triton.readme import DOCKERFILE, readme


def export_repository(bundle: Bundle, folder: Path, options: TritonOptions) -> list[str]:
    """Write `folder` (models/, client.py, Dockerfile, README.md) and return the names of its models.

    `folder` must be new or empty. Raises UsageError, BundleError without the precision, and OutputError.
    """
    contents = Contents(bundle)
    precisions = choose_precisions(contents, options)
    check_plans(precisions, options)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder}: is there already and not empty; give a new folder")
        folder = Path(os.path.realpath(folder))  # a link stays one
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            made = Path(temporary, "repository")
            made.mkdir(mode=0o755)
            names = _write(contents, made, options, precisions)
            made.replace(folder)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{folder}: cannot be written ({reason}); give another folder") from error
    return names


def choose_precisions(contents: Contents, options: TritonOptions) -> dict[str, str]:
    """The precision of every graph to serve; a part that lacks the wanted one is left out.

    As in the engine, a text tower without a variant of its own is served in fp32. Raises BundleError.
    """
    bundle = contents.bundle
    chosen: dict[str, str] = {}
    has: list[str] = []
    for part in contents.parts:
        files = bundle.precisions(part)
        wanted = options.precision
        if wanted == "auto":
            wanted = bundle.recommended_for("cuda" if options.device == "gpu" else "cpu")
            wanted = wanted if wanted in files else files[0]
        has += files
        if wanted in files:
            for graph in part.graphs:
                chosen[graph] = wanted if wanted in bundle.graphs[graph].variants else "fp32"
    if not chosen:
        raise BundleError(
            f"{bundle.name}: no {options.precision} variant; this bundle has {', '.join(dict.fromkeys(has))}"
        )
    heads = [graph for measure in contents.measures.all for graph in measure.outputs if graph not in chosen]
    if contents.maps is not None and contents.maps.part.graphs[-1] in chosen:
        heads += contents.maps.small_graphs
    return chosen | {graph: "fp32" for graph in heads if all(p.graphs[-1] != graph for p in contents.parts)}


def check_plans(precisions: dict[str, str], options: TritonOptions) -> None:
    """Find out before anything is written that a plan is missing. Raises UsageError."""
    missing = [
        graph for graph in precisions if options.plans and not plan_path(options.plans, graph).is_file()
    ]
    if missing:
        names = ", ".join(f"{graph}.plan" for graph in missing)
        raise UsageError(
            f"--plans {options.plans}: {names} not found; build them on the server's GPU with its TensorRT "
            "(trtexec --onnx=... --saveEngine=... --stronglyTyped)"
        )


def plan_path(plans: Path, graph: str) -> Path:
    """Where the plan of a graph is looked for."""
    return plans / f"{graph}.plan"


def _write(contents: Contents, folder: Path, options: TritonOptions, precisions: dict[str, str]) -> list[str]:
    bundle, models = contents.bundle, folder / "models"
    names = []
    for graph, precision in precisions.items():
        names.append(_write_graph(contents, models, bundle.graphs[graph], precision, options))
    listed = list(precisions)
    if contents.measures.all and contents.measures.all[0].part.name in precisions:
        precision = precisions[contents.measures.all[0].part.name]
        config = score_config(contents, options, precision)
        names.append(_write_python(contents, models, config, "ScoreModel"))
        for column in numbers_of(contents.measures.all[0].columns):
            # Triton names a class by a line of this file; there is one class here.
            label = f"{column.meaning}, {column.span}\n"
            (models / str(config["name"]) / f"{column.name}.labels").write_text(label, encoding="utf-8")
        listed.append("score")
    if MAP_PART.name in precisions:
        config = map_config(contents, options, precisions[MAP_PART.name])
        names.append(_write_python(contents, models, config, "MapModel"))
        listed.append("map")
    source = Path(client.__file__).read_text(encoding="utf-8")
    default = f'MODELS = "{client.MODELS}"'
    ours = f'MODELS = "{model_name(bundle.name, "")[:-1]}"'
    (folder / "client.py").write_text(source.replace(default, ours), encoding="utf-8")
    (folder / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    (folder / "README.md").write_text(readme(bundle, options, precisions, listed), encoding="utf-8")
    return names


def _write_graph(
    contents: Contents, models: Path, graph: GraphSpec, precision: str, options: TritonOptions
) -> str:
    bundle, plan = contents.bundle, options.plans is not None
    file = "model.plan" if plan else "model.onnx"
    model = models / model_name(bundle.name, graph.name)
    version = model / "1"
    version.mkdir(parents=True)
    source = plan_path(options.plans, graph.name) if options.plans else bundle.path(graph.name, precision)
    shutil.copyfile(source, version / file)
    for location in () if plan else sorted(external_locations(source)):
        beside = version / location  # the bundle has proved that it stays below the graph's folder
        beside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.parent / location, beside)
    _write_config(model, graph_config(contents, graph, options, file, precision == "fp32"))
    for sample in warmup_samples(contents, graph, options):
        for tensor in graph.inputs:
            if tensor.name in sample.ones:
                ones = np.ones(sample_shape(tensor, sample, is_batched(graph)), dtype=tensor.dtype)
                path = model / "warmup" / warmup_file(tensor, sample)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(ones.tobytes())
    return model.name


def _write_python(contents: Contents, models: Path, config: dict[str, Any], kind: str) -> str:
    """A Python model, with what it reads of the bundle: manifest, tokenizers, parameters of measures, phrases."""
    model = models / str(config["name"])
    version = model / "1"
    version.mkdir(parents=True)
    code = '"""Served by the engine itself; see realm_engine.triton.serving."""\n\n'
    code += f"from realm_engine.triton.serving import {kind} as TritonPythonModel  # noqa: F401\n"
    (version / "model.py").write_text(code, encoding="utf-8")
    files = [MANIFEST, *(spec.tokenizer for spec in contents.text_specs().values())]
    files += [file for measure in contents.measures.all for file in measure.files]
    if contents.maps is not None and contents.maps.phrases is not None:
        files.append(contents.maps.phrases)
    for file in dict.fromkeys(files):
        target = version / "bundle" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(contents.bundle.root / file, target)
    _write_config(model, config)
    return model.name


def _write_config(model: Path, config: dict[str, object]) -> None:
    (model / "config.pbtxt").write_text(render(config), encoding="utf-8")
