"""Small real bundles for tests: seeded random weights in graphs that honour the bundle contract exactly.

`build_bundle` writes one; `Reference` computes the same answers in numpy and Pillow, window by window,
so that a test never compares the engine with itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORE_SIZE = (24, 32)  # height, width
CORE_FEATURES = 6
CORE_TEXT = {"max_tokens": 32, "pad_id": 0, "fixed_length": False, "buckets": [8, 16, 32]}
DREAM_SIZE = 16
EMBEDDING = 8
CLIP_TEXT = {"max_tokens": 16, "pad_id": 0, "fixed_length": True, "buckets": [16]}
RATING = {"offset": 64.010578006, "slope": 17.349906357}
CHANNELS = 5
PATCH = 4
VOCABULARY = 400

PRESETS = {
    "released": {"windows_px": [64], "stride_px": 8, "aggregate": "mean"},
    "paper": {"windows_px": [128, 64, 32], "stride_px": 4, "aggregate": "max"},
    "tiny": {"windows_px": [24, 16], "stride_px": 8, "aggregate": "mean"},
}
PHRASES = [
    {"text": "the face is melted", "kind": "melt", "mean": 0.05, "std": 0.11},
    {"text": "a doubled hand", "kind": "double", "mean": -0.02, "std": 0.08},
    {"text": "garbled letters on the sign", "kind": "text", "mean": 0.1, "std": 0.2},
    {"text": "a seam runs through the wall", "kind": "seam", "mean": 0.0, "std": 0.15},
    {"text": "the shadow falls the wrong way", "kind": "shadow", "mean": 0.02, "std": 0.05},
]
_CORPUS = [
    "yes somewhat no the image looks real nothing unreal in a photograph of people",
    *(str(phrase["text"]) for phrase in PHRASES),
]

_ROUND = """
  {0}_up = Add({0}, half)
  {0}_r = Floor({0}_up)
  {1} = Clip({0}_r, zero, top_level)
"""
# Pixels of the last axis to planes resized by two matrices, as Pillow does: each direction rounded to a level.
_RESIZE = f"""
  planes = Transpose<perm = [0, 3, 1, 2]>({{pixels}})
  cols_t = Transpose<perm = {{turned}}>({{cols}})
  wide = MatMul(planes, cols_t)
  {_ROUND.format("wide", "wide_8")}
  tall = MatMul({{rows}}, wide_8)
  {_ROUND.format("tall", "tall_8")}
"""


def _weights(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    # float16 values in float32, so that an fp16 file holds exactly the same weights
    return {
        name: value.astype(np.float16).astype(np.float32)
        for name, value in {
            "core_conv": normal(CHANNELS, 3, PATCH, PATCH),
            "core_head": normal(CHANNELS + CORE_FEATURES, 1) * 0.3,
            "core_missing": normal(CORE_FEATURES),
            "core_table": normal(VOCABULARY, CORE_FEATURES),
            "dream_conv": normal(CHANNELS, 3, PATCH, PATCH),
            "dream_head": normal(CHANNELS * (DREAM_SIZE // PATCH) ** 2, EMBEDDING) * 3,
            "clip_table": normal(VOCABULARY, EMBEDDING),
        }.items()
    }


def onnx_model(
    text: str, weights: dict[str, np.ndarray], constants: dict[str, Any], half: bool
) -> onnx.ModelProto:
    """Parse ONNX's textual syntax; `weights` become initialisers, stored as float16 where `half`."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 17]>\n' + text)
    constants = {"half": 0.5, "zero": 0.0, "top_level": 255.0, "one": 1.0} | constants
    for name, value in constants.items():
        array = np.asarray(value, dtype=np.float32 if isinstance(value, float) else np.int64)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    casts = []
    for name, value in weights.items():
        if half:
            stored = numpy_helper.from_array(value.astype(np.float16), name + "_fp16")
            casts.append(onnx.helper.make_node("Cast", [name + "_fp16"], [name], to=onnx.TensorProto.FLOAT))
        else:
            stored = numpy_helper.from_array(value, name)
        model.graph.initializer.append(stored)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    return model


