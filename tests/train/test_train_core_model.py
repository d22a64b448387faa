import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from train_data import tiny_config, write_text_tower
from transformers import BertModel

from realm_train.core import losses
from realm_train.core.config import CoreConfig, CoreModelConfig, TrainConfig
from realm_train.core.data import EpochBatches, tokenize
from realm_train.core.gradient import make_optimizer
from realm_train.core.model import FeatureNorm, build_core, freeze
from realm_train.core.presets import PAPER, core_preset
from realm_train.core.upstream import load_upstream
from realm_train.errors import ConfigError, TowerError
from realm_train.optimise import training_mode
from realm_train.towers import text_tower


@pytest.fixture
def text_folder(tmp_path: Path) -> Path:
    return write_text_tower(tmp_path / "bert")


class Published(nn.Module):
    """The published network, written plainly."""

    def __init__(self, text_folder: Path) -> None:
        super().__init__()
        self.cnn = torchvision.models.resnet18(weights=None)
        self.cnn.fc = nn.Identity()
        self.bert = BertModel.from_pretrained(text_folder)
        self.fc = nn.Sequential(nn.Linear(512 + 16, 7), nn.ReLU(), nn.Linear(7, 1))

    def forward(self, image: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        text = self.bert(input_ids=ids, attention_mask=mask).pooler_output
        return self.fc(torch.cat((self.cnn(image), text), dim=1)).squeeze()


@pytest.fixture
def upstream(text_folder: Path, tmp_path: Path) -> tuple[Published, Path, CoreModelConfig]:
    torch.manual_seed(3)
    model = Published(text_folder).eval()
    for module in model.modules():  # statistics as after training
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    path = tmp_path / "best_model.pth"
    torch.save(model.state_dict(), path)
    config = dataclasses.replace(
        PAPER.model,
        image_tower="resnet18",
        text_tower=str(text_folder),
        image_height_px=64,
        image_width_px=96,
    )
    return model, path, config


def test_upstream_checkpoint_gives_the_published_outputs(upstream) -> None:  # type: ignore[no-untyped-def]
    published, path, config = upstream
    loaded = load_upstream(path, config)
    assert loaded.config.ratings == "raise-td" and CoreConfig().ratings == "own"
    with pytest.raises(ConfigError, match="ratings is 'avatars', expected one of raise-td, own"):
        CoreConfig(ratings="avatars")
    texts = tokenize(["Yes, the hand is odd.", "No."], loaded.tokenizer, 16)
    ids, mask = texts.input_ids[:2], texts.attention_mask[:2]
    pixels = torch.randint(0, 256, (2, 3, 64, 96)).float()
    with torch.no_grad():
        expected = published(pixels / 255, ids, mask)
        for has_text in (
            1.0,
            0.0,
        ):  # the published model has no vector for missing text: the flag changes nothing
            ours = loaded.model(pixels, ids, mask, torch.full((2,), has_text))
            assert torch.equal(ours, expected)
    assert loaded.config.model.hidden == 7
    assert not torch.equal(expected[0], expected[1])


def test_upstream_checkpoint_of_data_parallel_and_old_transformers(upstream) -> None:  # type: ignore[no-untyped-def]
    published, path, config = upstream
    state = {f"module.{key}": value for key, value in published.state_dict().items()}
    state["module.bert.embeddings.position_ids"] = torch.arange(32)
    torch.save(state, path)
    loaded = load_upstream(path, config)
    assert torch.equal(loaded.model.head[0].weight, published.fc[0].weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("fc.2.weight"), "has no fc.2.weight"),
        (lambda s: [s.pop(key) for key in list(s) if key.startswith("bert.")], r"has no bert\* keys"),
        (lambda s: s.pop("cnn.layer1.0.conv1.weight"), "1 keys missing .*layer1.0.conv1.weight"),
        (lambda s: s.update(extra=torch.ones(1)), "unexpected key extra"),
        (lambda s: s.update({"fc.0.bias": torch.ones(3)}), r"shapes differ .*head.0.bias, \(3,\) for \(7,\)"),
    ],
)
def test_wrong_upstream_checkpoint(upstream, change, message: str) -> None:  # type: ignore[no-untyped-def]
    published, path, config = upstream
    state = published.state_dict()
    change(state)
    torch.save(state, path)
    with pytest.raises(TowerError, match=message):
        load_upstream(path, config)


