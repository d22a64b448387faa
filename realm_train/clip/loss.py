"""The contrastive loss of CLIP where several windows share a text and several texts share a window."""

from open_clip.loss import ClipLoss
from torch import Tensor
from torch.nn import functional as F


class SharedClipLoss(ClipLoss):  # type: ignore[misc]
    """open_clip's symmetric cross-entropy with its one-to-one targets spread over all that belong together.

    With the identity as `weights` this is `ClipLoss` itself. Rows or columns that belong to nothing are left
    out of their direction, but stay as negatives in the other.
    """

    def forward(  # type: ignore[override]
        self, image_features: Tensor, text_features: Tensor, logit_scale: Tensor, weights: Tensor
    ) -> Tensor:
        """L2-normalised features [N, D] and [M, D]; how much each pair belongs together, float [N, M] >= 0."""
        logits = logit_scale * image_features @ text_features.T
        return (_soft_cross_entropy(logits, weights) + _soft_cross_entropy(logits.T, weights.T)) / 2


def _soft_cross_entropy(logits: Tensor, weights: Tensor) -> Tensor:
    kept = weights.sum(1) > 0
    targets = weights[kept].float()
    return F.cross_entropy(logits[kept], targets / targets.sum(1, keepdim=True))
