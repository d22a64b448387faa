"""Small towers with the architectures of the real ones, seeded."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_model
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertModel

from export.towers.core_source import CoreSource, core_source
from realm_train.clip.config import ClipConfig
from realm_train.clip.model import Clip, new_clip
from realm_train.core.config import CoreConfig, CoreModelConfig
from realm_train.core.loaded import LoadedCore
from realm_train.core.model import build_core

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] yes no somewhat , . ' the a of is are face hand sign edge image looks "
    "text on melts melted into background garbled blurred repeated distorted has too many fingers shadow"
)


def native_clip(folder: Path, size: int = 224, patch: int = 32, quick_gelu: bool = True) -> Path:
    """JSON configuration of a CLIP with a two-layer ViT and CLIP's own text transformer."""
    config = {
        "embed_dim": 32,
        "quick_gelu": quick_gelu,
        "vision_cfg": {"image_size": size, "layers": 2, "width": 64, "head_width": 32, "patch_size": patch},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
    }
    return _write(folder / "native-clip.json", config)


def convolutional_clip(folder: Path, text: Path) -> Path:
    """JSON configuration of a CLIP with a timm ResNet and a Hugging Face text tower of `text_tower`."""
    config = {
        "embed_dim": 24,
        "vision_cfg": {
            "timm_model_name": "resnet18",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 64,
        },
        "text_cfg": {
            "hf_model_name": str(text),
            "hf_tokenizer_name": str(text),
            "hf_proj_type": "mlp",
            "hf_pooler_type": "mean_pooler",
            "context_length": 40,
        },
    }
    return _write(folder / "convolutional-clip.json", config)


def bert_base(folder: Path) -> Path:
    """Folder of BERT-base's architecture, without weights, and a small WordPiece tokenizer."""
    _word_pieces(folder)
    BertConfig().save_pretrained(folder)
    return folder


def text_tower(folder: Path, layers: int = 2, seed: int = 0) -> Path:
    """Folder of a small BERT with weights and a WordPiece tokenizer."""
    words = _word_pieces(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=words,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def _word_pieces(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    tokens = [*WORDS.split(" "), *[f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(tokens), encoding="utf-8")
    BertWordPieceTokenizer(str(vocabulary), lowercase=True).save(str(folder / "tokenizer.json"))
    return len(tokens)


def _write(path: Path, config: dict[str, Any]) -> Path:
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def tampered(clip: Any) -> Any:
    """The CLIP with preprocessing that its manifest does not tell the graph: exports to a wrong graph."""

    class Shifted(torch.nn.Module):
        def __init__(self, model: torch.nn.Module):
            super().__init__()
            self.inner = model

        def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
            # Wrong in the graph only: the exporter traces with fake tensors, eager runs see real ones.
            return self.inner.encode_image(pixels + (0.5 if torch.compiler.is_compiling() else 0.0))

        def encode_text(self, ids: torch.Tensor) -> torch.Tensor:
            return self.inner.encode_text(ids)

    return dataclasses.replace(clip, model=Shifted(clip.model))


def small_core(text: Path, **settings: Any) -> CoreSource:
    """A seeded CORE of a ResNet-18 for 128 x 96 pixels and a text tower's folder, its features normalised."""
    config = CoreModelConfig(
        image_tower="resnet18",
        text_tower=str(text),
        image_height_px=96,
        image_width_px=128,
        max_tokens=40,
        **settings,
    )
    torch.manual_seed(3)
    model, tower = build_core(config, text_weights="pretrained", text_folder=str(text))
    if model.missing_text is not None:
        torch.nn.init.normal_(model.missing_text)
    return core_source(LoadedCore(model, CoreConfig(model=config), tower.tokenizer, text))


def window_clip(folder: Path, **settings: Any) -> Clip:
    """realm-tiny's architecture in a run folder `folder / "run"`, as a training leaves it, with random weights."""
    text = text_tower(folder / "text")
    torch.manual_seed(0)
    config = ClipConfig(**{"text_tower": str(text), "text_layers": 1, "embed_dim": 16, **settings})
    clip = new_clip(config, folder / "run")
    for module in clip.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # else folding it would prove nothing
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    clip.model.eval()
    save_model(clip.model, str(folder / "run" / "checkpoint.safetensors"))
    return clip
