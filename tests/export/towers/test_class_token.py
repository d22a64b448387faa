"""The image tower as it is exported, against open_clip's own in float64."""

import open_clip
import pytest
import torch
from torch import nn

from export.towers.class_token import PlainBlock, use_class_token_only


def tower(**changes):
    torch.manual_seed(0)
    settings = {"layers": 3, "width": 32, "head_width": 8, "patch_size": 8, "image_size": 32} | changes
    network = open_clip.model.CLIP(
        embed_dim=16,
        vision_cfg=settings,
        text_cfg={"context_length": 8, "vocab_size": 20, "width": 16, "heads": 2, "layers": 1},
        quick_gelu=changes.pop("quick_gelu", False),
    )
    visual = network.visual.double().eval()
    for parameter in visual.parameters():  # biases start as zeros, which hides a bias that was forgotten
        nn.init.normal_(parameter, std=0.2)
    return visual


@pytest.mark.parametrize("changes", [{}, {"layers": 1}, {"ls_init_value": 0.5}, {"no_ln_pre": True}])
def test_embeddings_are_those_of_the_whole_tower(changes):
    visual = tower(**changes)
    lean = use_class_token_only(visual)
    pixels = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(lean(pixels), visual(pixels), rtol=1e-12, atol=1e-12)
    assert all(isinstance(block, PlainBlock) for block in lean.transformer.resblocks)
    assert not any(isinstance(block, PlainBlock) for block in visual.transformer.resblocks)


def test_the_last_block_works_on_one_token():
    lean, seen = use_class_token_only(tower()), []
    for block in lean.transformer.resblocks:
        block.block.mlp.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[1]))
    with torch.no_grad():
        lean(torch.randn(2, 3, 32, 32, dtype=torch.float64))
    assert seen == [17, 17, 1]  # 16 patches and the class token


@pytest.mark.parametrize(
    "changes", [{"pool_type": "avg"}, {"attentional_pool": True}, {"output_tokens": True}]
)
def test_towers_that_use_more_than_the_class_token_stay(changes):
    visual = tower(**changes)
    assert use_class_token_only(visual) is visual
    convolutional = nn.Conv2d(3, 4, 3)
    assert use_class_token_only(convolutional) is convolutional
