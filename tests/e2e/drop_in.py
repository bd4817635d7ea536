"""The drop-in server as a process of its own: ``python -m fooocus_engine.shim --local`` with one worker on the CPU.

Its models folder holds stand-ins under the names that the documented requests use: LoRAs made for the shipped model, or
everything that there is for the recordings' tiny model.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from safetensors.numpy import save_file

from fooocus_engine.endpoints.generate.performance import MODES
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.local_platform.app import ENDPOINT
from tests.e2e.steering import write_face_detector
from tests.golden.workbench import install_adapters
from tests.vision import tiny_networks

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "golden" / "records" / "tiny"
LORA = "sd_xl_offset_example-lora_1.0.safetensors"
LAYER = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
WIDTH = 64  # channels of that layer of the shipped model
END_S = 600.0


@dataclass(frozen=True)
class DropIn:
    """A running server. ``process`` is the id of the door's process."""

    url: str
    platform: str
    """The endpoint of the platform behind it."""
    process: int


@contextmanager
def drop_in(folder: Path, **variables: str) -> Iterator[DropIn]:
    """A server with its models in ``folder``/models and all else in ``folder``, given more ``variables``.

    It ends in order when the context does, and the door has met no unexpected error.
    """
    port, platform = free_ports(2)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "FOOOCUS_DEVICE": "cpu",
        "FOOOCUS_MODELS_DIR": str(folder / "models"),
        "FOOOCUS_DATA_DIR": str(folder / "data"),
        "FOOOCUS_ALLOW_PRIVATE_URLS": "on",
        "SHIM_LOCAL_PORT": str(platform),
        **variables,
    }
    command = [sys.executable, "-m", "fooocus_engine.shim", "--local", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
    found = DropIn(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{platform}/v2/{ENDPOINT}", process.pid)
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=30), trust_env=False, timeout=END_S) as client:
            assert client.get(f"{found.url}/ping").json() == "pong"
        yield found
    finally:
        process.send_signal(signal.SIGINT)
        status = process.wait(END_S)
    told = (folder / "log").read_text()
    assert status == 0, told
    assert not any(line.startswith("Traceback") for line in told.splitlines()), told  # a worker's lines begin otherwise


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def shipped_model_with_loras(models: Path) -> None:
    """No checkpoint, so that the shipped model stands in; LoRAs that change one layer of it, networks that look."""
    names = [LORA, *(mode.lora[0] for mode in MODES.values() if mode.lora)]
    (models / "loras").mkdir(parents=True)
    down = np.full((1, WIDTH), 0.01, np.float32)
    for name in names:
        tensors = {f"{LAYER}.lora_down.weight": down, f"{LAYER}.lora_up.weight": down.T.copy()}
        save_file(tensors, models / "loras" / name)
    tiny_networks.main(models)


def tiny_model_of_the_user(models: Path) -> None:
    """The recordings' tiny model as the default checkpoint, and every file that a feature asks for."""
    base = models / "checkpoints" / preset_named("default").base_model_name
    base.parent.mkdir(parents=True)
    shutil.copy(TINY / "tiny_sdxl.safetensors", base)
    shutil.copytree(TINY / "tiny_sdxl", base.with_suffix(""))
    shutil.copytree(TINY / "loras", models / "loras")
    shutil.copy(models / "loras" / "tiny_kohya.safetensors", models / "loras" / LORA)
    install_adapters(TINY / "adapters", models)
    write_face_detector(models)
    tiny_networks.main(models)