def test_paper_preset_is_the_published_network() -> None:
    model = PAPER.model
    assert (model.image_tower, model.text_tower, model.hidden) == ("resnet50", "bert-base-uncased", 529)
    assert (model.image_height_px, model.image_width_px, model.max_tokens) == (384, 512, 128)
    assert (model.normalisation, model.text_pooling, model.dropout) == ("none", "pooler", 0.0)
    train = PAPER.train
    assert (train.lr, train.batch_size, train.epochs, train.seed) == (1.1e-4, 16, 15, 42)
    assert (train.loss, train.schedule, train.weight_decay) == ("mse", "constant", 0.01)
    with pytest.raises(ConfigError, match="there are paper, small"):
        core_preset("large")


def test_multi_stage_features_and_mean_pooling(text_folder: Path) -> None:
    config = tiny_config(text_folder).model
    torch.manual_seed(0)
    model, text = build_core(config, text_weights="pretrained")
    pixels = torch.randint(0, 256, (3, 3, 32, 48)).float()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    texts = tokenize(["Yes, the face looks warped.", "No."], text.tokenizer, 16)
    with torch.no_grad():
        net = model.image.backbone
        x = net.bn1(net.conv_stem((pixels / 255 - mean) / std))
        parts = []
        for index, block in enumerate(net.blocks):
            x = block(x)
            if index in (1, 3):
                flat = x.flatten(2).double().numpy()
                parts += [flat.mean(2), np.sqrt(flat.var(2) + 1e-6)]
        parts.append(net.bn2(net.conv_head(x)).mean((2, 3)).numpy())
        found = model.encode_image(pixels)
        np.testing.assert_allclose(found, np.concatenate(parts, 1), rtol=1e-4, atol=1e-5)
        assert found.shape[1] == model.image_width

        hidden = text.model(texts.input_ids[1:2, :4]).last_hidden_state  # [CLS] no . [SEP], without padding
        pooled = model.encode_text(texts.input_ids, texts.attention_mask)
        np.testing.assert_allclose(pooled[1], hidden[0].mean(0), rtol=1e-4, atol=1e-5)


def test_missing_text_replaces_whatever_is_given(text_folder: Path) -> None:
    model, _ = build_core(tiny_config(text_folder).model)
    images = torch.randn(2, model.image_width)
    garbage = torch.full((2, model.text_width), float("nan"))
    with torch.no_grad():
        assert model.missing_text is not None
        model.missing_text.normal_()
        without = model.fuse(images, garbage, torch.zeros(2))
        expected = model.head(torch.cat([images, model.missing_text.expand(2, -1)], 1)).squeeze(1)
        described = model.fuse(images, torch.randn(2, model.text_width), torch.tensor([1.0, 0.0]))
    assert torch.equal(without, expected)
    assert described[0] != without[0] and torch.allclose(described[1], without[1])


def test_a_batch_equals_its_singles(text_folder: Path) -> None:
    model, text = build_core(tiny_config(text_folder).model)
    texts = tokenize(["Yes.", "No, the hand is odd.", ""], text.tokenizer, 16)
    pixels = torch.randint(0, 256, (3, 3, 32, 48)).float()
    arguments = (pixels, texts.input_ids[:3], texts.attention_mask[:3], texts.has_text[:3])
    with torch.no_grad():
        batch = model(*arguments)
        singles = torch.cat([model(*(part[i : i + 1] for part in arguments)) for i in range(3)])
    torch.testing.assert_close(batch, singles, rtol=1e-4, atol=1e-5)


def test_towers_that_cannot_do_what_is_asked(text_folder: Path) -> None:
    config = tiny_config(text_folder).model
    with pytest.raises(ConfigError, match="has stages 0 to 4, not 9"):
        build_core(dataclasses.replace(config, stages=(1, 9)))
    with pytest.raises(ConfigError, match="only then"):
        dataclasses.replace(config, stages=())


def test_tokens_are_cut_before_the_final_special_token(text_folder: Path) -> None:
    tokenizer = text_tower(str(text_folder)).tokenizer
    texts = tokenize(["yes no yes no yes no", "no", "  "], tokenizer, 5)
    assert texts.input_ids.tolist() == [[2, 5, 6, 5, 3], [2, 6, 3, 0, 0], [2, 3, 0, 0, 0], [2, 3, 0, 0, 0]]
    assert texts.attention_mask.sum(1).tolist() == [5, 3, 2, 2]
    assert texts.has_text.tolist() == [1, 1, 0, 0]


