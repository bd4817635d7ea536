"""Settings of one process: frozen, validated, built once. The only file that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from fooocus_engine.bucket import (
    ADDRESSING_STYLES,
    CHECKSUM_MODES,
    MAX_EXPIRY_S,
    URL_KINDS,
    Bucket,
    UploadSettings,
    place_at,
)
from fooocus_engine.errors import EngineError

DEVICES = ("auto", "cpu", "cuda", "mps")
IMAGE_PROMPT_ATTENTIONS = ("joint", "separate")
DTYPES = ("auto", "float32", "float16", "bfloat16")
STORAGES = ("inline", "folder", "s3")
BUCKET_ACCESS = ("BUCKET_ENDPOINT_URL", "BUCKET_ACCESS_KEY_ID", "BUCKET_SECRET_ACCESS_KEY")
MAX_SLOTS = 16
VOLUME = "/runpod-volume"  # where the platform mounts a network volume and its cached model (platform.md §11)
ON, OFF = ("on", "true", "1", "yes"), ("off", "false", "0", "no")
EVERY_NETWORK = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class BadSetting(EngineError):
    """An environment variable holds something that is not allowed; names it, its value and what is allowed."""


@dataclass(frozen=True)
class Settings:
    """Everything the process may be told from outside. Field comments name the environment variable.

    Raises:
        BadSetting: the storage is a bucket, and there is none.
    """

    models_dir: Path = Path("models")  # FOOOCUS_MODELS_DIR, the first of its folders
    more_models_dirs: tuple[Path, ...] = ()  # its further ones
    volume_dir: Path | None = None  # FOOOCUS_VOLUME_DIR: looked at after models/ where FOOOCUS_MODELS_DIR is not set
    outputs_dir: Path = Path("outputs")  # FOOOCUS_OUTPUTS_DIR
    device: str = "auto"  # FOOOCUS_DEVICE: auto = cuda if there is one, else cpu
    dtype: str = "auto"  # FOOOCUS_DTYPE: of the UNet; auto = float16 on cuda, float32 elsewhere
    preset: str = "default"  # FOOOCUS_PRESET: whose values are the request's defaults
    storage: str = "inline"  # FOOOCUS_STORAGE: inline (base64 in the reply), folder or s3; s3 if there is a bucket
    bucket: Bucket | None = None  # BUCKET_ENDPOINT_URL, _ACCESS_KEY_ID, _SECRET_ACCESS_KEY, _NAME, _REGION
    # BUCKET_PREFIX, _KEY_TEMPLATE, _ADDRESSING, _CHECKSUMS, _URLS, _URL_EXPIRY
    uploads: UploadSettings = field(default_factory=UploadSettings)
    slots: int = 2  # FOOOCUS_SLOTS: jobs taken at a time by one worker
    max_loras: int = 5  # FOOOCUS_MAX_LORAS: enabled LoRAs of one request
    preview: bool = True  # PREVIEW: off renders no step previews
    preview_interval_s: float = 1.0  # FOOOCUS_PREVIEW_INTERVAL: least time between two step previews
    progress_interval_s: float = 1.0  # FOOOCUS_PROGRESS_INTERVAL: least time between two updates to the platform
    min_free_gb: float = 1.0  # FOOOCUS_MIN_FREE_GB: device memory beside the models without which a worker is unfit
    # FOOOCUS_IMAGE_PROMPT_ATTENTION: joint = the reference's arithmetic, separate = IP-Adapter's own (THIRD_PARTY)
    image_prompt_attention: str = "joint"
    # FOOOCUS_ALLOW_PRIVATE_URLS: networks that are asked though they are not public: off, on (all), or 10.0.0.0/8,…
    private_urls: tuple[IPv4Network | IPv6Network, ...] = ()
    data_dir: Path = Path("outputs")  # FOOOCUS_DATA_DIR: databases of the doors lie under state/
    api_key: str | None = field(default=None, repr=False)  # RUNPOD_API_KEY: of the platform, real or local
    webhook_secret: str | None = field(default=None, repr=False)  # SHIM_WEBHOOK_SECRET: signs a worker's own webhooks
    lora_weight_range: tuple[float, float] = field(default=(-2.0, 2.0))  # not from the environment (models.md §3)

    def __post_init__(self) -> None:
        if self.storage == "s3" and self.bucket is None:
            raise BadSetting(f"FOOOCUS_STORAGE is 's3'; that needs {', '.join(BUCKET_ACCESS)}")


def settings_from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from environment variables; an unset or empty one keeps its default.

    Raises:
        BadSetting: a variable holds a value that is not allowed.
    """
    env = os.environ if environment is None else environment
    default = Settings()
    bucket = _bucket(env)
    folders = [Path(name) for name in env.get("FOOOCUS_MODELS_DIR", "").split(os.pathsep) if name]
    return Settings(
        models_dir=folders[0] if folders else default.models_dir,
        more_models_dirs=tuple(folders[1:]),
        volume_dir=None if folders else Path(env.get("FOOOCUS_VOLUME_DIR") or VOLUME),
        outputs_dir=Path(env.get("FOOOCUS_OUTPUTS_DIR") or default.outputs_dir),
        device=_choice(env, "FOOOCUS_DEVICE", DEVICES, default.device),
        dtype=_choice(env, "FOOOCUS_DTYPE", DTYPES, default.dtype),
        preset=env.get("FOOOCUS_PRESET") or default.preset,
        storage=_choice(env, "FOOOCUS_STORAGE", STORAGES, "s3" if bucket else default.storage),
        bucket=bucket,
        uploads=_uploads(env),
        slots=_whole_number(env, "FOOOCUS_SLOTS", default.slots, (1, MAX_SLOTS)),
        max_loras=_whole_number(env, "FOOOCUS_MAX_LORAS", default.max_loras, (0, 100)),
        preview=_switch(env, "PREVIEW", default.preview),
        image_prompt_attention=_choice(
            env, "FOOOCUS_IMAGE_PROMPT_ATTENTION", IMAGE_PROMPT_ATTENTIONS, default.image_prompt_attention
        ),
        private_urls=_networks(env, "FOOOCUS_ALLOW_PRIVATE_URLS"),
        data_dir=Path(env.get("FOOOCUS_DATA_DIR") or default.data_dir),
        api_key=env.get("RUNPOD_API_KEY") or default.api_key,
        webhook_secret=env.get("SHIM_WEBHOOK_SECRET") or default.webhook_secret,
        preview_interval_s=_number(env, "FOOOCUS_PREVIEW_INTERVAL", default.preview_interval_s, (0, 3600)),
        progress_interval_s=_number(env, "FOOOCUS_PROGRESS_INTERVAL", default.progress_interval_s, (0, 3600)),
        min_free_gb=_number(env, "FOOOCUS_MIN_FREE_GB", default.min_free_gb, (0, 1000)),
    )


