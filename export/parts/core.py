"""CORE: how real a picture looks, from its pixels and a description of its flaws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from export.errors import ExportError
from export.graph.int8 import Feeds, Study
from export.graph.linear_map import STAGE
from export.graph.model import PRECISIONS, Port
from export.graph.to_onnx import GraphExport
from export.manifest import text_section
from export.measures import Measure
from export.parts.core_columns import RATING, Scale, core_columns, percentile_columns
from export.proof.calibration import RESAMPLING, scores_study, some, text_feeds
from export.proof.limits import Tier, gate
from export.towers.clip_text import text_ports
from export.towers.core_graph import CoreGraph, CoreText, first_shown
from export.towers.core_source import CoreSource, text_features, text_matrix
from export.towers.shared_text import TextGraph
from export.towers.transformer import AdditiveMask
from realm_engine import Engine
from realm_engine.arrays import Array
from realm_engine.verbs.fidelity import TEXTS, two_digits

UNLIKE_LIMIT = {Tier.EXACT: 1e-3, Tier.STORED: 0.02, Tier.HALF: 0.02}  # of the distance, or of 1 below it
MOS_LIMIT = {Tier.EXACT: 1e-3, Tier.STORED: 0.01, Tier.HALF: 0.01}

SAYS = (
    "How real does it look to people: a mean opinion score, from the picture and a description of its flaws."
)


@dataclass(frozen=True)
class Core:
    """CORE as a part of a bundle. `scale`: how sure its scores are, where a cross-validation says so."""

    source: CoreSource
    scale: Scale | None = None

    name = "core"
    precisions = PRECISIONS

    @property
    def weights(self) -> str:
        """Of its model."""
        return self.source.weights

    def graphs(self) -> Sequence[GraphExport]:
        """`core` alone."""
        return (core_export(self.source),)

    def text(self) -> TextGraph:
        """`core_text`, of free length."""
        core = self.source
        return TextGraph("core", core_text_export(core), core.tokenizer_json, core.model.text)

    def files(self) -> Mapping[str, Path]:
        """None."""
        return {}

    def section(self, tokenizer: str) -> Mapping[str, Any]:
        """The "core" object. Its rating is there for readers of format 1.0, whatever the scores were learned from."""
        core = self.source
        return {
            "image": {
                "height_px": core.height_px,
                "width_px": core.width_px,
                "interpolation": core.interpolation,
            },
            "text": text_section(tokenizer, core.max_tokens, core.pad_id, False, core.buckets),
            "missing_text": "trained" if core.trained_without_text else "empty-description",
            "rating": RATING,
        }

    def measures(self) -> Mapping[str, Measure]:
        """`core`, with the 0-100 rating where it was trained on RAISE-TD's."""
        columns = core_columns(self.source.raise_td, self.scale, self.source.knows_unlike)
        more = tuple(percentile_columns(self.scale))
        return {self.name: Measure(self.name, SAYS, columns, more=more)}

    def maps(self) -> Mapping[str, Any]:
        """None."""
        return {}

    @torch.no_grad()
    def expected(self, pictures: Sequence[Array]) -> Array:
        """MOS of every picture without a text and with every text, and how unlike it is where the model says so.

        float64 [pictures, 1 + texts (+ 1)], by PyTorch.
        """
        core = self.source
        texts = [text_features(core, text) for text in TEXTS]
        # No description is has_text = 0 for a model that learned it, else the empty description.
        known = 0.0 if core.trained_without_text else 1.0
        nothing = torch.zeros_like(texts[0]) if core.trained_without_text else text_features(core, "")
        rows = []
        for picture in pictures:
            size = (core.width_px, core.height_px)
            resized = Image.fromarray(picture).resize(size, RESAMPLING[core.interpolation])
            pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float().unsqueeze(0)
            image = core.model.encode_image(pixels)
            row = [core.model.fuse(image, nothing, torch.tensor([known]))]
            row += [core.model.fuse(image, features, torch.ones(1)) for features in texts]
            row += [core.model.distance(image)] if core.knows_unlike else []
            rows.append([float(mos) for mos in row])
        return np.array(rows)

    def compare(
        self, folder: Path, precision: str, pictures: Sequence[Array], expected: Array, tier: Tier
    ) -> dict[str, float]:
        """Largest and mean difference of the engine's MOS from PyTorch's."""
        columns = []
        with Engine.open(folder, device="cpu", precision=precision) as engine:
            for text in (None, *TEXTS):
                scores = engine.score(list(pictures), [text] * len(pictures))
                columns.append([_mos(score.mos, score.error) for score in scores])
        difference = np.abs(np.array(columns).T - expected[:, : len(columns)])
        gate("MOS differs from PyTorch", float(difference.max()), MOS_LIMIT[tier])
        found = {
            "mos_max_abs_diff": two_digits(difference.max()),
            "mos_mean_abs_diff": two_digits(difference.mean()),
        }
        if self.source.knows_unlike:
            apart = expected[:, -1]
            largest = float(
                np.max(np.abs([score["unlike"] for score in scores] - apart) / np.maximum(apart, 1.0))
            )
            gate("the distance from training pictures differs from PyTorch", largest, UNLIKE_LIMIT[tier])
            found["unlike_max_rel_diff"] = two_digits(largest)
        return found

    def probes(self, pictures: Sequence[Array]) -> Mapping[str, Sequence[Feeds]]:
        """Texts, and pictures with them."""
        core = self.source
        texts = text_feeds(core.tokenizer_json, core.max_tokens, core.pad_id, fixed_length=False)
        return {"core_text": texts, "core": some(self.studies(pictures, TEXTS)["core"].feeds)}

    def studies(self, pictures: Sequence[Array], texts: Sequence[str]) -> Mapping[str, Study]:
        """Of `core`."""
        core = self.source
        size, features = (core.height_px, core.width_px), text_matrix(core, texts)
        return {"core": scores_study(pictures, size, core.interpolation, features)}


