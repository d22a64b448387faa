"""Training of CORE without a gradient: a kernel head is fitted to the features of fixed towers."""

import numpy as np
import torch

from realm_train.core.flaw_features import read_flaw_features
from realm_train.core.kernel import CLIP, KernelHead
from realm_train.core.trainee import Trained, Trainee


@torch.no_grad()
def fit_kernel(trainee: Trainee) -> Trained:
    """Fit a kernel head to the features of the starting towers: no gradient, one pass over the images.

    Of the augmentations only the horizontal flip applies, as a second view of each image. Where there are features of
    planted flaws, their direction is added.
    """
    model, config, rows = trainee.model, trainee.config.train, list(trainee.split.train)
    head = model.head
    assert isinstance(head, KernelHead)
    features = trainee.image_features()
    assert features is not None
    trainee.standardise(features)
    trainee.texts = trainee.texts.with_features(model)
    assert trainee.texts.features is not None
    views = [features]
    if trainee.config.augment.flip:
        mirrored = trainee.image_features(mirrored=True)
        assert mirrored is not None
        views.append(mirrored)
    if model.unlike is not None:
        model.unlike.fit(torch.stack([model.spreads(view) for view in views]))
    head.fit(
        torch.stack([model.image_norm(view) for view in views]),
        model.text_norm(trainee.texts.features[rows].to(features.device)),
        trainee.texts.has_text[rows],
        np.array([trainee.data.rows[row].mos for row in rows]),
        config.svr_c,
        config.svr_gamma,
        config.svr_epsilon,
    )
    if config.flaws:
        triples = torch.from_numpy(read_flaw_features(config.flaws, model)).to(features.device)
        rated, planted = (
            model.image_norm(each).clamp(-CLIP, CLIP).double().cpu().numpy() for each in (features, triples)
        )
        head.flaws.fit(rated, planted, config.flaw_weight, config.flaw_ridge)
    measured = trainee.validate()  # by all processes: each predicts its share
    if trainee.accelerator.is_main_process:
        trainee.run.append_metrics({"epoch": 1, **measured})
        trainee.run.save_checkpoint(
            model.state_dict(), {"format": "realm-core", "epoch": 1, "kept": "fitted"}
        )
    trainee.accelerator.wait_for_everyone()
    return trainee.finish()
