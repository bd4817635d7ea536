"""A bucket of an S3-compatible store, and how pictures lie in it: frozen values, checked when they are made.

Reads the endpoint addresses that people have at hand, with the bucket and the region in them or not. Talks to no store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from string import Formatter
from urllib.parse import urlsplit

ADDRESSING_STYLES = ("auto", "path", "virtual")
CHECKSUM_MODES = ("when_required", "when_supported")
URL_KINDS = ("presigned", "public")
MAX_EXPIRY_S = 604_800  # seven days, the most that a signature of version 4 can say
KEY_FIELDS = ("job_id", "file_name")
DEFAULT_REGION = "us-east-1"  # what stores without regions expect in a signature

BUCKET_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
KNOWN_HOST = re.compile(
    r"(?:(?P<bucket>.+)\.)?"
    r"(?:s3[.-](?:(?P<region>[a-z]{2}-[a-z0-9-]+)\.)?.*\..+|(?P<spaces>[a-z0-9]+)\.digitaloceanspaces\.com)"
)
"""``[bucket.]s3[.region].provider.tld`` of most stores, and ``[bucket.]region.digitaloceanspaces.com``."""


@dataclass(frozen=True)
class Bucket:
    """Where pictures go and who writes them. The keys do not show when this is printed."""

    endpoint_url: str
    """Scheme, host and perhaps a path; never the bucket."""
    name: str
    region: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class UploadSettings:
    """How pictures lie in a bucket and how they are addressed.

    Raises:
        ValueError: prefix or key template could leave their place or mix up two jobs; says what is allowed.
    """

    prefix: str = ""
    """Folder before every key."""
    key_template: str = "{job_id}/{file_name}"
    addressing: str = "auto"
    """``path``: bucket in the path; ``virtual``: in the host name; ``auto``: botocore's choice, the path for most."""
    checksums: str = "when_required"
    """``when_required``: an MD5 of the picture, which every store checks; ``when_supported``: a CRC-32 in its place."""
    urls: str = "presigned"
    url_expiry_s: int = MAX_EXPIRY_S

    def __post_init__(self) -> None:
        if self.prefix:
            _check_path("prefix", self.prefix)
        _check_template(self.key_template)

    def key(self, *, job_id: str, file_name: str) -> str:
        """The key of a picture: the same whenever the same job makes it again. Both must be plain names."""
        key = self.key_template.format(job_id=job_id, file_name=file_name)
        return f"{self.prefix}/{key}" if self.prefix else key


@dataclass(frozen=True)
class Place:
    """What an endpoint's address tells."""

    endpoint_url: str
    bucket: str
    region: str


def place_at(address: str, bucket: str = "", region: str = "") -> Place:
    """The place that an endpoint's address means. A bucket or region that is not given is read from the address.

    The bucket may stand before the host of a known form (``my-bucket.s3.eu-west-1.amazonaws.com``) or end the path.

    Raises:
        ValueError: no http(s) address, or it does not tell the bucket; says what is allowed, and repeats no value.
    """
    scheme, host, path = _parts(address)
    known = KNOWN_HOST.fullmatch(host)
    before_host = (known and known["bucket"]) or ""
    name = bucket or path.rpartition("/")[2] or before_host
    if not name:
        raise ValueError("must name the bucket in its host or path, unless the bucket is named beside it")
    if not BUCKET_NAME.fullmatch(name):
        raise ValueError("must name a bucket of 1 to 255 letters, digits, '.', '_' or '-'")
    if name == before_host:
        host = host.removeprefix(f"{name}.")
    region = region or (known and (known["region"] or known["spaces"])) or DEFAULT_REGION
    return Place(f"{scheme}://{host}{path.removesuffix(f'/{name}')}", name, region)


def _parts(address: str) -> tuple[str, str, str]:
    """Scheme, host with port, path without a closing slash."""
    try:
        url = urlsplit(address)
        sound = url.scheme in ("http", "https") and url.hostname and url.port != 0 and address.isprintable()
    except ValueError:
        sound = False
    if not sound or " " in address:
        raise ValueError("must be an http or https address")
    if "@" in url.netloc or url.query or url.fragment:
        raise ValueError("must be an address without user, query or fragment")
    return url.scheme, url.netloc.lower(), url.path.rstrip("/")


def _check_template(template: str) -> None:
    allowed = "the key template must hold {job_id} and {file_name}, once each, and no other field"
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        raise ValueError(allowed) from None
    fields = [name for _, name, _, _ in parts if name is not None]
    if sorted(fields) != sorted(KEY_FIELDS) or any(form or conversion for _, _, form, conversion in parts):
        raise ValueError(allowed)
    _check_path("key template", template.format(**dict.fromkeys(KEY_FIELDS, "x")))


def _check_path(what: str, path: str) -> None:
    unsafe = not path.isprintable() or "\\" in path
    if unsafe or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(
            f"the {what} must be a relative path without empty parts, '.', '..', backslashes and control characters"
        )
