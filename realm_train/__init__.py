"""PyTorch side of REALM: data, models, training and evaluation; leaves run folders that `export` reads."""

import os

from realm_engine.machine import telemetry
from realm_engine.machine.online import is_offline
from realm_train.offline import tell_libraries

# Read by huggingface_hub when it is first imported, which open_clip, timm and transformers do; this file comes before
# any of them. A hub that cannot be reached is one error line after seconds, not a minute of retries.
os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", "5")
os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "15")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if is_offline():
    tell_libraries()

# torch.compile looks at every backend that is installed, OpenVINO's too, and `export` imports this package first.
telemetry.switch_off()
