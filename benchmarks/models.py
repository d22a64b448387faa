"""The models: each as PyTorch modules for the baselines and as a bundle of the same weights for the engine.

Exported bundles are cached by the content of the exporter, so that a newer one is never measured as an old one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from benchmarks.measure import one_line
from benchmarks.published import Preprocess, PublishedCore
from benchmarks.settings import ROOT, SAMPLES, UnavailableError
from benchmarks.work import MAPS, SCORES

Say = Callable[[str], None]
TINY_RUN = ROOT / "runs" / "realm-tiny" / "core"


@dataclass(frozen=True)
class ModelInfo:
    """A model that can be benchmarked.

    Attributes:
        key: Its name on the command line.
        title: Its name in tables.
        clip: open_clip name, for a CLIP with seeded random weights; "" otherwise.
        precisions: What to export.
        parts: What it does: names of `work.WORKS`.
        most_windows: The largest grid that is worth its time on a CPU.
        compiled: torch.compile is tried (minutes for the largest).
        one_pass: Its maps are of one pass over the picture.
    """

    key: str
    title: str
    clip: str = ""
    precisions: tuple[str, ...] = ("fp32",)
    parts: tuple[str, ...] = (MAPS.name,)
    most_windows: int = 26227
    compiled: bool = True
    one_pass: bool = False


MODELS = {
    info.key: info
    for info in (
        ModelInfo("tiny", "realm-tiny", parts=(MAPS.name, SCORES.name), one_pass=True),
        ModelInfo("vitb32", "ViT-B/32", "ViT-B-32-quickgelu", ("fp32", "fp16", "int8")),
        ModelInfo("vitb16", "ViT-B/16", "ViT-B-16-quickgelu", most_windows=15, compiled=False),
        ModelInfo("vitl14", "ViT-L/14", "ViT-L-14-quickgelu", most_windows=15, compiled=False),
        ModelInfo("resnet-bert", "ResNet-50 + BERT-base", "", ("fp32", "fp16", "int8"), parts=(SCORES.name,)),
    )
}


@dataclass(frozen=True)
class Exported:
    """A bundle, and why precisions that were asked for are not in it."""

    bundle: str
    missing: dict[str, str]


@dataclass(frozen=True)
class DreamModel:
    """The image tower of a CLIP in PyTorch.

    Attributes:
        tower: Normalised float32 [B, 3, S, S] -> embedding [B, D], in evaluation mode.
        embed: A text -> its L2-normalised float32 embedding [D].
        preprocess: Of one crop.
        plain: Every layer takes the type of its input, so that `.to(half)` works; else autocast.
    """

    tower: nn.Module
    embed: Callable[[str], Tensor]
    preprocess: Preprocess
    plain: bool


@dataclass(frozen=True)
class CoreModel:
    """CORE in PyTorch.

    Attributes:
        module: (pixels float32 [B, 3, H, W] in 0..1, ids, mask int64 [B, T]) -> MOS [B].
        tokenizer: Without padding.
        plain: See `DreamModel`.
    """

    module: nn.Module
    tokenizer: Tokenizer
    height_px: int
    width_px: int
    interpolation: str
    max_tokens: int
    pad_id: int
    plain: bool


def export(info: ModelInfo, cache: Path, say: Say, fp16: bool) -> Exported:
    """The bundle of a model, exported if it is not in the cache.

    A precision that the exporter does not offer, or that misses its gate, is left out with its reason.

    Args:
        info: The model.
        cache: Folder of the benchmarks' cache.
        say: Told what is done.
        fp16: There is a GPU, which is what fp16 files are for.

    Raises:
        UnavailableError: not even fp32 could be exported.
    """
    if info.key == "tiny":
        return Exported("realm-tiny", {})
    folder = cache / "bundles" / f"{info.key}-{_exporter_hash()}{'-fp16' if fp16 else ''}"
    notes = folder.with_suffix(".json")
    if (folder / "bundle.json").is_file() and notes.is_file():
        return Exported(str(folder), json.loads(notes.read_text(encoding="utf-8")))
    from export.bundle import PRECISIONS

    missing = {name: "the export does not offer it" for name in info.precisions if name not in PRECISIONS}
    if not fp16:
        missing["fp16"] = "exported only where there is a GPU; processors have no fast fp16 path here"
    wanted = [name for name in info.precisions if name not in missing]
    say(f"exporting {info.title}: {', '.join(wanted)}")
    while True:
        try:
            _export(info, folder, wanted, cache)
            break
        except Exception as error:
            if len(wanted) == 1:
                raise UnavailableError(f"export failed: {one_line(error)}") from error
            # The last one named is the likeliest to miss its gate; the others are kept.
            missing[wanted.pop()] = f"export refused it: {one_line(error)}"
            say(f"{info.title}: {one_line(error)}; exporting {', '.join(wanted)}")
    notes.write_text(json.dumps(missing), encoding="utf-8")
    return Exported(str(folder), missing)


def _export(info: ModelInfo, folder: Path, precisions: Sequence[str], cache: Path) -> None:
    from export.bundle import Photographs, Variants, export_bundle
    from export.manifest import BundleInfo
    from export.parts.core import Core
    from export.parts.dream import Dream
    from export.parts.part import Part
    from export.towers.clip_model import open_clip_model
    from export.towers.core_source import core_source
    from realm_engine.pictures.find import find_images

    parts: list[Part] = []
    if SCORES.name in info.parts:
        parts.append(Core(core_source(_loaded_core(cache), "random (seed 0)")))
    if info.clip:
        parts.append(Dream(open_clip_model(info.clip, "random")))
    # The export proves itself on four pictures; a large model that has nothing to calibrate needs no more than one.
    images = find_images(SAMPLES) if "int8" in precisions else find_images(SAMPLES)[:1]
    bundle = BundleInfo(f"benchmark-{info.key}", "Seeded random weights, for benchmarks only.")
    export_bundle(
        folder,
        bundle,
        parts,
        Photographs(images, SAMPLES if "int8" in precisions else None),
        Variants(tuple(precisions), fused_for=("cuda",) if "fp16" in precisions else ()),
        overwrite=True,
        report=lambda _: None,
    )


def _exporter_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted((ROOT / "export").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


# ------------------------------------------------------------------- DREAM


def dream_model(info: ModelInfo, bundle: str) -> DreamModel:
    """The PyTorch side of a model with DREAM."""
    return _tiny_dream(bundle) if info.key == "tiny" else _open_clip_dream(info.clip)


def _open_clip_dream(name: str) -> DreamModel:
    import open_clip

    from export.towers.clip_model import open_clip_model

    clip = open_clip_model(name, "random")
    network: Any = clip.model
    tokenize = open_clip.tokenizer.SimpleTokenizer(context_length=clip.max_tokens)

    @torch.inference_mode()
    def embed(text: str) -> Tensor:
        return nn.functional.normalize(network.encode_text(tokenize([text])).float(), dim=-1)[0].clone()

    preprocess = Preprocess(clip.image_size_px, clip.interpolation, clip.mean, clip.std)
    return DreamModel(network.visual, embed, preprocess, plain=True)


def _tiny_dream(bundle: str) -> DreamModel:
    """realm-tiny's tower with the weights that its `dream.onnx` holds.

    The export folds each batch norm into the convolution before it; here the norm keeps the folded bias and
    does nothing else, so that PyTorch does the work it does after training.
    """
    import onnx
    from onnx import numpy_helper
    from open_clip.timm_model import TimmModel

    import realm_train.clip.trunk  # noqa: F401  registers the architecture with timm
    from realm_engine import Engine

    with Engine.open(bundle, "cpu", "fp32") as engine:
        spec = engine.contents.maps
        if spec is None:
            raise UnavailableError(f"{bundle} makes no maps")
        graph = onnx.load(str(engine.bundle.path("dream", "fp32"))).graph
    stored = {
        tensor.name.removesuffix("_fp16"): torch.from_numpy(numpy_helper.to_array(tensor).copy()).float()
        for tensor in graph.initializer
    }
    width = stored["encoder.model.visual.head.mlp.fc2.weight"].shape[0]
    tower: Any = TimmModel(
        "realm_window_efficientnetv2_b0", width, spec.image_size_px, pool="", proj="mlp", pretrained=False
    )
    load_folded(tower, stored, "encoder.model.visual.")
    mean, std = (tuple(stored[name].flatten().tolist()) for name in ("mean", "std"))

    def embed(text: str) -> Tensor:
        with Engine.open(bundle, "cpu", "fp32") as engine:
            return torch.from_numpy(engine.embed_texts([text])[0].copy())

    preprocess = Preprocess(spec.image_size_px, spec.interpolation, mean, std)
    return DreamModel(tower.eval(), embed, preprocess, plain=False)


def load_folded(module: nn.Module, stored: dict[str, Tensor], prefix: str) -> None:
    """Fill a module from the initialisers of its graph, in which batch norms are folded into convolutions.

    Raises:
        UnavailableError: a weight of the module is not there, so the graph is of another architecture.
    """
    waiting = ""  # the convolution whose folded bias the next batch norm takes
    for name, layer in module.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            bias = stored.get(f"{prefix}{waiting}.weight_bias")
            if bias is None or layer.running_mean is None or layer.running_var is None:
                raise UnavailableError(f"the graph has no folded bias for {name}")
            nn.init.ones_(layer.weight)
            layer.running_mean.zero_()
            layer.running_var.fill_(1 - layer.eps)
            _copy(layer.bias, bias, f"{name}.bias")
            continue
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            waiting = name
        for key, parameter in layer.named_parameters(recurse=False):
            tensor = stored.get(f"{prefix}{name}.{key}")
            if tensor is None:
                raise UnavailableError(f"the graph has no weight named {prefix}{name}.{key}")
            _copy(parameter, tensor, f"{name}.{key}")


def _copy(parameter: Tensor, value: Tensor, name: str) -> None:
    if parameter.shape != value.shape:
        raise UnavailableError(f"{name} has another shape in the graph")
    with torch.no_grad():
        parameter.copy_(value)


# -------------------------------------------------------------------- CORE


def core_model(info: ModelInfo, cache: Path) -> CoreModel:
    """The PyTorch side of a model with CORE.

    Raises:
        UnavailableError: realm-tiny's training run is not on this machine.
    """
    if info.key != "tiny":
        loaded = _loaded_core(cache)
        module: nn.Module = PublishedCore(loaded.model.text)
        module.load_state_dict(torch.load(_published_checkpoint(cache), weights_only=True))
        plain = True
    else:
        from realm_train.core.checkpoint import load_core

        if not (TINY_RUN / "config.json").is_file():
            raise UnavailableError("needs the training run of realm-tiny (`make realm-tiny`)")
        loaded = load_core(TINY_RUN)
        module, plain = _WithText(loaded.model), False
    config = loaded.config.model
    return CoreModel(
        module=module.eval(),
        tokenizer=loaded.tokenizer,
        height_px=config.image_height_px,
        width_px=config.image_width_px,
        interpolation=config.interpolation,
        max_tokens=config.max_tokens,
        pad_id=loaded.pad_id,
        plain=plain,
    )


class _WithText(nn.Module):
    """A `realm_train` CORE whose every image has a text."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        has_text = torch.ones(len(pixels), device=pixels.device)
        mos: Tensor = self.model(pixels * 255.0, input_ids, attention_mask, has_text)
        return mos


