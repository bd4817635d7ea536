"""Half the bytes to read at start: float32 tensors of a checkpoint's UNet and text encoders become float16.

A worker on a GPU rounds these very tensors when it loads them, so pictures do not change there; the autoencoder is left
as it is. Streams from file to file: no more than one tensor is in memory. Knows the safetensors form, and no model.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from builder.baking.errors import WrongContent

KEPT = ("first_stage_model.",)
"""Prefix of the autoencoder, which computes in float32."""
LARGEST = float(np.finfo(np.float16).max)
MAX_HEADER = 100_000_000  # bytes, as the format's own reader allows


def halve(file: Path) -> bool:
    """Rewrite a safetensors file with its float32 weights in float16; whether there were any. The name never lies:
    the new file takes it in one rename.

    Raises:
        WrongContent: it is no safetensors file, or holds a number that float16 cannot.
    """
    with open(file, "rb") as source:
        header, begin = _header(source, file.name)
        if not any(_is_halved(name, tensor) for name, tensor in _tensors(header)):
            return False
        part = file.with_name(f".{file.name}.half.part")
        with open(part, "wb") as target:
            _write_header(header, target)
            for name, tensor in _tensors(header):
                start, end = tensor["data_offsets"]
                source.seek(begin + start)
                data = source.read(end - start)
                if len(data) < end - start:
                    raise WrongContent(f"{file.name}: tensor {name!r} is cut short")
                target.write(_rounded(data, file.name, name) if _is_halved(name, tensor) else data)
            target.flush()
            os.fsync(target.fileno())
    os.replace(part, file)
    return True


def _header(source: BinaryIO, name: str) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(source.read(8), "little")
    try:
        text = source.read(min(length, MAX_HEADER))
        if len(text) < length:
            raise ValueError
        header = json.loads(text)
        for _, tensor in _tensors(header):
            start, end = tensor["data_offsets"]
            if not 0 <= start <= end or not isinstance(tensor["dtype"], str):
                raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise WrongContent(f"{name}: no safetensors file") from None
    return header, 8 + length


def _tensors(header: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """In the order of their bytes."""
    named = [(name, tensor) for name, tensor in header.items() if name != "__metadata__"]
    yield from sorted(named, key=lambda row: row[1]["data_offsets"][0])


def _is_halved(name: str, tensor: Mapping[str, Any]) -> bool:
    return tensor["dtype"] == "F32" and not name.startswith(KEPT)


def _write_header(header: Mapping[str, Any], target: BinaryIO) -> None:
    rows: dict[str, Any] = {"__metadata__": header["__metadata__"]} if "__metadata__" in header else {}
    offset = 0
    for name, tensor in _tensors(header):
        start, end = tensor["data_offsets"]
        size, dtype = ((end - start) // 2, "F16") if _is_halved(name, tensor) else (end - start, tensor["dtype"])
        rows[name] = {"dtype": dtype, "shape": tensor["shape"], "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(rows, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    target.write(len(text).to_bytes(8, "little") + text)


def _rounded(data: bytes, file: str, name: str) -> bytes:
    values = np.frombuffer(data, "<f4")
    largest = float(np.abs(values).max(initial=0.0))
    if math.isfinite(largest) and largest > LARGEST:
        raise WrongContent(f"{file}: tensor {name!r} holds {largest:g}, which float16 cannot; bake it without halving")
    return values.astype("<f2").tobytes()
