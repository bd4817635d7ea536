"""Where a file is really asked for: mirrors, and the token for the host it belongs to. Pure.

Takes an address of the catalogue and an environment that is handed in. A token goes to its own host, over https or to a
mirror that was named, and to no other; aiohttp drops it when a reply leads elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from builder.baking.errors import BadChoice

HUGGING_FACE = "https://huggingface.co"
MIRRORS = {
    HUGGING_FACE: "HF_MIRROR",
    "https://github.com": "GITHUB_MIRROR",
    "https://raw.githubusercontent.com": "GITHUB_RAW_MIRROR",
    "https://civitai.com": "CIVITAI_MIRROR",
}
"""Prefix of addresses → the variable that replaces it."""
TOKENS = {HUGGING_FACE: "HF_TOKEN", "https://github.com": "GITHUB_TOKEN", "https://civitai.com": "CIVITAI_TOKEN"}
"""Prefix of addresses → the variable with its token; ``…_FILE`` names a file that holds it."""
SECRETS = Path("/run/secrets")
"""Where a build's secrets lie: ``hf_token`` and so on."""


@dataclass(frozen=True)
class Request:
    """What to ask, and the headers to ask it with. Not printed: it may hold a token."""

    url: str
    token: str | None

    def __repr__(self) -> str:
        return f"Request({self.url!r})"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def request_for(source: str, environment: Mapping[str, str], secrets: Path = SECRETS) -> Request:
    """The request behind ``source``.

    Raises:
        BadChoice: a mirror is no http or https address, or a token's file cannot be read.
    """
    for prefix, variable in MIRRORS.items():
        if source == prefix or source.startswith(f"{prefix}/"):
            mirror = environment.get(variable, "").rstrip("/")
            return Request(_mirrored(source, prefix, mirror, variable), _token(prefix, environment, secrets))
    return Request(source, None)


def _mirrored(source: str, prefix: str, mirror: str, variable: str) -> str:
    if not mirror:
        return source
    parts = urlsplit(mirror)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadChoice(f"{variable} is {mirror!r}; allowed: http and https addresses")
    return mirror + source.removeprefix(prefix)


def _token(prefix: str, environment: Mapping[str, str], secrets: Path) -> str | None:
    variable = TOKENS.get(prefix)
    if variable is None:
        return None
    if token := environment.get(variable, "").strip():
        return token
    named = environment.get(f"{variable}_FILE", "")
    file = Path(named) if named else secrets / variable.lower()
    if not named and not file.is_file():
        return None
    try:
        return file.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise BadChoice(f"{variable}_FILE: the file cannot be read ({type(error).__name__})") from None
