import math

import pytest
import torch
from open_clip.loss import ClipLoss
from torch import Tensor
from torch.nn import functional as F

from realm_train.clip.loss import SharedClipLoss


def features(seed: int, rows: int, width: int = 12, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, width, generator=generator, dtype=dtype), dim=-1)


def direction(logits: list[list[float]], belongs: list[list[bool]], related: list[list[bool]], share: float):  # type: ignore[no-untyped-def]
    """Cross-entropy of each row that something belongs to, mean over these, in plain Python."""
    losses = []
    for row, own, other in zip(logits, belongs, related, strict=True):
        if not any(own):
            continue
        given = share if any(other) else 0.0
        total = sum(math.exp(value) for value in row)
        loss = 0.0
        for value, mine, theirs in zip(row, own, other, strict=True):
            target = mine * (1 - given) / sum(own) + (theirs * given / sum(other) if any(other) else 0.0)
            loss -= target * (value - math.log(total))
        losses.append(loss)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_one_to_one_is_open_clips_loss(share: float) -> None:
    """With nothing related the share has nowhere to go."""
    image, text = features(0, 9, dtype=torch.float32), features(1, 9, dtype=torch.float32)
    scale = torch.tensor(20.0)
    belongs = torch.eye(9, dtype=torch.bool)
    found = SharedClipLoss()(image, text, scale, belongs, torch.zeros_like(belongs), share)
    assert float(found) == pytest.approx(float(ClipLoss()(image, text, scale)), abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_shared_targets_are_those_of_a_plain_loop(seed: int, share: float) -> None:
    image, text = features(seed, 7), features(seed + 50, 5)
    draw = torch.rand(7, 5, generator=torch.Generator().manual_seed(seed))
    belongs, related = draw < 0.3, (draw > 0.3) & (draw < 0.6)
    belongs[2] = False  # a window that fits no text
    belongs[:, 4] = False  # a text that fits no window
    belongs[0, 0], related[0, 0] = True, False
    scale = torch.tensor(7.0, dtype=torch.float64)
    logits = (scale * image @ text.T).tolist()
    expected = (
        direction(logits, belongs.tolist(), related.tolist(), share)
        + direction([*map(list, zip(*logits, strict=True))], belongs.T.tolist(), related.T.tolist(), share)
    ) / 2
    found = SharedClipLoss()(image, text, scale, belongs, related, share)
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(expected, abs=1e-6)  # targets are float32


def test_rows_without_a_partner_push_others_away() -> None:
    """Left out of their own direction, they are negatives in the other: the gradient reaches them."""
    image, text = features(3, 4).requires_grad_(), features(4, 3).requires_grad_()
    belongs = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]], dtype=torch.bool)
    related = torch.zeros_like(belongs)
    SharedClipLoss()(image, text, torch.tensor(5.0, dtype=torch.float64), belongs, related).backward()
    assert image.grad is not None and text.grad is not None
    assert bool((image.grad.abs().sum(1) > 0).all()) and bool((text.grad.abs().sum(1) > 0).all())