def test_feature_norm_standardises() -> None:
    features = torch.randn(50, 3) * torch.tensor([2.0, 5.0, 0.0]) + torch.tensor([1.0, -3.0, 4.0])
    norm = FeatureNorm(3)
    norm.fit(features)
    out = norm(features)
    torch.testing.assert_close(out.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-4, rtol=0)


def test_losses_agree_with_plain_loops() -> None:
    rng = np.random.default_rng(0)
    prediction, target = rng.normal(size=7).astype(np.float32), rng.normal(size=7).round().astype(np.float32)
    p, t = torch.from_numpy(prediction), torch.from_numpy(target)
    pairs = [
        np.log1p(np.exp(-(prediction[i] - prediction[j])))
        for i in range(7)
        for j in range(7)
        if target[i] > target[j]
    ]
    assert losses.rank_loss(p, t).item() == pytest.approx(np.mean(pairs), rel=1e-5)
    plcc = 1 - np.corrcoef(prediction, target)[0, 1]
    assert losses.plcc_loss(p, t).item() == pytest.approx(plcc, rel=1e-4)
    mse = np.mean((prediction - target) ** 2)
    for name, extra in (("mse", 0.0), ("mse+rank", np.mean(pairs)), ("mse+plcc", plcc)):
        value = losses.loss(p, t, TrainConfig(loss=name, extra_weight=0.3)).item()
        assert value == pytest.approx(mse + 0.3 * extra, rel=1e-4)
    difference = np.abs(prediction - target)
    huber = np.where(difference < 0.5, difference**2 / 2, 0.5 * (difference - 0.25)).mean()
    assert losses.loss(p, t, TrainConfig(loss="huber", huber_delta=0.5)).item() == pytest.approx(
        huber, rel=1e-5
    )


@pytest.mark.parametrize("name", ["rank_loss", "plcc_loss"])
def test_losses_of_a_single_image_have_finite_gradients(name: str) -> None:
    prediction = torch.ones(1, requires_grad=True)
    getattr(losses, name)(prediction, torch.ones(1)).backward()
    assert torch.isfinite(prediction.grad).all()  # type: ignore[arg-type]


def test_freezing(text_folder: Path) -> None:
    model, _ = build_core(tiny_config(text_folder).model)
    config = TrainConfig(freeze_image="until-stage-2", freeze_text=True)
    freeze(model, config)
    training_mode(model)
    stages = model.image.parameter_stages()
    for name, parameter in model.image.backbone.named_parameters():
        assert parameter.requires_grad == (stages[name] > 2)
    assert not model.image.backbone.bn1.training and model.image.backbone.bn2.training
    assert not any(module.training for module in model.text.modules())
    assert model.head.training
    training_mode(model, freeze_batch_norm=True)
    assert not model.image.backbone.bn2.training
    with pytest.raises(ConfigError, match="leaves none to train"):
        freeze(model, TrainConfig(freeze_image="until-stage-5"))


def test_parameter_groups(text_folder: Path) -> None:
    model, _ = build_core(tiny_config(text_folder).model)
    config = TrainConfig(lr=1.0, image_lr=2.0, head_lr=3.0, weight_decay=0.1, decay_norms=False)
    groups = make_optimizer(model, config).param_groups
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {
        (rate, decay) for rate in (1.0, 2.0, 3.0) for decay in (0.0, 0.1)
    }
    rate_of = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert rate_of[id(model.image.backbone.conv_stem.weight)] == 2.0
    assert rate_of[id(next(model.text.parameters()))] == 1.0
    assert rate_of[id(model.missing_text)] == rate_of[id(model.head[0].weight)] == 3.0
    assert len(rate_of) == len(list(model.parameters()))


def test_batches_depend_on_seed_and_epoch_only() -> None:
    batches = EpochBatches([4, 5, 6, 7, 8], 2, seed=1)
    first = list(batches)
    assert [len(batch) for batch in first] == [2, 2, 1] and len(batches) == 3
    assert sorted(row for batch in first for _, row in batch) == [4, 5, 6, 7, 8]
    batches.epoch = 1
    assert [key[0] for batch in batches for key in batch] == [1] * 5
    batches.epoch = 0
    assert list(batches) == first
