"""The platform as a program: what it refuses to serve, and the addresses it tells."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path

import pytest

from fooocus_engine.jobs.webhook import PLATFORM_RULES, Courier, guarded_post
from fooocus_engine.local_platform.__main__ import main, options, show
from fooocus_engine.local_platform.app import is_loopback
from fooocus_engine.local_platform.serving import (
    HANDLER,
    NotStarted,
    Options,
    base_url,
    check,
    deliver,
    listening,
    recipe,
    serve,
    tick,
)
from fooocus_engine.public_hosts import Guard
from tests.local_platform.process import running
from tests.local_platform.standing import Standing

ROOT = Path(__file__).parents[2]


def asked(tmp_path, **changes):
    return Options(tmp_path, print, **changes)


def test_the_command_line_has_the_documented_defaults(monkeypatch):
    for name in ("FOOOCUS_DATA_DIR", "FOOOCUS_ALLOW_PRIVATE_URLS", "RUNPOD_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    found = options([])
    assert (found.host, found.port, found.workers) == ("127.0.0.1", 8889, 1)
    assert (found.state, found.api_key, found.guard) == (Path("outputs/state"), None, Guard())
    assert found.handler == HANDLER == ROOT / "handler.py"


def test_the_environment_is_read(monkeypatch, tmp_path):
    monkeypatch.setenv("FOOOCUS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RUNPOD_API_KEY", "secret")
    monkeypatch.setenv("FOOOCUS_ALLOW_PRIVATE_URLS", "10.0.0.0/8")
    found = options(["--host", "0.0.0.0", "--port", "0", "--workers", "3"])
    assert (found.host, found.port, found.workers) == ("0.0.0.0", 0, 3)
    assert (found.state, found.api_key) == (tmp_path / "state", "secret")
    assert found.guard.private == (ip_network("10.0.0.0/8"),)


@pytest.mark.parametrize(
    ("flag", "value", "allowed"),
    [
        ("--port", "65536", "0 to 65535"),
        ("--port", "-1", "0 to 65535"),
        ("--port", "http", "0 to 65535"),
        ("--workers", "65", "0 to 64"),
    ],
)
def test_a_bad_number_is_named_with_what_is_allowed(flag, value, allowed, capsys):
    with pytest.raises(SystemExit):
        options([f"{flag}={value}"])
    assert f"'{value}' is not allowed; allowed: {allowed}" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_on_loopback_no_key_is_needed(tmp_path, host):
    assert is_loopback(host)
    check(asked(tmp_path, host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.0.5", "machine.example"])
def test_elsewhere_a_key_is_needed(tmp_path, host):
    with pytest.raises(NotStarted, match="set an API key in RUNPOD_API_KEY"):
        check(asked(tmp_path, host=host))
    check(asked(tmp_path, host=host, api_key="secret"))


def test_workers_need_a_handler(tmp_path):
    missing = tmp_path / "handler.py"
    with pytest.raises(NotStarted, match="which workers run"):
        check(asked(tmp_path, handler=missing))
    check(asked(tmp_path, handler=missing, workers=0))


def test_a_taken_address_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(NotStarted, match=f"cannot listen on '127.0.0.1', port {port}: Address already in use"):
            listening(asked(tmp_path, port=port))


def test_a_second_platform_on_one_state_is_told_why_it_cannot(tmp_path):
    with running(tmp_path / "state", workers=0):
        done = subprocess.run(
            [sys.executable, "-m", "fooocus_engine.local_platform", "--port", "0", "--workers", "0"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "FOOOCUS_DATA_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, f"{tmp_path / 'state'} is in use by another local platform\n")


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("127.0.0.1", "http://127.0.0.1:8889/v2/local"),
        ("0.0.0.0", "http://127.0.0.1:8889/v2/local"),
        ("", "http://127.0.0.1:8889/v2/local"),
        ("::", "http://[::1]:8889/v2/local"),
        ("::1", "http://[::1]:8889/v2/local"),
        ("localhost", "http://localhost:8889/v2/local"),
    ],
)
def test_workers_reach_the_platform_on_this_machine(host, base):
    assert base_url(host, 8889) == base


def test_a_worker_is_the_handler_with_its_place_in_this_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FOOOCUS_PRESET", "anime")
    monkeypatch.setenv("RUNPOD_REALTIME_PORT", "9")
    how = recipe(asked(tmp_path, worker_variables={"EXTRA": "1"}), "http://127.0.0.1:1/v2/local", "key")
    assert how.command == (sys.executable, "-u", str(HANDLER))
    variables = how.environment("w1")
    assert variables["RUNPOD_POD_ID"] == "w1"
    assert (variables["FOOOCUS_PRESET"], variables["EXTRA"]) == ("anime", "1")
    assert "RUNPOD_REALTIME_PORT" not in variables
    assert variables["HOME"] == str(tmp_path / "home")
    assert Path(variables["HOME"]).is_dir()


def test_a_platform_serves_until_it_is_told_to_end_and_takes_its_workers_with_it(tmp_path):
    handler = tmp_path / "handler.py"
    handler.write_text("import signal, sys\nprint('here', flush=True)\nsignal.pause()\n")
    lines = []

    def show(line):
        lines.append(line)
        os.kill(os.getpid(), signal.SIGINT)

    asyncio.run(serve(Options(tmp_path / "state", show, port=0, handler=handler)))
    assert lines == ["[worker 1] here\n"]
    with pytest.raises(NotStarted):
        asyncio.run(serve(Options(tmp_path / "state", show, host="0.0.0.0")))


def test_a_full_disk_does_not_end_the_platform(tmp_path, caplog):
    async def scene():
        with closing(Standing(tmp_path)) as standing:
            for table in ("jobs", "outbox"):
                standing.database.run(f"DROP TABLE {table}")
            courier = Courier(standing.store.outbox, guarded_post(False), PLATFORM_RULES, None)
            kept = [
                asyncio.create_task(task) for task in (tick(standing.platform), deliver(standing.platform, courier))
            ]
            while caplog.text.count("the queue could not be kept") < len(kept):
                await asyncio.sleep(0)
            assert not any(task.done() for task in kept)
            for task in kept:
                task.cancel()

    asyncio.run(scene())


class EndsWhenItListens(logging.Handler):
    def emit(self, record):
        if "listening" in record.getMessage():
            os.kill(os.getpid(), signal.SIGTERM)


def test_the_command_ends_with_status_0_when_told_to_and_1_when_it_cannot_start(tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.setenv("FOOOCUS_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("RUNPOD_API_KEY", raising=False)
    ender, logger = EndsWhenItListens(), logging.getLogger("fooocus_engine.local_platform.serving")
    logger.addHandler(ender)
    caplog.set_level(logging.INFO, logger.name)
    try:
        assert main(["--port", "0", "--workers", "0"]) == 0
    finally:
        logger.removeHandler(ender)
    assert main(["--host", "0.0.0.0"]) == 1
    assert "set an API key" in capsys.readouterr().err


def test_lines_of_workers_go_to_the_output(capsys):
    show("[worker 1] ready\n")
    assert capsys.readouterr().out == "[worker 1] ready\n"
