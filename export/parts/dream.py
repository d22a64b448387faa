"""DREAM: where a picture is like a text that says what looks unreal, window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from export.errors import ExportError
from export.graph.int8 import Feeds, Study
from export.graph.model import PRECISIONS, Graph, Port
from export.graph.to_onnx import GraphExport
from export.manifest import text_section
from export.measures import Measure
from export.proof.calibration import RESAMPLING, some, text_feeds, windows_study
from export.proof.limits import Tier, gate
from export.towers.clip_model import ClipModel
from export.towers.clip_text import clip_text_export, text_embeddings
from export.towers.dream_graph import DreamGraph, ImageTower, lean
from export.towers.one_pass_graph import STRIDES, one_pass_exports, one_pass_feeds
from export.towers.photographs_graph import PhotographsGraph
from export.towers.shared_text import TextGraph
from realm_engine import Engine
from realm_engine.arrays import Array
from realm_engine.maps.realness_map import DreamConfig
from realm_engine.maps.windows import WindowGrid
from realm_engine.verbs.fidelity import PHOTOGRAPHS_GATE, TEXTS, correlation, floor, two_digits
from realm_train.clip.clean import PROBE, CleanWindows
from realm_train.clip.config import EACH_WINDOW, ONE_PASS
from realm_train.clip.one_pass import OnePass, halo_px

PRESETS: dict[str, dict[str, Any]] = {
    "released": {"windows_px": [64], "stride_px": 8, "aggregate": "mean"},
    "paper": {"windows_px": [128, 64, 32], "stride_px": 4, "aggregate": "max"},
}
PHRASES = "phrases.json"
# Which phrases of the bank count and what a region is: policy, the same for every host.
MAPS: dict[str, Any] = {
    "phrases": {"most": 3, "margin_z": 1.0, "percentile": 95.0},
    "regions": {"below_std": 1.0, "least_window_areas": 0.25, "most": 5},
}
SAME_TOWER = 0.999  # cosine of a text's embedding, measured and exported
MOST_PROBED = 4  # pictures whose activations are looked at
MOST_WINDOWS = 24  # per image and scale: enough to find a wrong graph, few enough to wait for


@dataclass(frozen=True)
class Limits:
    """What a variant may differ from PyTorch by; None is not asked for."""

    similarity_max_abs_diff: float | None
    map_pearson: float
    tower_cosine: float


LIMITS = {
    Tier.EXACT: Limits(similarity_max_abs_diff=1e-4, map_pearson=0.999, tower_cosine=0.99999),
    Tier.STORED: Limits(similarity_max_abs_diff=None, map_pearson=0.999, tower_cosine=0.0),
    Tier.HALF: Limits(similarity_max_abs_diff=None, map_pearson=0.999, tower_cosine=0.9995),
}


@dataclass(frozen=True)
class MapOptions:
    """How a bundle's maps are made.

    Attributes:
        presets: Presets beside "released" and "paper".
        recommended_preset: The one a host uses unless told otherwise.
        phrases: JSON file of the phrase bank.
        photographs: What untouched photographs give; None for maps without a scale of their own.
    """

    presets: Mapping[str, Any] = field(default_factory=dict)
    recommended_preset: str = "released"
    phrases: Path | None = None
    photographs: CleanWindows | None = None

    def __post_init__(self) -> None:
        if self.recommended_preset not in self.all_presets:
            raise ExportError(
                f"no preset {self.recommended_preset!r} to recommend; there are {', '.join(self.all_presets)}"
            )
        known = self.photographs
        for name, geometry in known.presets.items() if known is not None else ():
            wanted = {**asdict(geometry), "windows_px": list(geometry.windows_px)}
            preset = self.all_presets.get(name)
            if preset is None or any(preset[key] != value for key, value in wanted.items()):
                raise ExportError(
                    f"--photographs was measured for a preset {name!r} of {wanted}, which the bundle does not have; "
                    "measure it again, with its presets"
                )

    @property
    def all_presets(self) -> dict[str, Any]:
        """Published and own presets, by name."""
        return {**PRESETS, **self.presets}

    @property
    def window_sizes(self) -> list[int]:
        """All window sizes of the presets, ascending."""
        return sorted({size for preset in self.all_presets.values() for size in preset["windows_px"]})


@dataclass(frozen=True)
class Answer:
    """What is right for the windows of a picture: similarity float64 [windows, texts], embedding [windows, D]."""

    config: DreamConfig
    similarity: Array
    embedding: Array


@dataclass(frozen=True)
class Dream:
    """DREAM as a part of a bundle."""

    clip: ClipModel
    options: MapOptions = field(default_factory=MapOptions)

    name = "dream"

    def __post_init__(self) -> None:
        known, clip = self.options.photographs, self.clip
        if known is None:
            return
        ours = text_embeddings(clip, [PROBE])[0]
        if (
            known.encoder != clip.encoder
            or known.mean.shape[1] != clip.embed_dim
            or float(ours @ known.probe) < SAME_TOWER
        ):
            raise ExportError("--photographs was measured with another CLIP; measure it again, with this one")

    @property
    def precisions(self) -> Sequence[str]:
        """All of them, but that a trunk has no int8 variant."""
        return [name for name in PRECISIONS if name != "int8" or not self.one_pass]

    @property
    def weights(self) -> str:
        """Of its CLIP."""
        return self.clip.weights

    def graphs(self) -> Sequence[Graph]:
        """`dream`, for a tower that was trained in one pass `trunk` and `windows`, `photographs` where it is known."""
        known = self.options.photographs
        return (
            dream_export(self.clip),
            *(one_pass_exports(self.clip) if self.one_pass else ()),
            *([] if known is None else [PhotographsGraph(known.mean, known.factor)]),
        )

    @property
    def one_pass(self) -> bool:
        """The tower was trained to run over whole pictures."""
        return self.clip.encoder == ONE_PASS

    def text(self) -> TextGraph:
        """`clip_text`, of free length where its transformer is Hugging Face's."""
        clip = self.clip
        tower: Any = clip.model.text if not clip.fixed_length else None
        transformer = tower.transformer if tower is not None else None
        return TextGraph("clip", clip_text_export(clip), clip.tokenizer_json, transformer)

    def files(self) -> Mapping[str, Path]:
        """The phrase bank, where there is one."""
        return {} if self.options.phrases is None else {PHRASES: self.options.phrases}

    def section(self, tokenizer: str) -> Mapping[str, Any]:
        """The "dream" object."""
        clip = self.clip
        section: dict[str, Any] = {
            "image_size_px": clip.image_size_px,
            "interpolation": clip.interpolation,
            "text": text_section(tokenizer, clip.max_tokens, clip.pad_id, clip.fixed_length, clip.buckets),
            "presets": self.options.all_presets,
            "recommended_preset": self.options.recommended_preset,
        }
        if self.one_pass:
            visual: Any = clip.model.visual
            section["one_pass"] = {"cells_px": list(STRIDES), "halo_px": halo_px(visual.trunk)}
            section["presets"] = {
                name: {"encoder": ONE_PASS, **preset} for name, preset in self.options.all_presets.items()
            }
        known = self.options.photographs
        if known is not None:
            section["photographs"] = {"windows_px": list(known.windows_px), "encoder": known.encoder}
            section["presets"] = {
                name: {**preset, "stands_out": dict(known.stands_out[name])}
                if name in known.stands_out and preset.get("encoder", EACH_WINDOW) == known.encoder
                else preset
                for name, preset in section["presets"].items()
            }
        return section if self.options.phrases is None else {**section, "phrases": PHRASES}

    def measures(self) -> Mapping[str, Measure]:
        """None: a map is no number."""
        return {}

    def maps(self) -> Mapping[str, Any]:
        """Which phrases count, and what a region is."""
        return MAPS

    @torch.no_grad()
    def expected(self, pictures: Sequence[Array]) -> dict[str, list[Answer]]:
        """By PyTorch, for each encoder and picture: windows that do not overlap."""
        text = torch.from_numpy(text_embeddings(self.clip, TEXTS))
        encoders = {EACH_WINDOW: self._each_window} | ({ONE_PASS: self._in_one_pass} if self.one_pass else {})
        results: dict[str, list[Answer]] = {name: [] for name in encoders}
        for picture in pictures:
            config = verification_config(picture.shape[0], picture.shape[1])
            (grid,) = config.grids(*picture.shape[:2])
            for name, encode in encoders.items():
                features = torch.nn.functional.normalize(encode(picture, grid), dim=-1)
                results[name].append(Answer(config, (features @ text.T).double().numpy(), features.numpy()))
        return results

    def _each_window(self, picture: Array, grid: WindowGrid) -> torch.Tensor:
        crops = [
            self._crop(picture, int(top), int(left), grid.window_px)
            for top, left in zip(*grid.origins(), strict=True)
        ]
        features: torch.Tensor = self.clip.model.encode_image(torch.stack(crops))  # type: ignore[operator]
        return features

    def _in_one_pass(self, picture: Array, grid: WindowGrid) -> torch.Tensor:
        tower = OnePass(self.clip.model.visual, self.clip.normalise)  # type: ignore[arg-type]
        tops, lefts = (np.unique(firsts).tolist() for firsts in grid.origins())
        pooled = tower.pool(torch.tensor(picture)[None], tops, lefts, grid.window_px)
        return tower.embed(pooled).flatten(0, 2)

    def compare(
        self,
        folder: Path,
        precision: str,
        pictures: Sequence[Array],
        expected: Mapping[str, Sequence[Answer]],
        tier: Tier,
    ) -> dict[str, float]:
        """Differences of the engine's similarities, maps and embeddings from PyTorch's, for each encoder."""
        found = self._compare(folder, precision, EACH_WINDOW, pictures, expected[EACH_WINDOW], tier)
        if ONE_PASS in expected:
            passed = self._compare(folder, precision, ONE_PASS, pictures, expected[ONE_PASS], tier)
            del passed["text_cosine_min"]
            found |= {f"one_pass_{name}": value for name, value in passed.items()}
            # Not a gate: they are two functions of one tower.
            pairs = zip(expected[EACH_WINDOW], expected[ONE_PASS], strict=True)
            both = [correlation(a.similarity.ravel(), b.similarity.ravel()) for a, b in pairs]
            found["encoders_pearson"] = floor(float(np.mean(both)))
        if self.options.photographs is not None:
            found["photographs_max_diff"] = self._compare_photographs(folder, precision)
        return found

    def _compare_photographs(self, folder: Path, precision: str) -> float:
        """Difference of the graph `photographs` from float64, in standard deviations."""
        known = self.options.photographs
        assert known is not None
        texts = text_embeddings(self.clip, TEXTS)
        with Engine.open(folder, device="cpu", precision=precision) as engine:
            graph = engine.maps.dream.photographs
            assert graph is not None
            ours = [graph.scale(texts, [size]) for size in known.windows_px]
        means, stds = known.scale(texts)
        worst = max(
            float((np.abs(found - right[:, index]) / stds[:, index]).max())
            for index, both in enumerate(ours)
            for found, right in zip(both, (means, stds), strict=True)
        )
        gate("the scale of photographs differs from float64", worst, PHOTOGRAPHS_GATE)
        return two_digits(worst)

    def _compare(
        self,
        folder: Path,
        precision: str,
        encoder: str,
        pictures: Sequence[Array],
        expected: Sequence[Answer],
        tier: Tier,
    ) -> dict[str, float]:
        limits = LIMITS[tier]
        ours, theirs = [], []
        with Engine.open(folder, device="cpu", precision=precision, encoder=encoder) as engine:
            for picture, answer in zip(pictures, expected, strict=True):
                (grid,) = answer.config.grids(*picture.shape[:2])
                tops, lefts = grid.origins()
                for column, text in enumerate(TEXTS):
                    values = engine.map(
                        picture, text, answer.config
                    ).values  # no overlap: a pixel is its window
                    ours.append(1.0 - values[tops, lefts].astype(np.float64))
                    theirs.append(answer.similarity[:, column])
            cosine = self._tower_cosines(engine, pictures[0], expected[0])
        difference = np.abs(np.concatenate(ours) - np.concatenate(theirs))
        pearson = min(correlation(a, b) for a, b in zip(ours, theirs, strict=True))
        if limits.similarity_max_abs_diff is not None:
            gate("similarity differs from PyTorch", float(difference.max()), limits.similarity_max_abs_diff)
        gate("map correlates with PyTorch", pearson, limits.map_pearson, at_least=True)
        for tower, value in cosine.items():
            gate(f"the {tower} tower's cosine with PyTorch", value, limits.tower_cosine, at_least=True)
        return {
            "similarity_max_abs_diff": two_digits(difference.max()),
            "similarity_mean_abs_diff": two_digits(difference.mean()),
            "map_pearson_min": floor(pearson),
            **{f"{tower}_cosine_min": floor(value) for tower, value in cosine.items()},
        }

    def probes(self, pictures: Sequence[Array]) -> Mapping[str, Sequence[Feeds]]:
        """Texts, and windows of pictures."""
        clip = self.clip
        shortest = min(min(picture.shape[:2]) for picture in pictures)
        sizes = [size for size in self.options.window_sizes if size <= shortest] or [shortest]
        texts = text_feeds(clip.tokenizer_json, clip.max_tokens, clip.pad_id, clip.fixed_length)
        found = {"clip_text": texts, "dream": some(self._study(pictures, TEXTS, sizes).feeds)}
        if self.one_pass:
            embeddings = text_embeddings(clip, TEXTS)
            trunk, windows = one_pass_feeds(clip, pictures[:MOST_PROBED], sizes[0], embeddings)
            found |= {"trunk": trunk, "windows": windows}
        return found

    def studies(self, pictures: Sequence[Array], texts: Sequence[str]) -> Mapping[str, Study]:
        """Of `dream`."""
        return {"dream": self._study(pictures, texts, self.options.window_sizes)}

    def _study(self, pictures: Sequence[Array], texts: Sequence[str], sizes: Sequence[int]) -> Study:
        clip = self.clip
        embeddings = text_embeddings(clip, texts)
        return windows_study(pictures, sizes, clip.image_size_px, clip.interpolation, embeddings)

    def _crop(self, picture: Array, top: int, left: int, window: int) -> torch.Tensor:
        clip = self.clip
        crop = Image.fromarray(picture[top : top + window, left : left + window])
        crop = crop.resize((clip.image_size_px, clip.image_size_px), RESAMPLING[clip.interpolation])
        return clip.normalise(torch.from_numpy(np.array(crop))[None])[0]

    def _tower_cosines(self, engine: Engine, picture: Array, expected: Answer) -> Mapping[str, float]:
        """Smallest cosine between an embedding of the engine and PyTorch's, per tower."""
        text = (engine.embed_texts(TEXTS) * text_embeddings(self.clip, TEXTS)).sum(axis=1).min()
        (grid,) = expected.config.grids(*picture.shape[:2])
        ours = engine.embed(picture, grid.window_px, grid.stride_px)
        return {"image": float((ours * expected.embedding).sum(axis=1).min()), "text": float(text)}


