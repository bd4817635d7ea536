"""The services of the compose file as processes on loopback, with its commands and variables: a picture by them all."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from PIL import Image

from tests.e2e.drop_in import free_ports

ROOT = Path(__file__).parents[2]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
WORDS = {
    "RUNPOD_API_KEY": "key-of-the-platform",
    "STORE_ACCESS_KEY_ID": "who",
    "STORE_SECRET_ACCESS_KEY": "secret-of-the-store",
    "SHIM_APIKEY": "key-of-the-api",
    "FOOOCUS_PRESET": "starter",
}
"""What ``.env`` says."""
PORTS = {"api": 8888, "platform": 8889, "store": 9000}
OUTSIDE = "127.0.0.1"

pytestmark = pytest.mark.timeout(1800)


class Machine:
    """Where each service listens in place of its host name, and where its volume lies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))

    def here(self, text: object) -> str:
        """What a value of the compose file means on this machine."""
        told = re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda m: WORDS.get(m[1], m[2] or ""), str(text)).replace(
            "$$", "$"
        )
        for name, port in PORTS.items():
            told = told.replace(f"//{name}:{port}", f"//{OUTSIDE}:{self.ports[name]}")
        told = told.replace(f"{OUTSIDE}:{PORTS['api']}", f"{OUTSIDE}:{self.ports['api']}")
        return told.replace("/app/outputs", str(self.folder / "outputs")).replace("/data", str(self.folder / "store"))

    def environment(self, name: str, **more: str) -> dict[str, str]:
        given = {key: self.here(value) for key, value in SERVICES[name]["environment"].items()}
        own = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
        }
        return own | given | more

    @contextmanager
    def running(self, name: str, command: list[str], **more: str) -> Iterator[None]:
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment(name, **more), stdout=log, stderr=subprocess.STDOUT
            )
            try:
                yield
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(300)


@pytest.fixture(scope="module")
def api() -> Iterator[httpx.Client]:
    """A client of the API that the services make together."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        machine = Machine(Path(folder))
        stack.enter_context(machine.running("store", _store(machine)))
        command = [machine.here(word) for word in SERVICES["worker-cpu"]["command"]]
        platform = [sys.executable, *command[1:], "--port", str(machine.ports["platform"])]
        networks = f"127.0.0.0/8,{machine.environment('worker-cpu')['FOOOCUS_ALLOW_PRIVATE_URLS']}"
        quick = {"FOOOCUS_DEVICE": "cpu", "OMP_NUM_THREADS": "1", "FOOOCUS_ALLOW_PRIVATE_URLS": networks}
        stack.enter_context(machine.running("worker-cpu", platform, **quick))
        listen = {"SHIM_PORT": str(machine.ports["api"]), "SHIM_HOST": OUTSIDE}
        stack.enter_context(machine.running("api", [sys.executable, "-m", "fooocus_engine.shim"], **listen))
        address = f"http://{OUTSIDE}:{machine.ports['api']}"
        transport = httpx.HTTPTransport(retries=30)
        client = httpx.Client(base_url=address, transport=transport, trust_env=False, timeout=900)
        stack.enter_context(client)
        client.headers["X-API-KEY"] = WORDS["SHIM_APIKEY"]
        client.pictures = machine.folder / "store" / "pictures"  # type: ignore[attr-defined]
        yield client


def _store(machine: Machine) -> list[str]:
    (command,) = (machine.here(word) for word in SERVICES["store"]["command"])
    told: list[Any] = [
        *SERVICES["store"]["entrypoint"],
        command.replace(f"--addr :{PORTS['store']}", _address(machine)),
    ]
    return told


def _address(machine: Machine) -> str:
    return f"--addr {OUTSIDE}:{machine.ports['store']}"


def test_a_picture_is_made_stored_and_fetched(api: httpx.Client):
    asked = {
        "prompt": "a small red circle on a blue background",
        "image_seed": 42,
        "advanced_params": {"overwrite_step": 2},
    }
    answer = api.post("/v1/generation/text-to-image", json=asked)
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()
    assert result["url"].startswith(f"{api.base_url}")
    picture = Image.open(io.BytesIO(api.get(result["url"]).content))
    assert (picture.format, picture.size) == ("PNG", (192, 192))
    assert [path.suffix for path in api.pictures.rglob("*") if path.is_file()] == [".png"]  # type: ignore[attr-defined]


def test_nobody_comes_in_without_the_key(api: httpx.Client):
    assert api.get("/v1/engines/styles", headers={"X-API-KEY": "another"}).status_code == 403


def test_the_platform_behind_it_is_told(api: httpx.Client):
    assert api.get("/health").status_code == 200
