"""The contrastive loss of CLIP where several windows share a text and several texts share a window."""

from open_clip.loss import ClipLoss
from torch import Tensor
from torch.nn import functional as F


class SharedClipLoss(ClipLoss):  # type: ignore[misc]
    """open_clip's symmetric cross-entropy with its one-to-one targets spread over all that belong together.

    With the identity as `belongs` and nothing related this is `ClipLoss` itself. Rows or columns that belong to
    nothing are left out of their direction, but stay as negatives in the other.
    """

    def forward(  # type: ignore[override]
        self,
        image_features: Tensor,
        text_features: Tensor,
        logit_scale: Tensor,
        belongs: Tensor,
        related: Tensor,
        share: float = 0.0,
    ) -> Tensor:
        """Contrast windows with texts.

        Args:
            image_features: L2-normalised, float [N, D].
            text_features: L2-normalised, float [M, D].
            logit_scale: float scalar.
            belongs: bool [N, M].
            related: bool [N, M], pairs that share some meaning.
            share: of each target's mass that is spread over the related ones.
        """
        logits = logit_scale * image_features @ text_features.T
        targets = [_targets(*pair, share) for pair in ((belongs, related), (belongs.T, related.T))]
        return (_cross_entropy(logits, targets[0]) + _cross_entropy(logits.T, targets[1])) / 2


def _targets(belongs: Tensor, related: Tensor, share: float) -> Tensor:
    """Rows that sum to 1, or to 0 where nothing belongs."""
    own, other = (mask.float() / mask.sum(1, keepdim=True).clamp(min=1) for mask in (belongs, related))
    shared = share * (other.sum(1, keepdim=True) > 0)
    return ((1 - shared) * own + shared * other) * (own.sum(1, keepdim=True) > 0)


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    kept = targets.sum(1) > 0
    return F.cross_entropy(logits[kept], targets[kept], reduction="sum") / kept.sum().clamp(min=1)
