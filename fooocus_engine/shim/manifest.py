"""The models that an image was built with, told before any worker was ever awake. Takes a file, gives answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fooocus_engine.settings import BadSetting

LISTS = ("model_filenames", "lora_filenames")
"""The documented answer; a manifest holds these and the details (api.md §4.7)."""


def read_manifest(file: str) -> Mapping[bool, Any]:
    """The answers to all-models, with and without details; none where no file is named.

    Raises:
        BadSetting: the file cannot be read, or holds no lists of models.
    """
    if not file:
        return {}
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
        return {True: content, False: {name: list(content[name]) for name in LISTS}}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadSetting(f"SHIM_MANIFEST is {file!r}; that is no manifest of models ({type(error).__name__})") from None
