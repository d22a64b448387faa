"""Image and text towers by name, with pretrained weights, weights from a path, or none.

Weights are read by safetensors or `torch.load(weights_only=True)`; nothing here runs code from a checkpoint.
A hub that cannot be reached is one error line after seconds, not a minute of retries.
"""

import os

# Read by huggingface_hub when it is first imported: give up on a silent network after seconds.
os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", "5")
os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "15")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from realm_train.towers.image import ImageTower, image_tower
from realm_train.towers.quiet import quiet_root_logger
from realm_train.towers.text import TextTower, save_text_tower_config, text_tower, text_tower_from_config
from realm_train.towers.weights import load_strictly, load_weights

__all__ = [
    "ImageTower",
    "TextTower",
    "image_tower",
    "load_strictly",
    "load_weights",
    "quiet_root_logger",
    "save_text_tower_config",
    "text_tower",
    "text_tower_from_config",
]
