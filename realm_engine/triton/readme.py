"""The pages that go with a written repository: README and Dockerfile."""

from __future__ import annotations

from collections.abc import Mapping

from realm_engine.bundle.bundle import Bundle
from realm_engine.bundle.terms import alike
from realm_engine.triton.config import TritonOptions, model_name

# Python 3.12, which the engine needs 3.11 for; any newer release will do.
TRITON_IMAGE = "nvcr.io/nvidia/tritonserver:25.09-py3"

DOCKERFILE = f"""\
# Triton with what the two Python models need. REALM is the wheel of the repository it came from:
#   pip wheel --no-deps -w wheels PATH/TO/realm
ARG TRITON={TRITON_IMAGE}
FROM ${{TRITON}}
COPY wheels /tmp/wheels
# numpy 2 makes the Python backend of Triton 24.10 (2.51) misread strings.
RUN pip install --no-cache-dir /tmp/wheels/*.whl 'numpy<2' && rm -r /tmp/wheels
COPY models /models
# ONNX Runtime would report to Microsoft.
ENV ORT_DISABLE_TELEMETRY=1
CMD ["tritonserver", "--model-repository=/models"]
"""

_OTHER = "a graph of a measure"
_GRAPHS = {
    "core_text": "token ids -> text features of CORE",
    "core": "pixels, resize matrices, text features -> MOS",
    "clip_text": "token ids -> text embedding of DREAM",
    "dream": "image, window origins, resize matrix, text embeddings -> cosine of every window with every text",
    "photographs": "text embeddings -> mean and deviation of their similarity to windows of untouched photographs",
    "score": "Python: an image and a text -> the numbers of the first measure (MOS and realness)",
    "map": "Python: an image and texts -> map of realness, and a record that says what it holds",
}


def readme(bundle: Bundle, options: TritonOptions, precisions: Mapping[str, str], parts: list[str]) -> str:
    """The README of a written repository. `precisions`: by graph; `parts`: graphs and Python models in it."""
    rows = [
        f"| `{model_name(bundle.name, part)}` | {_GRAPHS.get(part, _OTHER)} | {precisions.get(part, '')} |"
        for part in parts
    ]
    licences = [
        f"* {', '.join(f'`{model_name(bundle.name, graph)}`' for graph in graphs)}: {terms.line}"
        for terms, graphs in alike({graph: bundle.terms[graph] for graph in precisions}).items()
    ]
    gpu = " --gpus all" if options.device == "gpu" else ""
    plan = _PLAN if options.platform == "tensorrt-plan" else ""
    has = {part for part in ("score", "map") if part in parts}
    ask = 'python client.py photo.jpg --text "a hand with six fingers"'
    return f"""\
# {bundle.name} for NVIDIA Triton Inference Server

Written by `realm-engine export-triton`. Licences of the weights:

{chr(10).join(licences)}

| model | what it does | precision |
|---|---|---|
{chr(10).join(rows)}

```sh
pip wheel --no-deps -w wheels PATH/TO/realm
docker build -t realm-triton .
docker run{gpu} --rm -p 8000:8000 -p 8001:8001 --shm-size 1g realm-triton
pip install 'tritonclient[http]' numpy
{ask if "score" in has else "# client.py scores and maps; this repository has one part only"}
```

The Python models are the engine (`realm_engine`) with the server as its runtime: they decode, cut text into
tokens, make the resize matrices and spread window values over pixels with the code of `Engine.score` and
`Engine.map`, so the answers are the same. That is why they import it and carry no copy: the server needs
`tokenizers` and `pillow` in any case. They run on the CPU and call the graphs beside them.

* Texts and scores are batched by the server (dynamic batching, up to {options.max_batch} rows). `core` shares its
  resize matrices among the images of a call, so images of one size share a call inside `score`; `dream` takes
  one image and {options.windows_per_call} windows a call.
* Graphs warm up before the server reports ready. The Python models do not: they would call graphs that may not be
  loaded yet.
* {options.instances} instance{"s" if options.instances > 1 else ""} of every model; change `instance_group` in a
  `config.pbtxt`, or export again with `--instances`.
* Outputs `mos` and `realness` have label files, which say what they are in a classification request.
{plan}"""


_PLAN = """\
* The plans run only with the TensorRT version and the GPU they were built with.
"""
