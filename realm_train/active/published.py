"""The published learner, defects and all, so that its numbers can be told from ours; in simulations alone.

One linear layer on features as they are, trained by AdamW from where the last round left it. Its passes differ by the
augmentation of the picture alone. A balanced query takes places in the pictures of one label for places in all of
them. The loss of the loss-weighted acquisitions, and the balance, read labels that nobody has given.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from realm_engine.arrays import Bool, Float32, Float64, Int64
from realm_train.active.acquisitions import ACQUISITIONS, above_floor
from realm_train.active.config import SimulationConfig
from realm_train.active.query import highest, published_balanced

LEARNING_RATE = 1e-4
BATCH = 256
INITIAL_STD = 0.02


def query_weights(u: Float64) -> Float64:
    """How much queried pictures weigh in the loss: 1 to about 8, by how far their u lies above the floor."""
    return np.asarray(above_floor(u) ** 3)


def decayed(weights: Tensor, decay: float) -> Tensor:
    """The weights of the next epoch of a round; none falls below 1."""
    return torch.clamp(weights * decay, min=1.0)


class Continued:
    """See the module; a `Learner`."""

    def __init__(
        self,
        features: Float32,
        fake: Bool,
        acquisition: str,
        config: SimulationConfig,
        generator: np.random.Generator,
    ) -> None:
        """`features`: [1 + views, N, F] of the pool, the picture first, which is what none of it sees."""
        self._views, self._fake = torch.from_numpy(np.ascontiguousarray(features[1:])), fake
        self._acquisition, self._config = ACQUISITIONS[acquisition], config
        self._random = torch.Generator().manual_seed(int(generator.integers(2**31)))
        self._layer = nn.Linear(features.shape[2], 1)
        nn.init.normal_(self._layer.weight, std=INITIAL_STD, generator=self._random)
        nn.init.zeros_(self._layer.bias)
        self._optimizer = torch.optim.AdamW(
            self._layer.parameters(), LEARNING_RATE, betas=(0.9, 0.999), weight_decay=0.0
        )
        self._weights = torch.ones(features.shape[1])
        self._rounds = 0

    def learn(self, rows: Int64) -> None:
        """Go on training, on a random view of each row in each epoch. See `Learner`."""
        places = torch.from_numpy(rows)
        target = torch.from_numpy(self._fake[rows].astype(np.float32))
        batches = [slice(at, at + BATCH) for at in range(0, len(rows), BATCH)]
        for epoch in range(self._config.epochs if self._rounds else self._config.warm_up):
            if epoch:
                self._weights = decayed(self._weights, self._config.decay)
            order = torch.randperm(len(rows), generator=self._random)
            for batch in (order[each] for each in batches):
                views = torch.randint(len(self._views), (len(batch),), generator=self._random)
                logits = self._layer(self._views[views, places[batch]]).squeeze(1)
                loss = nn.functional.binary_cross_entropy_with_logits(
                    logits, target[batch], weight=self._weights[places[batch]]
                )
                self._optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self._optimizer.step()
        self._rounds += 1

    @torch.no_grad()
    def p_fake(self, features: Float32) -> Float64:
        """See `Learner`."""
        logits = self._layer(torch.from_numpy(np.ascontiguousarray(features))).squeeze(-1)
        return np.asarray(torch.sigmoid(logits).double().numpy())

    def choose(self, rows: Int64, count: int, generator: np.random.Generator) -> Int64:
        """See `Learner`. A balanced query may bring fewer than `count`."""
        among, config = generator.permutation(rows)[: self._config.choose.subset], self._config
        if self._acquisition.uncertainty is None:
            return among[:count]
        p = np.stack([self.p_fake(view) for view in self._views[:, among].numpy()])
        u = self._acquisition.score(p, self._fake[among])
        balanced = config.choose.balanced
        places = published_balanced(u, self._fake[among], count) if balanced else highest(u, count)
        if config.weighted:
            uncertainty = self._acquisition.uncertainty(p)
            self._weights[among[places]] = torch.from_numpy(query_weights(uncertainty)[places]).float()
        return among[places]