def environment_with(changes: Mapping[str, str | None]) -> dict[str, str]:
    """This process's variables for a process that it starts, some set anew, or with ``None`` removed."""
    merged = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _bucket(env: Mapping[str, str]) -> Bucket | None:
    """The bucket, if its three variables are set. No message repeats their values."""
    values = [env.get(name, "").strip() for name in BUCKET_ACCESS]
    if not any(values):
        return None
    missing = [name for name, value in zip(BUCKET_ACCESS, values, strict=True) if not value]
    if missing:
        raise BadSetting(f"{', '.join(missing)} must be set too, or none of {', '.join(BUCKET_ACCESS)}")
    try:
        place = place_at(values[0], env.get("BUCKET_NAME", ""), env.get("BUCKET_REGION", ""))
    except ValueError as error:
        raise BadSetting(f"BUCKET_ENDPOINT_URL (with BUCKET_NAME) {error}") from None
    return Bucket(place.endpoint_url, place.bucket, place.region, *values[1:])


def _uploads(env: Mapping[str, str]) -> UploadSettings:
    default = UploadSettings()
    prefix = env.get("BUCKET_PREFIX", "").strip("/")
    template = env.get("BUCKET_KEY_TEMPLATE") or default.key_template
    try:
        return UploadSettings(
            prefix=prefix,
            key_template=template,
            addressing=_choice(env, "BUCKET_ADDRESSING", ADDRESSING_STYLES, default.addressing),
            checksums=_choice(env, "BUCKET_CHECKSUMS", CHECKSUM_MODES, default.checksums),
            urls=_choice(env, "BUCKET_URLS", URL_KINDS, default.urls),
            url_expiry_s=_whole_number(env, "BUCKET_URL_EXPIRY", default.url_expiry_s, (1, MAX_EXPIRY_S)),
        )
    except ValueError as error:
        raise BadSetting(f"BUCKET_PREFIX is {prefix!r}, BUCKET_KEY_TEMPLATE is {template!r}; {error}") from None


def _choice(env: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = (env.get(name) or default).lower()
    if value not in allowed:
        raise BadSetting(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
    return value


def _number(env: Mapping[str, str], name: str, default: float, limits: tuple[float, float]) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not limits[0] <= value <= limits[1]:
        raise BadSetting(f"{name} is {text!r}; allowed: numbers from {limits[0]} to {limits[1]}")
    return value


def _whole_number(env: Mapping[str, str], name: str, default: int, limits: tuple[int, int]) -> int:
    value = _number(env, name, default, limits)
    if not value.is_integer():
        raise BadSetting(f"{name} is {env[name]!r}; allowed: whole numbers from {limits[0]} to {limits[1]}")
    return int(value)


def _switch(env: Mapping[str, str], name: str, default: bool) -> bool:
    text = (env.get(name) or ("on" if default else "off")).lower()
    if text in ON:
        return True
    if text in OFF:
        return False
    raise BadSetting(f"{name} is {text!r}; allowed: on, off")


def _networks(env: Mapping[str, str], name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    text = (env.get(name) or "off").lower()
    if text in ON or text in OFF:
        return EVERY_NETWORK if text in ON else ()
    try:
        return tuple(ip_network(network.strip()) for network in text.split(","))
    except ValueError:
        raise BadSetting(f"{name} is {text!r}; allowed: on, off, or networks as 10.0.0.0/8,fd00::/8") from None
