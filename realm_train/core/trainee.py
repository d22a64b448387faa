"""The model in training: what it starts from, how it is validated, and how a run ends."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from realm_train.core.checkpoint import load_core, rebuild, save_architecture
from realm_train.core.config import CoreConfig
from realm_train.core.data import CoreData, tokenize
from realm_train.core.loaded import text_pad_id
from realm_train.core.model import CoreModel, FeatureNorm, build_core, freeze
from realm_train.core.predict import Predictions, predict
from realm_train.core.report import validation_metrics, write_predictions
from realm_train.errors import ConfigError
from realm_train.raise_td import Row
from realm_train.runs import RunFolder, set_seed
from realm_train.said import progress
from realm_train.splits import Split
from realm_train.towers import TextTower, load_strictly

SUMMARY = "summary.json"
SPLIT = "split.json"


@dataclass(frozen=True)
class Trained:
    """What a finished run has to say: the kept epoch (counted from 1) and its validation metrics, float32."""

    run: RunFolder
    epoch: int
    metrics: dict[str, float]


class Trainee:
    """A model with its data and tokenized descriptions on the accelerator, before either way of training it.

    Attributes:
        resumes: Whether an interrupted run saved a state, whose weights the model has then.
        show: Whether this process shows progress.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        run: RunFolder,
        rows: Sequence[Row],
        config: CoreConfig,
        split: Split,
        data: CoreData | None,
        show_progress: bool,
    ) -> None:
        self.accelerator, self.run, self.config, self.split = accelerator, run, config, split
        self.show = show_progress and accelerator.is_main_process
        self.resumes = run.state_file.is_file()
        set_seed(config.train.seed)
        self.model, text = self._model()
        freeze(self.model, config.train)
        if data is None:
            with progress("decoding", len(rows), self.show) as step:
                data = CoreData.load(rows, config, lambda: step(""))
        self.data = data
        if accelerator.is_main_process:
            save_architecture(run, text)
            run.write_json(SPLIT, {name: [rows[i].filename for i in part] for name, part in _parts(split)})
        self.texts = tokenize(
            [row.description for row in rows],
            text.tokenizer,
            config.model.max_tokens,
            text_pad_id(self.model),
        )
        self.model.to(accelerator.device)
        self.model.image.to(memory_format=torch.channels_last)

    def _model(self) -> tuple[CoreModel, TextTower]:
        config, train = self.config, self.config.train
        if self.resumes:
            model, text = rebuild(self.run, config)
            load_strictly(model, (self.run.load_state() or {})["model"], str(self.run.state_file))
            return model, text
        if not train.init:
            return build_core(config.model, train.image_weights, train.text_weights)
        loaded = load_core(train.init)
        if dataclasses.replace(loaded.config.model, text_tower=config.model.text_tower) != config.model:
            raise ConfigError(
                f"init: {train.init} is a model of another architecture; use its model settings"
            )
        return loaded.model, TextTower(loaded.model.text, loaded.tokenizer, loaded.model.text_width)

    @torch.no_grad()
    def image_features(self, mirrored: bool = False) -> torch.Tensor | None:
        """Features of the training images under the starting weights, [N, Fi]; None where nothing needs them."""
        if self.config.model.feature_normalisation != "standardise":
            return None
        device, rows = self.accelerator.device, list(self.split.train)
        with progress("features", math.ceil(len(rows) / 16), self.show) as step:
            features = []
            for start in range(0, len(rows), 16):
                chunk = np.stack([self.data.pixels[row] for row in rows[start : start + 16]])
                pixels = torch.from_numpy(chunk).to(device).permute(0, 3, 1, 2).float()
                features.append(self.model.encode_image(pixels.flip(3) if mirrored else pixels))
                step("")
        return torch.cat(features)

    @torch.no_grad()
    def standardise(self, features: torch.Tensor | None) -> None:
        """Statistics of the features of the training images and descriptions, under the starting weights."""
        image_norm, text_norm = self.model.image_norm, self.model.text_norm
        if (
            features is None
            or not isinstance(image_norm, FeatureNorm)
            or not isinstance(text_norm, FeatureNorm)
        ):
            return
        image_norm.fit(features)
        rows = list(self.split.train)
        described = self.texts.with_features(self.model).features
        assert described is not None
        described = described[rows][self.texts.has_text[rows] > 0]
        if len(described):
            text_norm.fit(described.to(features.device))

    def validate(self) -> dict[str, float]:
        """Metrics of the validation rows in the precision of training, {} without such rows."""
        if not self.split.validation:
            return {}
        found = self._predict(self.accelerator.autocast)
        return validation_metrics(found, [self.data.rows[row].mos for row in self.split.validation])

    def _predict(self, precision: Any = None) -> Predictions:
        """Predictions on the validation rows, which the processes share out."""
        rows = self.split.validation
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        mine = rows[rank::processes]
        options = {} if precision is None else {"precision": precision}
        found = predict(self.model, self.data.pixels, self.texts, mine, **options)
        everyone = gather_object(list(zip(mine, found.text.tolist(), found.image_only.tolist(), strict=True)))
        by_row = {row: (text, image_only) for row, text, image_only in everyone}
        pairs = torch.tensor([by_row[row] for row in rows]).reshape(-1, 2).numpy()
        return Predictions(pairs[:, 0], pairs[:, 1])

    def finish(self) -> Trained:
        """Predict the validation rows with the kept weights, in float32, and write the summary."""
        load_strictly(self.model, self.run.load_checkpoint(), str(self.run.checkpoint))
        epoch = int(self.run.checkpoint_metadata()["epoch"])
        rows = [self.data.rows[row] for row in self.split.validation]
        summary: dict[str, Any] = {"epoch": epoch, "training_rows": len(self.split.train)}
        summary["validation_rows"] = len(rows)
        if rows:
            if self.config.train.freeze_text:
                self.texts = self.texts.with_features(self.model)
            found = self._predict()
            summary["validation"] = validation_metrics(found, [row.mos for row in rows])
            if self.accelerator.is_main_process:
                write_predictions(self.run, "predictions.csv", rows, found)
        if self.accelerator.is_main_process:
            self.run.write_json(SUMMARY, summary)
            # Only of use to go on, and as large as the model and its optimizer together.
            self.run.state_file.unlink(missing_ok=True)
        self.accelerator.wait_for_everyone()
        return finished(self.run)


def finished(run: RunFolder) -> Trained:
    """What a run that ended says in its summary."""
    summary = run.read_json(SUMMARY)
    values = {
        key: math.nan if value is None else value for key, value in summary.get("validation", {}).items()
    }
    return Trained(run, int(summary["epoch"]), values)


def _parts(split: Split) -> list[tuple[str, tuple[int, ...]]]:
    return [("train", split.train), ("validation", split.validation)]
