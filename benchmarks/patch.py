"""``python -m benchmarks.patch``: applying and removing an inpaint patch on a UNet of full size in float16, against one
pass that reads every weight, adds a float32 value and writes it back. All run in turns in one process.

The patch changes every weight and is read from a file, whose pages the system has in memory. ``apply anew`` finds the
plain model alone, as a process's first inpaint does, and needs 5 GB that the system has to hand out; ``apply over``
finds a twin with another patch of the same weights and takes its memory. A second job with the same patch finds the
patched state beside the plain one. The floor goes weight by weight, each in float32 at once; ``floor in blocks`` does
the same through a small buffer, as ``apply`` does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from benchmarks.measure import report, seconds
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.loaded import Files, Loaded
from fooocus_engine.models.lora_deltas import BLOCK
from fooocus_engine.models.store import version_of
from tests.models import layouts

AIM = 1.5
ANEW, OVER = "apply anew", "apply over"
VALUE = 1e-3
LOW, HIGH = -0.01, 0.012  # ends of the patch's differences
DEVIATION = 0.02  # of the weights
CHUNK = 1 << 22  # random numbers drawn; weights repeat them


def main() -> None:
    """Build the UNet and the patch, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.patch", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the patch (2.6 GB) is written; default: the temporary files")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    model = full_size()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        patch = written(model.unet_names, dict(model.unet.named_parameters()), Path(folder))
        other = patch.with_name("other.fooocus.patch")
        other.hardlink_to(patch)
        times = measured(model, *(((version_of(path), 1.0),) for path in (patch, other)), rounds=given.rounds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    numbers = sum(weight.numel() for weight in model.unet.parameters())
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    report(
        f"An inpaint patch on {numbers / 1e9:.2f} billion weights in float16, median of {given.rounds}, load {load}",
        [
            *((name, f"{value:.3f} s") for name, value in medians.items()),
            *(
                (
                    f"{name} + remove / floor (aim {AIM})",
                    f"{(medians[name] + medians['remove']) / medians['floor']:.3f}",
                )
                for name in (ANEW, OVER)
            ),
        ],
    )


def measured(model: DiffusionModel, patch: Files, other: Files, *, rounds: int) -> dict[str, list[float]]:
    """Seconds of every round. The first one, which warms the caches, does not count."""
    loaded = Loaded(model)
    steps: dict[str, Callable[[], object]] = {
        "floor": lambda: rewrite(model.unet),
        "floor in blocks": lambda: rewrite_in_blocks(model.unet),
        ANEW: lambda: loaded.patched(other),
        OVER: lambda: loaded.patched(patch),
        "apply again": lambda: loaded.patched(patch),
        "remove": loaded.unpatch,
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            times[name].append(seconds(step))
    return {name: values[1:] for name, values in times.items()}


@torch.no_grad()
def rewrite(unet: UNet2DConditionModel) -> None:
    """The floor: every weight is read, a float32 value is added, and it is written back."""
    for weight in unet.parameters():
        weight.copy_(weight.float().add_(VALUE))


@torch.no_grad()
def rewrite_in_blocks(unet: UNet2DConditionModel) -> None:
    """The same, so many numbers at a time."""
    sums = torch.empty(BLOCK)
    for weight in unet.parameters():
        for part in weight.view(-1).split(BLOCK):
            part.copy_(sums[: len(part)].copy_(part).add_(VALUE))


def full_size() -> DiffusionModel:
    """A model with nothing but a UNet of the published sizes, its weights random numbers that repeat."""
    unet: UNet2DConditionModel = layouts.meta_unet(layouts.SDXL_UNET).half().to_empty(device="cpu")
    unet.eval().requires_grad_(False)
    drawn = torch.randn(CHUNK, generator=torch.Generator().manual_seed(0)).mul_(DEVIATION).half()
    for weight in unet.parameters():
        weight.copy_(repeated(drawn, weight))
    names = {layouts.ldm_unet_key(name, layouts.SDXL_UNET): name for name, _ in unet.named_parameters()}
    return DiffusionModel("sdxl", unet, None, None, "epsilon", names, 0.13025, torch.device("cpu"), torch.float16)


def written(names: Mapping[str, str], weights: Mapping[str, Tensor], folder: Path) -> Path:
    """A patch of every weight, in the form of the published ones."""
    drawn = torch.randint(0, 256, (CHUNK,), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    path = folder / "full_size.fooocus.patch"
    torch.save(dict(entries(names, weights, drawn)), path)
    return path


def entries(names: Mapping[str, str], weights: Mapping[str, Tensor], drawn: Tensor) -> Iterator[tuple[str, Any]]:
    """Key and (levels, low, high) of every weight."""
    for key, name in names.items():
        yield f"diffusion_model.{key}", (repeated(drawn, weights[name]), torch.tensor(LOW), torch.tensor(HIGH))


def repeated(drawn: Tensor, like: Tensor) -> Tensor:
    """The numbers of ``drawn`` over and over in the shape of ``like``."""
    times = -(-like.numel() // len(drawn))
    return drawn.repeat(times)[: like.numel()].reshape(like.shape).clone()


if __name__ == "__main__":
    main()