def _core(weights: dict[str, np.ndarray], half: bool) -> onnx.ModelProto:
    height, width = CORE_SIZE
    text = f"""
core (uint8[batch, height, width, 3] pixels, float[resizes, 1, {height}, height] resample_rows,
      float[resizes, 1, {width}, width] resample_cols, float[batch, {CORE_FEATURES}] text_features,
      float[batch] has_text) => (float[batch] mos) {{
  levels = Cast<to = 1>(pixels)
  {_RESIZE.format(pixels="levels", rows="resample_rows", cols="resample_cols", turned="[0, 1, 3, 2]")}
  unit = Div(tall_8, top_level)
  convolved = Conv<strides = [{PATCH}, {PATCH}]>(unit, core_conv)
  features = Relu(convolved)
  pooled = ReduceMean<axes = [2, 3], keepdims = 0>(features)
  has = Unsqueeze(has_text, last)
  described = Mul(text_features, has)
  has_not = Sub(one, has)
  lacking = Mul(core_missing, has_not)
  words = Add(described, lacking)
  fused = Concat<axis = 1>(pooled, words)
  score = MatMul(fused, core_head)
  mos = Squeeze(score, last)
}}"""
    used = {name: weights[name] for name in ("core_conv", "core_head", "core_missing")}
    return onnx_model(text, used, {"last": [1]}, half)


def _core_text(weights: dict[str, np.ndarray], half: bool) -> onnx.ModelProto:
    text = f"""
core_text (int64[batch, tokens] input_ids, int64[batch, tokens] attention_mask)
    => (float[batch, {CORE_FEATURES}] text_features) {{
  rows = Gather(core_table, input_ids)
  mask_2d = Cast<to = 1>(attention_mask)
  mask = Unsqueeze(mask_2d, last)
  real = Mul(rows, mask)
  total = ReduceSum<keepdims = 0>(real, tokens_axis)
  count = ReduceSum<keepdims = 0>(mask, tokens_axis)
  text_features = Div(total, count)
}}"""
    return onnx_model(text, {"core_table": weights["core_table"]}, {"last": [2], "tokens_axis": [1]}, half)


def _clip_text(weights: dict[str, np.ndarray], half: bool) -> onnx.ModelProto:
    text = f"""
clip_text (int64[batch, tokens] input_ids) => (float[batch, {EMBEDDING}] text_embedding) {{
  rows = Gather(clip_table, input_ids)
  total = ReduceSum<keepdims = 0>(rows, tokens_axis)
  norm = ReduceL2<axes = [1]>(total)
  text_embedding = Div(total, norm)
}}"""
    return onnx_model(text, {"clip_table": weights["clip_table"]}, {"tokens_axis": [1]}, half)


