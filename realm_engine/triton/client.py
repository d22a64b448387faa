"""Ask a Triton server that serves a REALM bundle. Needs: pip install 'tritonclient[http]' numpy.

python client.py photo.jpg --text "a hand with six fingers" --map map.npy
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from realm_engine.arrays import Float32

MODELS = "realm_tiny"  # what the names of this repository's models begin with


def score(client: Any, image: bytes, text: str | None = None, models: str = MODELS) -> tuple[float, float]:
    """MOS (a z-score, higher = more real) and the 0-100 rating of an encoded image (JPEG, PNG, WebP ...)."""
    inputs = [_strings("image", [image], batched=True)]
    if text:
        inputs.append(_strings("text", [text.encode()], batched=True))
    answer = client.infer(f"{models}_score", inputs)
    return float(answer.as_numpy("mos")[0, 0]), float(answer.as_numpy("realness")[0, 0])


def realness_map(
    client: Any, image: bytes, texts: list[str], preset: str | None = None, models: str = MODELS
) -> tuple[Float32, dict[str, Any]]:
    """Map of an encoded image, float32 (H, W), low = unreal, and its record; no text: the bundle's phrases."""
    inputs = [_strings("image", [image])]
    if texts:
        inputs.append(_strings("text", [text.encode() for text in texts]))
    if preset:
        inputs.append(_strings("preset", [preset.encode()]))
    answer = client.infer(f"{models}_map", inputs)
    return answer.as_numpy("map"), json.loads(answer.as_numpy("record")[0])


def _strings(name: str, values: list[bytes], batched: bool = False) -> Any:
    import tritonclient.http

    shape = [1, len(values)] if batched else [len(values)]
    tensor = tritonclient.http.InferInput(name, shape, "BYTES")
    tensor.set_data_from_numpy(np.array(values, dtype=np.object_).reshape(shape))
    return tensor


def main() -> None:
    """Score an image, and map it where a file for the map is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("image", type=Path, help="JPEG, PNG, WebP, BMP or TIFF")
    parser.add_argument("--text", action="append", default=[], help="what looks unreal; may be repeated")
    parser.add_argument("--map", type=Path, metavar="FILE.npy", help="write the map of where it looks unreal")
    parser.add_argument("--preset", help="windows and stride of the map")
    parser.add_argument("--url", default="localhost:8000", help="the server [localhost:8000]")
    arguments = parser.parse_args()

    import tritonclient.http

    image = arguments.image.read_bytes()
    client = tritonclient.http.InferenceServerClient(arguments.url, network_timeout=600.0)
    mos, realness = score(client, image, arguments.text[0] if arguments.text else None)
    print(f"{arguments.image}: MOS {mos:+.3f}, realness {realness:.1f} of 100")
    if arguments.map is not None:
        values, record = realness_map(client, image, arguments.text, arguments.preset)
        np.save(arguments.map, values)
        print(f"{arguments.map}: {values.shape[1]} x {values.shape[0]}, texts {record['texts']}")


if __name__ == "__main__":
    main()
