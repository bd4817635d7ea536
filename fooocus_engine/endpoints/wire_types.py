"""Single values as clients write them: annotations for pydantic fields, and how a refusal is worded. No torch.

Takes a raw value, gives the house's value or refuses it with a reason that says what is allowed; the caller of a model
adds where it stood and what was seen (``problems.py``). Knows no request.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, LiteralString
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from fooocus_engine.errors import unknown_name
from fooocus_engine.models.catalogue import NAME_LENGTH, is_plain_name

SAVE_NAME_LENGTH = 100  # characters
NO_PICTURE = ("", "None", "none", "null", "string")
"""What clients write into a picture's field that they leave empty (api.md §2.5); JSON null too."""


class WireModel(BaseModel):
    """Base of every request model: frozen, unknown keys dropped, no NaN or infinity anywhere."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


def refusal(kind: LiteralString, reason: str) -> PydanticCustomError:
    """The error a validator raises; ``kind`` is the ``type`` that clients see, ``reason`` the message."""
    return PydanticCustomError(kind, "{reason}", {"reason": reason})


@dataclass(frozen=True)
class OneOf:
    """Validator: the value is one of ``names``. Gives the spelling of ``names`` back. Not text: left to pydantic."""

    kind: str
    names: tuple[str, ...]
    any_case: bool = False
    """Where no name matches exactly, one that differs in upper and lower case only is taken."""

    def __call__(self, value: Any) -> Any:
        """The known name that ``value`` means.

        Raises:
            PydanticCustomError: ``unknown_name``, with near matches.
        """
        if not isinstance(value, str) or value in self.names:
            return value
        if self.any_case:
            for name in self.names:
                if name.lower() == value.lower():
                    return name
        raise refusal("unknown_name", unknown_name(self.kind, value, self.names, ()).msg)


def json_list(value: Any) -> Any:
    """A list as it is; text is what the dialects could not read as one."""
    if isinstance(value, str):
        raise refusal("json_invalid", "is not a valid JSON list")
    if not isinstance(value, list | tuple):
        raise refusal("list_type", "must be a list")
    return value


def json_object(value: Any) -> Any:
    """An object as it is; text is what the dialects could not read as one."""
    if isinstance(value, str):
        raise refusal("json_invalid", "is not a valid JSON object")
    if not isinstance(value, Mapping):
        raise refusal("dict_type", "must be an object")
    return value


def _text(text: str) -> str:
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise refusal("string_unicode", "must be valid Unicode text, without lone surrogates")
    return text


def _file_name(name: str) -> str:
    if len(name) > NAME_LENGTH:
        raise refusal("file_name", f"must have at most {NAME_LENGTH} characters")
    if not is_plain_name(name) or any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise refusal("file_name", "must be a file name relative to its models folder, without '..'")
    return name


def _save_name(name: str) -> str:
    allowed = len(name) <= SAVE_NAME_LENGTH and all(c in " ._-" or unicodedata.category(c)[0] in "LMN" for c in name)
    if name.startswith(".") or ".." in name or not allowed:
        raise refusal(
            "save_name",
            "must have 1 to 100 letters, digits, spaces, '.', '_' or '-', must not start with '.' nor contain '..'",
        )
    return name


def _web_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        reachable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        reachable = False
    if url and (not reachable or not url.isprintable() or " " in url):
        raise refusal("web_url", "must be an http or https address")
    return url


def _picture(value: Any) -> Any:
    if is_no_picture(value):
        raise PydanticCustomError("missing", "is required")
    return value


def _optional_picture(value: Any) -> Any:
    return None if is_no_picture(value) else value


def is_no_picture(value: Any) -> bool:
    """Whether the value of a picture's field says that there is none."""
    return value is None or (isinstance(value, str) and value.strip() in NO_PICTURE)


Text = Annotated[str, AfterValidator(_text)]
"""Words for the text encoders."""
FileName = Annotated[str, AfterValidator(_file_name)]
"""A model file relative to its folder; can never leave it."""
SaveName = Annotated[str, AfterValidator(_save_name)]
"""Stem of the stored picture (api.md §5 item 5); empty = the job's id."""
WebUrl = Annotated[str, AfterValidator(_web_url)]
"""An http(s) address; empty = none."""
Picture = Annotated[str, BeforeValidator(_picture), Field(exclude=True, repr=False)]
"""A picture that must be there: base64, a data URL or an http(s) address. Never repeated in a reply."""
OptionalPicture = Annotated[str | None, BeforeValidator(_optional_picture), Field(exclude=True, repr=False)]
"""The same, or none."""
