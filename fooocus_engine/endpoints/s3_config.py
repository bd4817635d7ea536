"""The bucket that a job brings along: ``s3Config`` of the platform's job (platform.md §6.3), checked. No torch.

Knows nothing of pictures. No problem repeats a value, and no key shows when an object is printed.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, ValidationError

from fooocus_engine.bucket import Bucket, Place, place_at
from fooocus_engine.endpoints.wire_types import WireModel, refusal
from fooocus_engine.errors import InvalidRequest, Problem
from fooocus_engine.public_hosts import Guard, HostRefused

MAX_TEXT = 2048  # characters of an address; keys have some forty
AT = ("body", "s3Config")


def _key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise refusal("access_key", "must be printable ASCII text without spaces")
    return key


AccessKey = Annotated[SecretStr, Field(min_length=1, max_length=MAX_TEXT), AfterValidator(_key)]


class S3Config(WireModel):
    """The wire form."""

    model_config = ConfigDict(hide_input_in_errors=True)

    endpoint_url: Annotated[str, Field(alias="endpointUrl", max_length=MAX_TEXT)]
    access_id: Annotated[AccessKey, Field(alias="accessId")]
    access_secret: Annotated[AccessKey, Field(alias="accessSecret")]
    bucket_name: Annotated[str, Field(alias="bucketName", max_length=MAX_TEXT)] = ""
    """Empty = the one that the address names."""


def client_bucket(given: object, guard: Guard) -> Bucket:
    """The bucket that ``given`` spells, on a host that ``guard`` allows.

    Raises:
        InvalidRequest: with every problem found.
    """
    try:
        config = S3Config.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise InvalidRequest(
            [Problem(p["type"], (*AT, *p["loc"]), _reason(p["type"], p["msg"])) for p in found]
        ) from None
    place = _allowed_place(config, guard)
    return Bucket(
        place.endpoint_url,
        place.bucket,
        place.region,
        config.access_id.get_secret_value(),
        config.access_secret.get_secret_value(),
    )


def _reason(kind: str, message: str) -> str:
    match kind:
        case "missing":
            return "is required"
        case "model_type":
            return "must be an object"
        case _:
            return message


def _allowed_place(config: S3Config, guard: Guard) -> Place:
    """Where the endpoint is; its host is looked up, so that a useless address costs no sampling."""
    try:
        place = place_at(config.endpoint_url, config.bucket_name)
        url = urlsplit(place.endpoint_url)
        guard.addresses(url.hostname or "", url.port or 443)
    except ValueError as error:
        reason = str(error)
    except HostRefused:
        reason = "must be a host with public addresses only"
    except OSError:
        reason = "must be a host whose name can be resolved"
    else:
        return place
    raise InvalidRequest([Problem("s3_endpoint", (*AT, "endpointUrl"), reason)])