def core_text_export(core: CoreSource) -> GraphExport:
    """Describe the `core_text` graph: module, example inputs, names and free dimensions."""
    module = CoreText(core.model, AdditiveMask(core.model.text)).eval()
    outputs = (Port("text_features", "float32", ("batch", _text_width(core))),)
    return GraphExport("core_text", module, _text_example(), text_ports(), outputs)


def core_export(core: CoreSource) -> GraphExport:
    """Describe the `core` graph: module, example inputs, names and free dimensions."""
    generator = torch.Generator().manual_seed(0)
    empty = None if core.trained_without_text else text_features(core, "")
    height, width, features = core.height_px, core.width_px, _text_width(core)
    return GraphExport(
        name="core",
        module=CoreGraph(core.model, empty).eval(),
        example=(
            torch.randint(0, 256, (2, 75, 90, 3), dtype=torch.uint8, generator=generator),
            torch.full((height, 75), 1 / 75),
            torch.full((width, 90), 1 / 90),
            torch.randn(2, features, generator=generator),
            torch.tensor([1.0, 0.0]),
        ),
        inputs=(
            Port("pixels", "uint8", ("batch", "height", "width", 3)),
            Port("resample_rows", "float32", ("resizes", 1, height, "height")),
            Port("resample_cols", "float32", ("resizes", 1, width, "width")),
            Port("text_features", "float32", ("batch", features)),
            Port("has_text", "float32", ("batch",)),
        ),
        outputs=(
            *(
                Port(name, "float32", ("batch",))
                for name in ("mos", *(["unlike"] if core.knows_unlike else []))
            ),
            *_stage_ports(core),
        ),
        matrices=("resample_rows", "resample_cols"),
    )


@torch.no_grad()
def _stage_ports(core: CoreSource) -> Sequence[Port]:
    """`features` of all stages that are shown, and `stage_1`, `stage_2`, ...: their maps."""
    _, stages = core.model.encode_stages(torch.zeros(1, 3, core.height_px, core.width_px))
    first = first_shown(len(stages))
    shapes = [tuple(map(int, stage.shape[1:])) for stage in stages[first:]]
    features = Port("features", "float32", ("batch", 2 * sum(shape[0] for shape in shapes)))
    maps = (Port(f"{STAGE}{i}", "float32", ("batch", *shape)) for i, shape in enumerate(shapes, first))
    return (features, *maps)


def _text_example() -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask int64 [2, 12], the second row padded."""
    ids = torch.randint(1, 10, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    ids[1, 7:] = 0
    mask[1, 7:] = 0
    return ids, mask


@torch.no_grad()
def _text_width(core: CoreSource) -> int:
    """Number of text features."""
    return int(core.model.encode_text(*_text_example()).shape[1])


def _mos(mos: float | None, error: str | None) -> float:
    if mos is None:
        raise ExportError(f"the engine cannot score with this bundle: {error}")
    return mos
