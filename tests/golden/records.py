"""Reads recordings: one JSON and one safetensors file a group, and the tiny model files that they were made with.

Knows the format of `records/README.md`; knows nothing of the engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import safe_open
from torch import Tensor

OWN_RECORDS = Path(__file__).parent / "records"


@dataclass(frozen=True)
class Record:
    """One input and what the reference engine returned for it."""

    group: Group
    content: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.content["id"])

    @property
    def kind(self) -> str:
        """The first part of the id, e.g. ``merge`` of ``merge/kohya``."""
        return self.id.split("/")[0]

    @property
    def settings(self) -> dict[str, Any]:
        return self.content.get("settings") or {}

    @property
    def data(self) -> Any:
        return self.content.get("data")

    def input(self, name: str) -> Tensor:
        return self.group.tensor(self.content["inputs"][name]["key"])

    def output(self, name: str) -> Tensor:
        return self.group.tensor(self.content["outputs"][name]["key"])

    @property
    def inputs(self) -> list[str]:
        return list(self.content.get("inputs") or {})

    @property
    def outputs(self) -> list[str]:
        return list(self.content.get("outputs") or {})

    @property
    def png(self) -> dict[str, str]:
        return self.content.get("png") or {}

    def picture(self, name: str) -> np.ndarray[Any, Any]:
        """The named PNG as an array, in the mode it was stored in."""
        with Image.open(self.group.folder / self.png[name]) as image:
            return np.array(image)


class Group:
    """All records of one manifest, in order. ``folder`` is the directory of the recordings."""

    def __init__(self, manifest: Path) -> None:
        self.folder = manifest.parent
        self.content = json.loads(manifest.read_text(encoding="utf-8"))
        self.name: str = self.content["group"]

    @property
    def tolerance(self) -> dict[str, Any]:
        return self.content["tolerance"]

    @property
    def defaults(self) -> dict[str, Any]:
        """Request defaults of the H groups; groups without them use those of a sibling that has them."""
        if "defaults" in self.content:
            return self.content["defaults"]
        for sibling in sorted(self.folder.glob("H*.json")) + sorted(OWN_RECORDS.glob("H*.json")):
            content = json.loads(sibling.read_text(encoding="utf-8"))
            if "defaults" in content:
                return content["defaults"]
        return {}

    @cached_property
    def records(self) -> list[Record]:
        return [Record(self, content) for content in self.content["records"]]

    def record(self, identifier: str) -> Record:
        return next(record for record in self.records if record.id == identifier)

    @cached_property
    def _file(self) -> Any:
        return safe_open(self.folder / self.content["tensor_file"], framework="pt")

    def tensor(self, key: str) -> Tensor:
        return self._file.get_tensor(key)


def groups(folder: Path) -> Iterator[Group]:
    """The groups of a directory, by file name; other JSON files are passed over."""
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "records" in content and "tensor_file" in content:
            yield Group(path)


def tiny_folder(folder: Path) -> Path:
    """The tiny model files beside the recordings, else the project's own copy."""
    return folder / "tiny" if (folder / "tiny").is_dir() else OWN_RECORDS / "tiny"
