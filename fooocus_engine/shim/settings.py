"""What the HTTP door may be told, each option in one line: its default, its variable, its flag and its help.

Takes the command line and an environment that is handed in; gives frozen settings. A flag wins over its variable.
What a door shares with a worker (data folder, the platform's key, private networks) is in the settings of the process.
Flags of the reference server that mean nothing here are refused with the reason.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from fooocus_engine.settings import BadSetting

MB = 1_000_000
LOG_LEVELS = ("critical", "error", "warning", "info", "debug")
WORKER_MATTER = "a matter of the worker: the HTTP door loads no model; see the worker's settings in the README"
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "--sync-repo": "there is no repository to fetch: the engine is part of this package",
        "--skip-pip": "nothing is ever installed at start",
        "--preload-pipeline": "workers always load their model at start",
        "--disable-metadata": "each request decides by save_meta",
        "--disable-image-log": "pictures are stored once, and --queue-history limits how many are kept",
        "--disable-preset-download": "models are never downloaded while serving",
        "--output-path": "set FOOOCUS_DATA_DIR",
        "--temp-path": "no temporary pictures are written",
        "--gpu-device-id": "set CUDA_VISIBLE_DEVICES for the worker",
    }
)
WORKER_FLAGS = ("--all-in-", "--always-", "--attention-", "--unet-in-", "--vae-in-")
"""How the engine flags of the reference begin that settle precision, memory and attention."""


def _text(given: str) -> str:
    return given


def _switch(given: str) -> bool:
    words = {"on": True, "true": True, "1": True, "yes": True, "off": False, "false": False, "0": False, "no": False}
    if given.lower() not in words:
        raise ValueError("on, off")
    return words[given.lower()]


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(given: str) -> int:
        if not (given.isascii() and given.isdigit() and low <= int(given) <= high):
            raise ValueError(f"whole numbers from {low} to {high}")
        return int(given)

    return read


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(given: str) -> str:
        if given.lower() not in allowed:
            raise ValueError(", ".join(allowed))
        return given.lower()

    return read


def _address(given: str) -> str:
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("http and https addresses")
    return given


def _prefix(given: str) -> str:
    return _address(given).rstrip("/")


def _option(
    default: Any, variable: str, help: str, *, flag: str | None = None, read: Callable[[str], Any] = _text
) -> Any:
    return field(default=default, metadata=_told(variable, help, flag, read))


def _secret(variable: str, help: str, *, flag: str | None = None) -> Any:
    return field(default="", repr=False, metadata=_told(variable, help, flag, _text))


def _told(variable: str, help: str, flag: str | None, read: Callable[[str], Any]) -> dict[str, Any]:
    return {"variable": variable, "help": help, "flag": flag, "read": read}


@dataclass(frozen=True)
class ShimSettings:
    """Everything the door may be told. Sizes are MB of 10⁶ bytes, times seconds."""

    local: bool = _option(
        False, "SHIM_LOCAL", "also start the local platform and its workers", flag="--local", read=_switch
    )
    workers: int = _option(1, "SHIM_WORKERS", "worker processes of --local", flag="--workers", read=_whole(0, 64))
    local_port: int = _option(8889, "SHIM_LOCAL_PORT", "port of the platform of --local", read=_whole(1, 65535))
    host: str = _option("127.0.0.1", "SHIM_HOST", "listen address", flag="--host")
    port: int = _option(8888, "SHIM_PORT", "listen port", flag="--port", read=_whole(0, 65535))
    base_url: str = _option(
        "", "SHIM_BASE_URL", "prefix of the addresses of pictures in answers", flag="--base-url", read=_prefix
    )
    log_level: str = _option(
        "info", "SHIM_LOG_LEVEL", "level of the log", flag="--log-level", read=_one_of(*LOG_LEVELS)
    )
    queue_size: int = _option(
        100, "SHIM_QUEUE_SIZE", "open jobs at a time", flag="--queue-size", read=_whole(1, 1_000_000)
    )
    queue_history: int = _option(
        0, "SHIM_QUEUE_HISTORY", "ended jobs kept with their pictures; 0 = all",
        flag="--queue-history", read=_whole(0, 1_000_000_000),
    )  # fmt: skip
    history_ttl_s: int = _option(
        0, "SHIM_HISTORY_TTL", "seconds that ended jobs and their pictures are kept; 0 = for ever",
        read=_whole(0, 1_000_000_000),
    )  # fmt: skip
    webhook_url: str = _option(
        "", "SHIM_WEBHOOK_URL", "webhook of jobs that name none", flag="--webhook-url", read=_address
    )
    webhook_secret: str = _secret("SHIM_WEBHOOK_SECRET", "key of the webhooks' signature; none = unsigned")
    persistent: bool = _option(
        False, "SHIM_PERSISTENT", "keep the jobs in a database, and tell the history in its long form",
        flag="--persistent", read=_switch,
    )  # fmt: skip
    database: str = _secret("FOOOCUS_DB_CONF", "SQLAlchemy address of the database; default: SQLite in the data folder")
    apikey: str = _secret("SHIM_APIKEY", "key that callers must send in X-API-KEY or as a bearer", flag="--apikey")
    preset: str = _option("", "FOOOCUS_PRESET", "preset whose values are the requests' defaults", flag="--preset")
    platform_url: str = _option(
        "https://api.runpod.ai/v2", "RUNPOD_ENDPOINT_BASE_URL", "where the platform's endpoints are", read=_prefix
    )
    endpoint_id: str = _option("", "RUNPOD_ENDPOINT_ID", "the endpoint that the door stands for")
    sync_mode: str = _option(
        "run", "SHIM_SYNC_MODE", "run: ask until it is done; runsync: one long call", read=_one_of("run", "runsync")
    )
    sync_timeout_s: int = _option(
        600, "SHIM_SYNC_TIMEOUT", "seconds that a synchronous call waits", read=_whole(1, 86_400)
    )
    public_url: str = _option(
        "", "SHIM_PUBLIC_URL", "address of this door for others; workers fetch there what is too large to send them",
        read=_prefix,
    )  # fmt: skip
    fan_out: int = _option(
        1, "SHIM_FAN_OUT", "platform jobs that the pictures of one request are spread over", read=_whole(1, 32)
    )
    run_limit_mb: int = _option(10, "SHIM_RUN_LIMIT", "MB that the platform takes by run", read=_whole(1, 1000))
    runsync_limit_mb: int = _option(
        20, "SHIM_RUNSYNC_LIMIT", "MB that the platform takes by runsync", read=_whole(1, 1000)
    )
    max_body_mb: int = _option(128, "SHIM_MAX_BODY", "MB of the largest request that is read", read=_whole(1, 4096))
    shrink_inputs: bool = _option(
        False, "SHIM_SHRINK_INPUTS", "make lossless pictures lossy where a request is too large", read=_switch
    )
    bare_base64: bool = _option(
        False, "SHIM_BARE_BASE64", "base64 in results without the data: prefix, as in old versions", read=_switch
    )
    bucket_urls: bool = _option(
        False, "SHIM_BUCKET_URLS", "hand on addresses in a bucket instead of fetching the pictures", read=_switch
    )
    protect_files: bool = _option(False, "SHIM_PROTECT_FILES", "ask for the key at /files too", read=_switch)
    open_ping: bool = _option(False, "SHIM_OPEN_PING", "answer /ping without the key", read=_switch)
    cors_origins: str = _option("*", "SHIM_CORS_ORIGINS", "origins that browsers may call from, with commas; * = all")

    @property
    def address(self) -> str:
        """Prefix of the addresses in answers, without a trailing slash (api.md §5 item 6)."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host
        return self.base_url or self.public_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def database_url(self, data_dir: Path) -> str:
        """Where the jobs are kept; in memory unless something asks for more (api.md §5 item 10)."""
        if self.database or not (self.local or self.persistent):
            return self.database or "sqlite://"
        return f"sqlite:///{data_dir / 'state' / 'shim.db'}"


