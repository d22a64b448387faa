"""What CORE minimises. All functions take prediction and target float32 [B] and return a scalar."""

import torch
from torch import Tensor
from torch.nn import functional

from realm_train.core.config import TrainConfig


def loss(prediction: Tensor, target: Tensor, config: TrainConfig) -> Tensor:
    """The configured loss."""
    if config.loss == "huber":
        return functional.huber_loss(prediction, target, delta=config.huber_delta)
    value = functional.mse_loss(prediction, target)
    if config.loss == "mse+rank":
        value = value + config.extra_weight * rank_loss(prediction, target)
    elif config.loss == "mse+plcc":
        value = value + config.extra_weight * plcc_loss(prediction, target)
    return value


def rank_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of log(1 + exp(-(p_i - p_j))) over the pairs with t_i > t_j (RankNet); 0 without such pairs."""
    above = (target.unsqueeze(1) > target.unsqueeze(0)).float()  # [B, B]
    margins = prediction.unsqueeze(1) - prediction.unsqueeze(0)  # [B, B]
    return (functional.softplus(-margins) * above).sum() / above.sum().clamp(min=1)


def plcc_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """One minus Pearson's correlation over the batch; 1 where either is constant."""
    x, y = prediction - prediction.mean(), target - target.mean()
    # Inside the root, so that the gradient is finite for a constant batch.
    return 1 - (x * y).sum() / torch.sqrt((x * x).sum() * (y * y).sum() + 1e-8)