def _dream(weights: dict[str, np.ndarray], half: bool) -> onnx.ModelProto:
    text = f"""
dream (uint8[height, width, 3] image, int64[windows] top, int64[windows] left,
       float[{DREAM_SIZE}, window] resample, float[texts, {EMBEDDING}] text)
    => (float[windows, texts] similarity) {{
  levels = Cast<to = 1>(image)
  window_1d = Shape<start = 1, end = 2>(resample)
  window = Squeeze(window_1d)
  offsets = Range(zero_i, window, one_i)
  top_2d = Unsqueeze(top, last)
  left_2d = Unsqueeze(left, last)
  rows = Add(top_2d, offsets)
  cols = Add(left_2d, offsets)
  count = Shape<start = 0, end = 1>(top)
  square = Concat<axis = 0>(count, window_1d, window_1d, one_1d)
  rows_4d = Unsqueeze(rows, row_axes)
  cols_4d = Unsqueeze(cols, col_axes)
  row_grid = Expand(rows_4d, square)
  col_grid = Expand(cols_4d, square)
  index = Concat<axis = 3>(row_grid, col_grid)
  crops = GatherND(levels, index)
  {_RESIZE.format(pixels="crops", rows="resample", cols="resample", turned="[1, 0]")}
  scaled = Div(tall_8, top_level)
  unit = Sub(scaled, half)
  convolved = Conv<strides = [{PATCH}, {PATCH}]>(unit, dream_conv)
  features = Relu(convolved)
  flat = Flatten<axis = 1>(features)
  embedding = MatMul(flat, dream_head)
  norm = ReduceL2<axes = [1]>(embedding)
  unit_embedding = Div(embedding, norm)
  text_t = Transpose<perm = [1, 0]>(text)
  similarity = MatMul(unit_embedding, text_t)
}}"""
    used = {name: weights[name] for name in ("dream_conv", "dream_head")}
    constants = {"zero_i": 0, "one_i": 1, "last": [1], "row_axes": [2, 3], "col_axes": [1, 3], "one_1d": [1]}
    return onnx_model(text, used, constants, half)


_BUILDERS = {"core_text": _core_text, "core": _core, "clip_text": _clip_text, "dream": _dream}
_DTYPES = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.UINT8: "uint8",
}


def interface(values: Sequence[onnx.ValueInfoProto]) -> list[dict[str, Any]]:
    return [
        {
            "name": value.name,
            "dtype": _DTYPES[value.type.tensor_type.elem_type],
            "shape": [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim],
        }
        for value in values
    ]


def _wordpiece() -> Tokenizer:
    words = sorted({word for line in _CORPUS for word in line.split()})
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,'"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *("##" + letter for letter in letters), *words]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def _byte_level_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        show_progress=False,
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>",
        special_tokens=[("<|startoftext|>", 0), ("<|endoftext|>", 1)],
    )
    return tokenizer


