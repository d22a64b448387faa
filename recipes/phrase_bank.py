"""Phrase bank of a CLIP run: how similar each phrase is to windows of photographs that have no flaw."""

import argparse
import json
from pathlib import Path

import torch

from realm_train.clip.clean import views, window_embeddings
from realm_train.clip.config import ClipConfig
from realm_train.clip.model import open_clip_run
from realm_train.clip.train import load_photographs
from realm_train.defects import PHRASES
from realm_train.runs import RunFolder

VIEWS = 4  # of a photograph, as recipes/clean_maps.py takes them


@torch.inference_mode()
def main() -> None:
    """Write {"phrases": [{"text", "kind", "mean", "std"}]}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="run folder of realm-train clip")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photographs", default="r*", help="file names of real photographs, as in training")
    parser.add_argument("--window", type=int, default=64, help="largest window of the recommended preset, px")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    config = RunFolder(arguments.run).read_config(ClipConfig)
    clip = open_clip_run(arguments.run)
    # Not those trained on, whose windows fit "nothing is wrong" too well, nor those of the final evaluation.
    photographs = load_photographs(
        arguments.data, config, arguments.photographs, only="validation"
    ).validation
    texts = clip.encode_texts([phrase["text"] for phrase in PHRASES])
    similarity = torch.cat(
        [
            window_embeddings(clip, image, arguments.window) @ texts.T
            for image in views(photographs, VIEWS, config.seed)
        ]
    )
    means, stds = similarity.mean(dim=0).tolist(), similarity.std(dim=0).tolist()
    bank = [
        {**phrase, "mean": round(mean, 6), "std": round(std, 6)}
        for phrase, mean, std in zip(PHRASES, means, stds, strict=True)
    ]
    arguments.output.write_text(json.dumps({"phrases": bank}, indent=2) + "\n", encoding="utf-8")
    measured = f"{len(similarity)} windows of {len(photographs)} photographs"
    print(f"{arguments.output}: {len(bank)} phrases, measured on {measured}")


if __name__ == "__main__":
    main()
