"""Flags and variables of the HTTP API (api.md §5.1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from fooocus_engine.settings import BadSetting
from fooocus_engine.shim.settings import ShimSettings, options, shim_settings


def test_nothing_given_gives_the_defaults_of_the_reference():
    found = shim_settings([], {})
    assert found == ShimSettings()
    assert (found.host, found.port, found.queue_size, found.queue_history) == ("127.0.0.1", 8888, 100, 0)


@pytest.mark.parametrize(
    ("arguments", "variables", "field", "value"),
    [
        (["--port", "9000"], {"SHIM_PORT": "9001"}, "port", 9000),
        ([], {"SHIM_PORT": "9001"}, "port", 9001),
        ([], {"SHIM_PORT": ""}, "port", 8888),
        (["--persistent"], {}, "persistent", True),
        ([], {"SHIM_PERSISTENT": "yes"}, "persistent", True),
        (["--persistent"], {"SHIM_PERSISTENT": "off"}, "persistent", True),
        (["--base-url", "https://x.example/api/"], {}, "base_url", "https://x.example/api"),
        (["--webhook-url", "https://x.example/hook/"], {}, "webhook_url", "https://x.example/hook/"),
        (["--apikey=k"], {}, "apikey", "k"),
        (["--local"], {}, "local", True),
        (["--log-level", "DEBUG"], {}, "log_level", "debug"),
        (["--preset", "anime"], {"FOOOCUS_PRESET": "sai"}, "preset", "anime"),
        ([], {"RUNPOD_ENDPOINT_BASE_URL": "http://127.0.0.1:1/v2/"}, "platform_url", "http://127.0.0.1:1/v2"),
    ],
)
def test_a_flag_wins_over_its_variable(arguments, variables, field, value):
    assert getattr(shim_settings(arguments, variables), field) == value


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["--port", "70000"], {}, ["--port", "70000", "0 to 65535"]),
        ([], {"SHIM_QUEUE_SIZE": "0"}, ["SHIM_QUEUE_SIZE", "'0'", "1 to"]),
        ([], {"SHIM_QUEUE_SIZE": "²"}, ["SHIM_QUEUE_SIZE"]),
        ([], {"SHIM_SYNC_MODE": "fast"}, ["SHIM_SYNC_MODE", "run, runsync"]),
        ([], {"SHIM_OPEN_PING": "perhaps"}, ["SHIM_OPEN_PING", "on, off"]),
        (["--base-url", "example.org"], {}, ["--base-url", "http"]),
        (["--sync-repo", "skip"], {}, ["--sync-repo", "not supported"]),
        (["--preload-pipeline"], {}, ["--preload-pipeline", "workers always load"]),
        (["--always-high-vram"], {}, ["--always-high-vram", "worker"]),
        (["--all-in-fp16"], {}, ["--all-in-fp16", "worker"]),
        (["--output-path=/x"], {}, ["--output-path", "FOOOCUS_DATA_DIR"]),
    ],
)
def test_what_is_not_allowed_is_named_with_the_reason(arguments, variables, words):
    with pytest.raises(BadSetting) as refused:
        shim_settings(arguments, variables)
    assert all(word in str(refused.value) for word in words)


def test_an_unknown_flag_ends_the_program(capsys):
    with pytest.raises(SystemExit):
        shim_settings(["--prot", "1"], {})
    assert "--prot" in capsys.readouterr().err


def test_help_tells_every_flag_and_variable(capsys):
    with pytest.raises(SystemExit) as ended:
        shim_settings(["--help"], {})
    told = capsys.readouterr().out
    assert ended.value.code == 0
    for option in options():
        assert option.metadata["variable"] in told
        assert option.metadata["flag"] is None or option.metadata["flag"] in told


def test_secrets_are_not_shown():
    found = shim_settings(
        ["--apikey", "hush"], {"SHIM_WEBHOOK_SECRET": "hush", "FOOOCUS_DB_CONF": "mysql://u:hush@x/y"}
    )
    assert "hush" not in repr(found)


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        ([], "http://127.0.0.1:8888"),
        (["--host", "0.0.0.0", "--port", "80"], "http://127.0.0.1:80"),
        (["--host", "::1"], "http://[::1]:8888"),
        (["--base-url", "https://x.example//"], "https://x.example"),
    ],
)
def test_addresses_in_answers_begin_like_the_servers(arguments, address):
    assert shim_settings(arguments, {}).address == address


def test_a_public_address_is_that_of_pictures_unless_another_is_given():
    public = {"SHIM_PUBLIC_URL": "https://door.example/"}
    assert shim_settings([], public).address == "https://door.example"
    assert shim_settings(["--base-url", "https://cdn.example"], public).address == "https://cdn.example"


@pytest.mark.parametrize(
    ("arguments", "variables", "url"),
    [
        ([], {}, "sqlite://"),
        (["--persistent"], {}, "sqlite:////srv/state/shim.db"),
        (["--local"], {}, "sqlite:////srv/state/shim.db"),
        ([], {"FOOOCUS_DB_CONF": "postgresql://x/y"}, "postgresql://x/y"),
    ],
)
def test_the_ledger_is_in_memory_unless_more_is_asked_for(arguments, variables, url):
    assert shim_settings(arguments, variables).database_url(Path("/srv")) == url


def test_the_packages_of_the_door_alone_are_those_of_the_whole():
    folder = Path(__file__).parents[2] / "builder"
    alone, whole = (
        {line for line in (folder / name).read_text().splitlines() if line and not line.startswith("#")}
        for name in ("requirements-shim.txt", "requirements.txt")
    )
    assert alone < whole
