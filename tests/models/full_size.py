"""An SDXL checkpoint of full size with random weights: every name and shape of models.md §5.1, half precision, 6.9 GB.

For tests and benchmarks that need the real sizes, not the real pictures. Written as a stream, so memory stays small.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch

from tests.models import layouts

NAME = "full_size.safetensors"
NUMBERS_AT_ONCE = 1 << 24
BYTES_PER_NUMBER = 2
DEVIATION = 0.02  # of the weights, as networks are commonly initialised


def sdxl_bytes() -> int:
    """Bytes of all weights of the file."""
    return BYTES_PER_NUMBER * sum(tensor.numel() for tensor in layouts.sdxl_file().values())


def write_sdxl(checkpoints: Path, *, seed: int = 0, device: str = "cpu") -> Path:
    """The checkpoint in the folder ``checkpoints``, on the disk when this returns. Numbers are drawn on ``device``;
    equal seeds give equal files on one kind of device.
    """
    path = checkpoints / NAME
    header, numbers = _header()
    generator = torch.Generator(device).manual_seed(seed)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for first in range(0, numbers, NUMBERS_AT_ONCE):
            count = min(NUMBERS_AT_ONCE, numbers - first)
            block = torch.randn(count, generator=generator, device=device).mul_(DEVIATION).half()
            file.write(block.cpu().numpy().data)
        file.flush()
        os.fsync(file.fileno())
    return path


def _header() -> tuple[bytes, int]:
    """The safetensors header, padded so that the weights lie aligned, and how many numbers follow it."""
    entries, end = {}, 0
    for key, tensor in layouts.sdxl_file().items():
        begin, end = end, end + BYTES_PER_NUMBER * tensor.numel()
        entries[key] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(entries).encode()
    return text + b" " * (-len(text) % 8), end // BYTES_PER_NUMBER
