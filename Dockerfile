# syntax=docker/dockerfile:1
# Two images: `worker` (the last stage, the default) for serverless endpoints and one machine, `shim` for the HTTP API alone.
# docs/deploy.md tells the variants. Layers go from what changes rarely to what changes often: new code leaves packages
# and models as they are. No heredocs and no COPY --link, so that buildah runs this file too (builder/run_dockerfile.sh).

# Debian with Python 3.11 or 3.12
ARG BASE_IMAGE=python:3.11.14-slim-bookworm


FROM ${BASE_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN groupadd --gid 1000 app && useradd --uid 1000 --gid 1000 --create-home app


# What runs the models. The CUDA runtime comes with torch's own packages; the host brings the driver.
FROM base AS packages
RUN python3 -m venv /opt/venv
# the torch to install; the tests run on this one
ARG TORCH_SPEC=torch==2.13.0
# where pip finds it; `https://download.pytorch.org/whl/cpu` for a worker without a GPU
ARG TORCH_INDEX=""
# hadolint ignore=DL3013
RUN --mount=type=cache,target=/root/.cache/pip pip install ${TORCH_INDEX:+--index-url="${TORCH_INDEX}"} "${TORCH_SPEC}"
COPY builder/requirements.txt /build/
RUN --mount=type=cache,target=/root/.cache/pip pip install -r /build/requirements.txt


# Model files. This stage sees nothing of the code but what downloads need.
FROM base AS models
RUN python3 -m venv /opt/venv
COPY builder/requirements-bake.txt /build/builder/
RUN --mount=type=cache,target=/root/.cache/pip pip install -r /build/builder/requirements-bake.txt
WORKDIR /build
COPY fooocus_engine/errors.py fooocus_engine/
COPY fooocus_engine/models/catalogue.py fooocus_engine/models/catalogue.json fooocus_engine/models/companion.py fooocus_engine/models/features.py \
  fooocus_engine/models/
COPY builder/bake.py builder/bake.lock.json builder/bake_stage.sh builder/
COPY builder/baking builder/baking
# `baked`: fetched into the image; `volume`: read from a volume; `cache`: read from the platform's cached model
ARG MODELS=baked
# whose checkpoints, LoRAs and VAE are baked, with commas, or `all`
ARG BAKE_PRESETS=default
# what else is baked, with commas: see the table of features
ARG BAKE_FEATURES=standard
# further files, with blanks: `KIND/NAME` of a known one, or `KIND/NAME=URL#sha256=HEX`
ARG BAKE_FILES=""
# `1`: also bake files whose authors allow non-commercial use only (THIRD_PARTY)
ARG BAKE_ACCEPT_NON_COMMERCIAL=""
# `1`: float32 checkpoints become float16, half the bytes to read at start
ARG BAKE_HALF=""
# downloads at a time, 1 to 16
ARG BAKE_PARALLEL=4
# in place of https://huggingface.co
ARG HF_MIRROR=""
# in place of https://github.com
ARG GITHUB_MIRROR=""
# in place of https://raw.githubusercontent.com
ARG GITHUB_RAW_MIRROR=""
RUN --mount=type=secret,id=hf_token --mount=type=secret,id=github_token --mount=type=secret,id=civitai_token \
    sh builder/bake_stage.sh "${MODELS}" /models


# The HTTP API alone: no torch, no SDK, no OpenCV.
FROM base AS shim-packages
RUN python3 -m venv /opt/venv
COPY builder/requirements-shim.txt /build/
RUN --mount=type=cache,target=/root/.cache/pip pip install -r /build/requirements-shim.txt \
    && pip uninstall --yes pip setuptools

FROM base AS shim
WORKDIR /app
COPY --from=shim-packages /opt/venv /opt/venv
COPY LICENSE THIRD_PARTY builder/healthcheck.py ./
COPY fooocus_engine fooocus_engine
RUN rm -rf fooocus_engine/models/embedded \
    && python -m compileall -q fooocus_engine \
    && install --directory --owner app --group app outputs
ENV SHIM_HOST=0.0.0.0
# told by the image's labels
ARG VERSION=0.1.0
# told by the image's labels
ARG REVISION=unknown
# told by the image's labels
ARG SOURCE=""
LABEL org.opencontainers.image.title="fooocus-engine-shim" \
      org.opencontainers.image.description="The documented HTTP API of Fooocus-API in front of a serverless endpoint" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
USER 1000:1000
EXPOSE 8888
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "healthcheck.py", "http://127.0.0.1:8888/docs"]
CMD ["python", "-m", "fooocus_engine.shim"]


FROM base AS worker
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY --from=models /models models
COPY LICENSE THIRD_PARTY handler.py test_input.json builder/healthcheck.py ./
COPY builder/__init__.py builder/manifest.py builder/
COPY fooocus_engine fooocus_engine
RUN python -m compileall -q fooocus_engine handler.py \
    && python -m builder.manifest models > manifest.json \
    && install --directory --owner app --group app outputs
# Nothing is fetched while jobs run; the SDK logs whole results at its own default level.
ENV HF_HUB_OFFLINE=1 \
    TRANSFORMERS_OFFLINE=1 \
    RUNPOD_DEBUG_LEVEL=INFO
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=""
LABEL org.opencontainers.image.title="fooocus-engine" \
      org.opencontainers.image.description="The pipelines of Fooocus 2.5.5 as a RunPod serverless worker" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
USER 1000:1000
HEALTHCHECK --interval=30s --timeout=5s --start-period=7m CMD ["python", "healthcheck.py"]
# Python is process 1: when the worker dies, so does the container, and with it the SDK's pings for its jobs.
CMD ["python", "handler.py"]