def _published_checkpoint(cache: Path) -> Path:
    """A published CORE's state_dict with seeded random weights, written once.

    A fresh ResNet gives nearly the same features to every picture, and rounding drowns what is left, so that
    no precision could be judged on it. Here its norms have the statistics of photographs and its residual
    branches a third of the weight, both as in a trained one, and the scores spread like MOS (deviation 1).
    """
    from transformers import BertConfig, BertModel

    path = cache / "published-core-conditioned.pth"
    if not path.is_file():
        torch.manual_seed(0)
        module = PublishedCore(BertModel(BertConfig()))
        _normalise(module)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(module.state_dict(), path)
    return path


@torch.no_grad()
def _normalise(module: PublishedCore) -> None:
    from realm_engine.pictures.decode import load_image
    from realm_engine.pictures.find import find_images

    crops = []
    for path in find_images(SAMPLES):
        picture = torch.from_numpy(load_image(path).copy()).permute(2, 0, 1).float().unsqueeze(0) / 255
        height, width = picture.shape[2:]
        for part in (
            picture,
            picture[..., : height // 2, : width // 2],
            picture[..., height // 2 :, width // 2 :],
        ):
            crops.append(nn.functional.interpolate(part, (384, 512), mode="bilinear", antialias=True))
    pictures = torch.cat(crops)
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for block in module.modules():
        if isinstance(last_norm := getattr(block, "bn3", None), nn.BatchNorm2d):
            last_norm.weight.fill_(1 / 3)
    for norm in norms:
        norm.momentum = None  # the mean over batches instead of a moving one
        norm.reset_running_stats()
    module.train()
    for batch in torch.split(pictures, 8):
        module.cnn(batch)
    module.eval()
    ids = torch.randint(1000, 20000, (1, 24)).expand(len(pictures), -1)
    scores = torch.cat(
        [
            module(p, i, torch.ones_like(i))
            for p, i in zip(torch.split(pictures, 8), torch.split(ids, 8), strict=True)
        ]
    )
    last: Any = module.fc[2]
    last.weight /= scores.std()
    last.bias.copy_((last.bias - scores.mean()) / scores.std())


def _loaded_core(cache: Path) -> Any:
    """That checkpoint as `realm_train` opens it, so that the export goes the way of a real one."""
    from realm_train.core.upstream import load_upstream

    return load_upstream(_published_checkpoint(cache))