def verification_config(height: int, width: int) -> DreamConfig:
    """Windows of 64 px (less in a small picture) spread over it without overlap, at most `MOST_WINDOWS`."""
    window = min(64, height, width)
    stride = window
    while ((height - window) // stride + 1) * ((width - window) // stride + 1) > MOST_WINDOWS:
        stride += 1
    return DreamConfig((window,), stride)


def dream_export(clip: ClipModel) -> GraphExport:
    """Describe the `dream` graph of a CLIP: module, example inputs, names and free dimensions."""
    size, dim = clip.image_size_px, clip.embed_dim
    example_window = 48
    generator = torch.Generator().manual_seed(0)
    return GraphExport(
        name="dream",
        module=DreamGraph(ImageTower(lean(clip.model)), clip.mean, clip.std).eval(),
        example=(
            torch.randint(0, 256, (70, 90, 3), dtype=torch.uint8, generator=generator),
            torch.tensor([0, 3, 11], dtype=torch.int64),
            torch.tensor([1, 0, 20], dtype=torch.int64),
            torch.full((size, example_window), 1.0 / example_window),
            torch.nn.functional.normalize(torch.randn(2, dim, generator=generator), dim=-1),
        ),
        inputs=(
            Port("image", "uint8", ("height", "width", 3)),
            Port("top", "int64", ("windows",)),
            Port("left", "int64", ("windows",)),
            Port("resample", "float32", (size, "window")),
            Port("text", "float32", ("texts", dim)),
        ),
        outputs=(
            Port("similarity", "float32", ("windows", "texts")),
            Port("embedding", "float32", ("windows", dim)),
        ),
    )
