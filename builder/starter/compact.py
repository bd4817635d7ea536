"""``python -m builder.starter.compact``: a training's weights at about one byte each, to go on with it elsewhere.

Rounding to 255 levels a row costs little that the next steps do not mend; optimiser states are left behind.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

LEVELS = 127
SCALE = ".scale"


def main() -> None:
    """Write the state of a work folder."""
    parser = argparse.ArgumentParser(prog="python -m builder.starter.compact", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/starter"))
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    diffusion = torch.load(given.work / "diffusion.pt", weights_only=True)
    autoencoder = torch.load(given.work / "autoencoder.pt", weights_only=True)
    parts = {"networks": diffusion["average"], "vae": autoencoder["vae"], "teacher": autoencoder["teacher"]}
    state = {f"{part}.{name}": value for part, tensors in parts.items() for name, value in tensors.items()}
    save_file(compacted(state), given.file, metadata={"step": str(diffusion["step"])})


def compacted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices as int8 with a float16 scale a row; vectors, and whatever counts, stay float32."""
    small = {}
    for name, value in state.items():
        if value.ndim < 2 or not value.is_floating_point() or name.startswith("teacher."):
            small[name] = value.contiguous()
            continue
        scale = (value.flatten(1).abs().amax(1) / LEVELS).clamp(min=1e-7).half()
        rows = value.flatten(1) / scale.float()[:, None]
        small[name] = rows.round().clamp(-LEVELS, LEVELS).to(torch.int8).view(value.shape)
        small[name + SCALE] = scale
    return small


def read(file: Path, part: str) -> dict[str, Tensor]:
    """The weights of ``networks``, ``vae`` or ``teacher``."""
    stored = load_file(file)
    whole = {}
    for name, value in stored.items():
        if not name.startswith(f"{part}.") or name.endswith(SCALE):
            continue
        if (scale := stored.get(name + SCALE)) is not None:
            value = value.float() * scale.float().view(-1, *[1] * (value.ndim - 1))
        whole[name.removeprefix(f"{part}.")] = value
    return whole


if __name__ == "__main__":
    main()