def options() -> tuple[Field[Any], ...]:
    """The fields of the settings; ``metadata`` holds variable, flag and help."""
    return fields(ShimSettings)


def shim_settings(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> ShimSettings:
    """Settings from a command line (``None``: this process's) over an environment; an empty variable keeps the default.

    Raises:
        BadSetting: a value that is not allowed, or a flag that is refused.
        SystemExit: a flag that nobody knows, or ``--help``.
    """
    parser = _parser()
    known, rest = parser.parse_known_args(arguments)
    for flag in (word.split("=")[0] for word in rest):
        if reason := REFUSED.get(flag) or (WORKER_MATTER if flag.startswith(WORKER_FLAGS) else None):
            raise BadSetting(f"{flag} is not supported: {reason}")
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    values = {}
    for option in options():
        given, source = getattr(known, option.name, None), option.metadata["flag"]
        if given is None:
            given, source = environment.get(option.metadata["variable"]), option.metadata["variable"]
        if given:
            values[option.name] = _read(option, given, source)
    return ShimSettings(**values)


def _read(option: Field[Any], given: str, source: str) -> Any:
    try:
        return option.metadata["read"](given)
    except ValueError as error:
        shown = repr(given) if option.repr else "not usable"
        raise BadSetting(f"{source} is {shown}; allowed: {error}") from None


def _parser() -> argparse.ArgumentParser:
    silent = [o for o in options() if o.metadata["flag"] is None]
    width = max(len(o.metadata["variable"]) for o in silent)
    lines = [f"  {o.metadata['variable']:<{width}}  {o.metadata['help']}{_default(o)}" for o in silent]
    parser = argparse.ArgumentParser(
        prog="python -m fooocus_engine.shim",
        description="The documented HTTP API in front of a serverless endpoint, or of this machine with --local.",
        epilog="\n".join(["set by the environment alone:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for option in options():
        flag, help_text = option.metadata["flag"], f"{option.metadata['help']}{_default(option)}"
        if flag is None:
            continue
        help_text += f" [{option.metadata['variable']}]"
        if option.metadata["read"] is _switch:
            parser.add_argument(flag, dest=option.name, action="store_const", const="on", help=help_text)
        else:
            parser.add_argument(flag, dest=option.name, metavar=flag.rsplit("-")[-1].upper(), help=help_text)
    return parser


def _default(option: Field[Any]) -> str:
    return "" if option.default == "" or option.default is False else f" (default: {option.default})"
