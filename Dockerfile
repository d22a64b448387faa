# syntax=docker/dockerfile:1
# The engine and its embedded bundle, for scores, maps, reports and comparisons of what is mounted at /data, and for `serve`:
#
#   docker build -t realm-engine .
#   docker run --rm -v "$PWD/samples:/data:ro" realm-engine score .
#   docker build -t realm-engine:cuda --build-arg DEVICE=cuda .
#   docker run --rm --gpus all -v "$PWD/samples:/data:ro" realm-engine:cuda score . --device cuda
#
#   docker run --rm -p 127.0.0.1:8000:8000 -e REALM_SERVE_TOKEN realm-engine serve --host 0.0.0.0
#
# CUDA and cuDNN come from NVIDIA's packages for pip, so both images stand on the same base; the driver is the host's.
ARG PYTHON=3.12
ARG DEVICE=cpu

FROM python:${PYTHON}-slim-bookworm AS source
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY recipes/LICENSE-WEIGHTS.md recipes/
COPY realm_engine realm_engine
COPY realm_train realm_train
ENV PIP_CACHE_DIR=/var/cache/pip PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/realm

FROM source AS cpu
RUN --mount=type=cache,target=/var/cache/pip \
    /opt/realm/bin/python -m pip install -c constraints.txt '.[cpu,compare,parquet,serve]'

FROM source AS cuda
RUN --mount=type=cache,target=/var/cache/pip \
    /opt/realm/bin/python -m pip install -c constraints.txt '.[gpu,compare,parquet,serve]' \
    'onnxruntime-gpu[cuda,cudnn]>=1.20'

# hadolint ignore=DL3006
FROM ${DEVICE} AS installed

FROM python:${PYTHON}-slim-bookworm
COPY --from=installed /opt/realm /opt/realm
# What `tune` measured and `models pull` fetched; a volume keeps it. Any user of the host may be given with --user.
RUN mkdir -m 1777 /cache
ENV PATH=/opt/realm/bin:$PATH \
    REALM_CACHE_DIR=/cache \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
WORKDIR /data
ENTRYPOINT ["realm-engine"]
CMD ["--help"]
