"""Image and text towers by name, with pretrained weights, weights from a path, or none.

Weights are read by safetensors or `torch.load(weights_only=True)`; nothing here runs code from a checkpoint.
"""

from realm_train.towers.image import ImageTower, image_tower
from realm_train.towers.quiet import quiet_root_logger
from realm_train.towers.text import (
    TextTower,
    never_ask,
    refuse_own_code,
    save_text_tower_config,
    text_tower,
    text_tower_from_config,
)
from realm_train.towers.weights import load_strictly, load_weights, refuse_transformers_layout

__all__ = [
    "ImageTower",
    "TextTower",
    "image_tower",
    "load_strictly",
    "load_weights",
    "never_ask",
    "quiet_root_logger",
    "refuse_own_code",
    "refuse_transformers_layout",
    "save_text_tower_config",
    "text_tower",
    "text_tower_from_config",
]