def build_bundle(
    folder: Path,
    *,
    core: bool = True,
    dream: bool = True,
    fp16: bool = False,
    phrases: bool = True,
    missing_text: str = "trained",
    recommended_preset: str = "released",
    seed: int = 0,
    name: str = "test-bundle",
) -> Path:
    """Write a bundle into `folder` (made if need be) and return it; with `fp16` it has both precisions."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = _weights(seed)
    manifest: dict[str, Any] = {
        "format": "realm-bundle",
        "format_version": "1.0",
        "name": name,
        "description": "Small random graphs for tests.",
        "licence": {"weights": "CC0-1.0", "commercial_use": True, "text": "LICENSE-WEIGHTS.md"},
        "training_data": "none",
        "weights": f"random (seed {seed})",
        "metrics": {},
        "graphs": {},
        "fidelity": {},
    }
    (folder / "LICENSE-WEIGHTS.md").write_text("CC0-1.0\n", encoding="utf-8")
    if core:
        _wordpiece().save(str(folder / "core_tokenizer.json"))
        manifest["core"] = {
            "image": {"height_px": CORE_SIZE[0], "width_px": CORE_SIZE[1], "interpolation": "bilinear"},
            "text": {"tokenizer": "core_tokenizer.json", **CORE_TEXT},
            "missing_text": missing_text,
            "rating": RATING,
        }
    if dream:
        _byte_level_bpe().save(str(folder / "clip_tokenizer.json"))
        manifest["dream"] = {
            "image_size_px": DREAM_SIZE,
            "interpolation": "bicubic",
            "text": {"tokenizer": "clip_tokenizer.json", **CLIP_TEXT},
            "presets": PRESETS,
            "recommended_preset": recommended_preset,
        }
        if phrases:
            (folder / "phrases.json").write_text(json.dumps({"phrases": PHRASES}), encoding="utf-8")
            manifest["dream"]["phrases"] = "phrases.json"
    for graph in [*(["core_text", "core"] if core else []), *(["clip_text", "dream"] if dream else [])]:
        variants = {}
        for precision in ["fp32", "fp16"] if fp16 else ["fp32"]:
            model = _BUILDERS[graph](weights, precision == "fp16")
            section = "core" if graph.startswith("core") else "dream"
            onnx.helper.set_model_props(
                model,
                {
                    "realm.graph": graph,
                    "realm.bundle": name,
                    "realm.format_version": "1.0",
                    "realm.config": json.dumps(manifest[section]),
                },
            )
            variants[precision] = f"{graph}.onnx" if precision == "fp32" else f"{graph}.{precision}.onnx"
            onnx.save(model, str(folder / variants[precision]))
        manifest["graphs"][graph] = {
            "variants": variants,
            "inputs": interface(model.graph.input),
            "outputs": interface(model.graph.output),
        }
    write_manifest(folder, manifest)
    return folder


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write `bundle.json` with the true checksum and size of every other file in the folder."""
    manifest["files"] = {
        path.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "size_bytes": path.stat().st_size,
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "bundle.json"
    }
    (folder / "bundle.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest as it stands, to be changed and written again."""
    return json.loads((folder / "bundle.json").read_text(encoding="utf-8"))


class Reference:
    """What the graphs of `build_bundle` compute, in float64 numpy with Pillow's own resize."""

    def __init__(self, seed: int = 0) -> None:
        self.weights = {name: value.astype(np.float64) for name, value in _weights(seed).items()}
        self.wordpiece = _wordpiece()
        self.bpe = _byte_level_bpe()

    def text_features(self, text: str) -> np.ndarray:
        """CORE's text features, float64 (F,): the mean over tokens."""
        return self.weights["core_table"][self._ids(self.wordpiece, text, CORE_TEXT["max_tokens"])].mean(
            axis=0
        )

    def text_embedding(self, text: str) -> np.ndarray:
        """CLIP's text embedding, float64 (D,), L2-normalised, over ids padded to the fixed length."""
        ids = self._ids(self.bpe, text, CLIP_TEXT["max_tokens"])
        ids = ids + [CLIP_TEXT["pad_id"]] * (CLIP_TEXT["max_tokens"] - len(ids))
        total = self.weights["clip_table"][ids].sum(axis=0)
        return total / np.linalg.norm(total)

    def mos(self, image: np.ndarray, text: str | None) -> float:
        """CORE's answer for one image."""
        height, width = CORE_SIZE
        small = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        pooled = _patches(np.asarray(small) / 255.0, self.weights["core_conv"]).mean(axis=(0, 1))
        features = self.weights["core_missing"] if text is None else self.text_features(text)
        return float(np.concatenate([pooled, features]) @ self.weights["core_head"][:, 0])

    def similarity(self, crop: np.ndarray, text: str) -> float:
        """Cosine of one window, uint8 (w, w, 3), with a text."""
        small = Image.fromarray(crop).resize((DREAM_SIZE, DREAM_SIZE), Image.Resampling.BICUBIC)
        features = _patches(np.asarray(small) / 255.0 - 0.5, self.weights["dream_conv"])
        embedding = features.transpose(2, 0, 1).reshape(-1) @ self.weights["dream_head"]
        return float(embedding / np.linalg.norm(embedding) @ self.text_embedding(text))

    @staticmethod
    def _ids(tokenizer: Tokenizer, text: str, limit: int) -> list[int]:
        ids = tokenizer.encode(text).ids
        return ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]]


def _patches(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """ReLU of a convolution whose stride is its size: (H, W, 3) -> (H / PATCH, W / PATCH, channels)."""
    rows, cols = image.shape[0] // PATCH, image.shape[1] // PATCH
    blocks = image[: rows * PATCH, : cols * PATCH].reshape(rows, PATCH, cols, PATCH, 3)
    return np.maximum(np.einsum("rycxk,okyx->rco", blocks, kernel), 0.0)
