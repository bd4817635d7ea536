"""LoRA factors on the starter model's UNet, and the file that an engine reads them from.

Knows weights and names; neither what is learned nor from which pictures. The same layers as Luo et al. 2023
(arXiv:2311.05556) for SDXL: attention, feed-forward, and everything of a residual block that multiplies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from builder.starter.export import unet_tensors
from builder.starter.training import write_whole
from fooocus_engine.models.families.checkpoint import UNET

RANK = 16
WEIGHT = ".weight"
_LAYERS = (
    "to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2",
    "conv1", "conv2", "conv_shortcut", "time_emb_proj", "samplers.0.conv",
)  # fmt: skip


class Factors(nn.Module):
    """A weight's change as the product of two small matrices (Hu et al. 2021, arXiv:2106.09685); begins at nothing.

    alpha is the rank, so that a file's strength is the product's own factor.
    """

    def __init__(self, weight: Tensor, rank: int, strength: float) -> None:
        """``weight [out, in]`` or ``[out, in, kh, kw]``; ``strength`` is what the product will load the file with."""
        super().__init__()
        self.strength = strength
        self.down = nn.Parameter(torch.empty(rank, *weight.shape[1:], device=weight.device))
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank, *[1] * (weight.ndim - 2), device=weight.device))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight, computed as the engine does when it applies the file (models.md §6.3)."""
        return weight + self.strength * (self.up.flatten(1) @ self.down.flatten(1)).view_as(weight)


def adapt(unet: nn.Module, rank: int = RANK, strength: float = 1.0) -> nn.ModuleDict:
    """Freeze ``unet`` but for new factors on its layers, which it computes with from now on; the factors by base name.

    Base names are kohya's: ``lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q``.
    """
    unet.requires_grad_(False)
    factors = nn.ModuleDict()
    for name, layer in _layers(unet):
        factor = Factors(layer.weight, rank, strength)
        parametrize.register_parametrization(layer, "weight", factor)
        factors[base_name(name)] = factor
    return factors


def _layers(unet: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Conv2d]]:
    # A list, because registering adds modules below.
    for name, module in list(unet.named_modules()):
        if isinstance(module, nn.Linear | nn.Conv2d) and name.endswith(_LAYERS):
            yield name, module


def base_name(layer: str) -> str:
    """What kohya's files call a layer of the UNet (models.md §6.1): the checkpoint's name with underscores."""
    (key,) = unet_tensors({layer + WEIGHT: torch.empty(0)})
    return "lora_unet_" + key.removeprefix(UNET).removesuffix(WEIGHT).replace(".", "_")


def file_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Factors (state of what ``adapt`` returns) under kohya's keys, float16."""
    tensors = {}
    for name, value in state.items():
        base, _, role = name.rpartition(".")
        tensors[f"{base}.lora_{role}.weight"] = value.half().contiguous()
        if role == "down":
            tensors[f"{base}.alpha"] = torch.tensor(float(len(value))).half()
    return tensors


def write_lora(state: Mapping[str, Tensor], file: Path) -> None:
    """Write factors as a kohya file."""
    rank = next(len(value) for name, value in state.items() if name.endswith(".down"))
    told = {"ss_network_module": "networks.lora", "ss_network_dim": str(rank), "ss_network_alpha": str(float(rank))}
    write_whole(file, lambda path: save_file(file_tensors(state), path, metadata=told))
